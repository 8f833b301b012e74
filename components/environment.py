"""What a component of a node needs from outside: checked settings and the token authority, with one clear line on error."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.settings import Settings, load_settings
from components.tokens import TokenAuthority, load_authority

INTERNAL_TOKEN_TTL_S = 60


@dataclass(frozen=True, slots=True)
class NodeEnvironment:
    """Settings and authority of one node."""

    settings: Settings
    authority: TokenAuthority

    @classmethod
    def load(cls, config: Any) -> NodeEnvironment:
        """Read the process's environment and, by Crossbar's component ``config``, the node directory.

        Raises:
            SettingsError: a variable is unknown or impossible.
            TokenKeyError: there is no usable token key.
        """
        directory = Path(config.extra["cbdir"])
        return cls(load_settings(os.environ), load_authority(os.environ, directory))

    def internal_token(self, role: str, realm: str) -> str:
        """Return a token for a component of this node, just long enough to join with."""
        return self.authority.mint(sub=role, role=role, realm=realm, now_s=int(time.time()), ttl_s=INTERNAL_TOKEN_TTL_S)
