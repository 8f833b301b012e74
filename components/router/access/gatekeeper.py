"""The gatekeeper of a realm: a component whose ``extra`` declares what the realm's clients may do at most.

Owns the realm's limits, who is in, and what was refused. A realm that has none is closed to clients.
"""

from __future__ import annotations

from typing import Any, ClassVar

from autobahn.twisted.wamp import ApplicationSession
from autobahn.wamp.types import SessionDetails
from twisted.logger import Logger

from components.core.entries import InvalidEntry
from components.core.limits import RealmLimits
from components.core.seats import Seats
from components.environment import refuse_to_start
from components.router import runtime
from components.tokens import CLIENT_ROLES


class Gatekeeper(ApplicationSession):  # type: ignore[misc]  # Autobahn ships no types
    """Holds a realm's limits, from before the first client may come."""

    life_log: ClassVar[Logger] = Logger()

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        extra = {name: value for name, value in (config.extra or {}).items() if name != "cbdir"}
        unknown = [name for name in extra if name != "limits"]
        try:
            if unknown:
                raise InvalidEntry(f"extra has an unknown key {unknown[0]!r}; known is limits")
            limits = RealmLimits.from_mapping(extra.get("limits", {}), CLIENT_ROLES)
            runtime.add_gatekeeper(config.realm, Seats(limits))
        except ValueError as error:
            refuse_to_start(f"gatekeeper of realm {config.realm}: {error}")

    async def onJoin(self, details: SessionDetails) -> None:
        self.life_log.info("gatekeeper of realm {realm} is up", realm=details.realm)
