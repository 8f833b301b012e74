"""The gatekeeper of a realm: a component whose ``extra`` declares what the realm's clients may do at most.

Owns the realm's limits, who is in, what was refused, and the procedures by which tokens are renewed and revoked. A realm that
has none is closed to clients.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from autobahn.twisted.wamp import ApplicationSession
from autobahn.wamp import ApplicationError
from autobahn.wamp.types import SessionDetails
from twisted.logger import Logger
from twisted.python.failure import Failure

from components.core.entries import InvalidEntry
from components.core.limits import RealmLimits
from components.core.seats import Seats
from components.environment import refuse_to_start
from components.router import runtime
from components.router.access.live_tokens import LiveTokens
from components.router.access.procedures import TokenProcedures
from components.router.access.revocation_store import FileRevocationStore, RevocationStoreError
from components.router.gateway_router import install_limits
from components.tokens import CLIENT_ROLES
from components.uris import OPERATORS_REALM


class Gatekeeper(ApplicationSession):  # type: ignore[misc]  # Autobahn ships no types
    """Holds a realm's limits, from before the first client may come."""

    life_log: ClassVar[Logger] = Logger()

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        from twisted.internet import reactor

        extra = {name: value for name, value in (config.extra or {}).items() if name != "cbdir"}
        unknown = [name for name in extra if name != "limits"]
        try:
            if unknown:
                raise InvalidEntry(f"extra has an unknown key {unknown[0]!r}; known is limits")
            limits = RealmLimits.from_mapping(extra.get("limits", {}), CLIENT_ROLES)
            runtime.add_gatekeeper(config.realm, Seats(limits))
            tokens = runtime.live_tokens()
            if tokens is None:
                # The first of the worker's: a token is revoked in all its realms.
                tokens = LiveTokens(FileRevocationStore(Path(config.extra["cbdir"])), reactor)
                runtime.install_live_tokens(tokens)
        except (ValueError, RevocationStoreError) as error:
            refuse_to_start(f"gatekeeper of realm {config.realm}: {error}")
        self._procedures = TokenProcedures(config.realm, tokens)

    async def onJoin(self, details: SessionDetails) -> None:
        try:
            install_limits(self)
            await self._procedures.register(self, for_operators=details.realm == OPERATORS_REALM)
        except Exception as error:
            # Crossbar would go on and open the transports.
            self.life_log.failure("the gatekeeper cannot install itself")
            refuse_to_start(f"gatekeeper of realm {details.realm}: {error}")
        self.life_log.info("gatekeeper of realm {realm} is up", realm=details.realm)

    def onUserError(self, fail: Failure, msg: str) -> None:
        """Log what a procedure raised by mistake; an ``ApplicationError`` is none, but an answer to its caller."""
        if not isinstance(fail.value, ApplicationError):
            self.life_log.failure(msg, failure=fail)
