"""The session by which signed HTTP requests are published and called, in realm ``market``.

Its role in the configuration grants it ``services.`` and nothing else, whatever a request says; within that, what the service
of its ``extra`` may is decided by request. The secret comes from the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from autobahn.wamp.types import SessionDetails
from twisted.logger import Logger

from components.core.entries import InvalidEntry, checked, mapping
from components.environment import refuse_to_start
from components.router import runtime
from components.router.bridge.desk import BridgeDesk
from components.router.bridge.requests import bridge_grants
from components.router.bridge.signing import SignedRequests
from components.router.component import RouterComponent
from components.tokens import TokenKeyError, load_bridge_secret


class BridgeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``bridge`` of the component's ``extra``."""

    service: str = ""
    """Whose requests they are: the key, and the name below ``services.``."""

    services: list[str] = []
    """Globs of other services' names, whose procedures may be called."""

    @classmethod
    def from_extra(cls, extra: Mapping[str, Any]) -> BridgeSettings:
        """Return what a configuration says.

        Raises:
            InvalidEntry: an entry is unknown or impossible.
        """
        unknown = [name for name in extra if name not in ("bridge", "cbdir")]
        if unknown:
            raise InvalidEntry(f"extra has an unknown key {unknown[0]!r}; known is bridge")
        return checked(mapping(extra.get("bridge", {}), "bridge"), cls, "bridge")


class Bridge(RouterComponent):
    """Is there for ``/bridge`` while it has joined."""

    life_log: ClassVar[Logger] = Logger()

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        from twisted.internet import reactor

        clock: Any = reactor
        try:
            settings = BridgeSettings.from_extra(config.extra or {})
            grants = bridge_grants(settings.service, tuple(settings.services))
            secret = load_bridge_secret(os.environ)
        except (InvalidEntry, TokenKeyError) as error:
            refuse_to_start(f"bridge: {error}")
        signed = SignedRequests(settings.service, secret.encode())
        self._desk = BridgeDesk(self, signed, grants, clock.seconds, settings.service, secret)

    async def onJoin(self, details: SessionDetails) -> None:
        runtime.install_bridge(self._desk)
        self.life_log.info("the HTTP bridge of service {service} is up", service=self._desk.grants.authid)

    def onLeave(self, details: Any) -> None:
        runtime.install_bridge(None)
