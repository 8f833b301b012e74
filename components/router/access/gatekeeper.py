"""The gatekeeper of a realm: a component whose ``extra`` declares what the realm's clients may do at most.

Owns the realm's limits, who is in, what was refused, and the procedures by which tokens are renewed and revoked. A realm that
has none is closed to clients.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from autobahn.wamp import ApplicationError
from autobahn.wamp.types import SessionDetails
from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from components.core.entries import InvalidEntry
from components.core.limits import RealmLimits
from components.core.seats import Seats
from components.environment import refuse_to_start
from components.router import runtime
from components.router.access.live_tokens import LiveTokens
from components.router.access.procedures import TokenProcedures
from components.router.access.revocation_store import RevocationStoreError
from components.router.access.shared_tokens import when_tokens_are_known
from components.router.component import RouterComponent
from components.router.seam.gateway_router import install_limits
from components.settings import load_settings
from components.tokens import CLIENT_ROLES
from components.uris import OPERATORS_REALM


class Gatekeeper(RouterComponent):
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
            self._seats = Seats(limits)
            # The same for all of the worker's realms: a token is revoked in all of them.
            tokens = when_tokens_are_known(reactor, load_settings(os.environ).bus, Path(config.extra["cbdir"]))
        except (ValueError, RevocationStoreError) as error:
            refuse_to_start(f"gatekeeper of realm {config.realm}: {error}")
        self._opened = tokens.addCallback(self._open).addErrback(self._not_opened)

    def _open(self, tokens: LiveTokens) -> TokenProcedures:
        """Let clients into the realm, from here on."""
        runtime.add_gatekeeper(self.config.realm, self._seats)
        return TokenProcedures(self.config.realm, tokens)

    async def onJoin(self, details: SessionDetails) -> None:
        install_limits(self)
        at_once = self._opened.called
        self._opened.addCallback(lambda procedures: ensureDeferred(self._register(procedures)))
        self._opened.addErrback(self._not_opened)
        if at_once:
            await self._opened
        else:
            # So it begins wherever that is read from Redis. Where it lasts, what keeps the node from being ready says so.
            self.life_log.info("realm {realm} is closed until what is revoked is known", realm=details.realm)

    async def _register(self, procedures: TokenProcedures) -> None:
        realm = self.config.realm
        await procedures.register(self, for_operators=realm == OPERATORS_REALM)
        self.life_log.info("gatekeeper of realm {realm} is up", realm=realm)

    def _not_opened(self, failure: Failure) -> NoReturn:
        # Crossbar would go on and open the transports.
        if not isinstance(failure.value, ValueError):
            self.life_log.failure("the gatekeeper cannot install itself", failure=failure)
        refuse_to_start(f"gatekeeper of realm {self.config.realm}: {failure.getErrorMessage()}")

    def onUserError(self, fail: Failure, msg: str) -> None:
        """Log what a procedure raised by mistake; an ``ApplicationError`` is none, but an answer to its caller."""
        if not isinstance(fail.value, ApplicationError):
            self.life_log.failure(msg, failure=fail)
