"""The component that lets a node leave: its ``extra`` says how, its procedure ``node.drain`` lets operators ask for it."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
from autobahn.wamp import ApplicationError
from autobahn.wamp.types import CallDetails, SessionDetails
from msgspec import Meta
from twisted.logger import Logger
from twisted.python.failure import Failure

from components.core.entries import InvalidEntry
from components.environment import refuse_to_start
from components.router.checked_procedures import register_checked
from components.router.component import RouterComponent
from components.router.drain.draining import FLUSH_TIME_S, LAST_WORDS_S, Draining
from components.router.drain.node_link import NodeLink, set_hard_bound
from components.router.drain.settings import parse_drain
from components.router.listeners.listener import registry
from components.router.seam.transports import TransportSettings
from components.uris import NODE_DRAIN, OPERATORS_REALM

SPARE_S = 10.0
"""So much later than it should have ended, a worker is ended by the system."""


class _Wanted(msgspec.Struct):
    over_s: Annotated[float, Meta(ge=0, le=3600)] | None = None


class Drain(RouterComponent):
    """Knows how this worker's clients are let go, and is asked to do so."""

    life_log: ClassVar[Logger] = Logger()

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        # Here rather than in onJoin: an error of a component's constructor stops the node before its transports listen.
        from twisted.internet import reactor

        try:
            self._settings = parse_drain(config.extra)
        except InvalidEntry as error:
            refuse_to_start(str(error))
        if config.realm != OPERATORS_REALM:
            refuse_to_start(f"drain: its component belongs into realm {OPERATORS_REALM}, was in {config.realm}")
        self._reactor: Any = reactor
        self._draining = Draining(reactor, TransportSettings.open_connections, registry().stop)

    async def onJoin(self, details: SessionDetails) -> None:
        try:
            self._node = NodeLink(self, self._reactor, self._drain)
            await self._node.install()
            await register_checked(self, NODE_DRAIN, _Wanted, self._asked)
        except Exception as error:
            # Crossbar would go on and open the transports.
            self.life_log.failure("the drain component cannot install itself")
            refuse_to_start(f"the drain component cannot install itself: {error}")
        self.life_log.info("the node can be drained")

    def _asked(self, wanted: _Wanted, details: CallDetails) -> dict[str, Any]:
        over_s = self._settings.over_s if wanted.over_s is None else wanted.over_s
        self.life_log.info("{operator!r} has the node drained", operator=details.caller_authid)
        self._node.leave(over_s)
        return {"notice_s": self._settings.notice_s, "over_s": over_s}

    async def _drain(self, over_s: float | None, within_s: float | None) -> None:
        notice_s = self._settings.notice_s
        over_s = self._settings.over_s if over_s is None else over_s
        if within_s is not None:
            notice_s = min(notice_s, within_s)
            over_s = min(over_s, within_s - notice_s)
        drained = self._draining.begin(notice_s, over_s)
        set_hard_bound(self._draining.left_s + FLUSH_TIME_S + LAST_WORDS_S + SPARE_S)
        await drained

    def onUserError(self, fail: Failure, msg: str) -> None:
        """Log what a procedure raised by mistake; an ``ApplicationError`` is none, but an answer to its caller."""
        if not isinstance(fail.value, ApplicationError):
            self.life_log.failure(msg, failure=fail)
