"""What a component of a node needs from outside: checked settings and token authorities, with one clear line on error."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from twisted.logger import Logger

from components.settings import Settings, SettingsError, load_settings
from components.tokens import TokenAuthority, TokenKeyError, load_authority, load_internal_authority

INTERNAL_TOKEN_TTL_S = 60
EXIT_CONFIGURATION = 78
"""The exit code of a worker that refuses to start (EX_CONFIG of sysexits.h)."""


_log = Logger()


def refuse_to_start(reason: str) -> NoReturn:
    """End this worker, and with it the node, after one line that says why."""
    _log.critical("refusing to start: {reason}", reason=reason)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_CONFIGURATION)


@dataclass(frozen=True, slots=True)
class NodeEnvironment:
    """Settings and authorities of one node."""

    settings: Settings
    authority: TokenAuthority
    """Over the tokens of clients."""

    internal_authority: TokenAuthority
    """Over the tokens of the node's own components, which have a key of their own."""

    @classmethod
    def load(cls, config: Any) -> NodeEnvironment:
        """Read the process's environment and, by Crossbar's component ``config``, the node directory.

        When they are not usable the worker says why in one line and ends, and with it the node: an exception would do the
        same below six tracebacks of Crossbar's.
        """
        directory = Path(config.extra["cbdir"])
        try:
            return cls(
                load_settings(os.environ),
                load_authority(os.environ, directory),
                load_internal_authority(directory),
            )
        except (SettingsError, TokenKeyError) as error:
            refuse_to_start(str(error))

    def internal_token(self, role: str, realm: str) -> str:
        """Return a token for a component of this node, just long enough to join with."""
        return self.internal_authority.mint(
            sub=role, role=role, realm=realm, now_s=int(time.time()), ttl_s=INTERNAL_TOKEN_TTL_S
        )
