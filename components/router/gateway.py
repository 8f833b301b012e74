"""The in-router component of realm ``market``: relay, market API and authoriser on one session.

Owns the order of the start: what must be in place before a client may come is in place when ``onJoin`` returns, and when it
cannot be, the worker ends before its transports listen.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from autobahn.wamp import ApplicationError
from autobahn.wamp.types import CallDetails, PublishOptions, SessionDetails
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from components.bus.choice import make_reader
from components.core.closing import CloseReason, EndedBy, Ending
from components.core.faults import Fault
from components.core.grants import Grants, grants_of
from components.core.market import Market
from components.core.outbox import Condenser, OutboxCounters
from components.core.payload import EncodedPayload
from components.core.rates import RateConflator
from components.core.replay import TickHistory
from components.core.retained import RetainedEvents
from components.core.topics import STREAMS
from components.environment import NodeEnvironment, refuse_to_start
from components.logs import safe_log
from components.loop_lag import LoopLag
from components.router import runtime
from components.router.buffer_usage import BufferMeasure
from components.router.component import RouterComponent
from components.router.engine.fanout import MadeMs, no_time
from components.router.fanout_settings import FanOutSettings, FanOutSettingsError
from components.router.fault_watch import FaultWatch
from components.router.feed_symbols.ways import way_to_feeds
from components.router.figures import Figures
from components.router.garbage import Garbage
from components.router.listeners.listener import registry
from components.router.market_api import MarketApi
from components.router.plain.market import MarketView
from components.router.rate_topics import RateTopics
from components.router.readiness_log import ReadinessLog
from components.router.relay import Relay
from components.router.seam.connections import install_transports
from components.router.seam.plain_session import install_sessions
from components.router.seam.router_seam import RouterSeam
from components.router.seam.transports import TransportSettings
from components.tokens import CLIENT_ROLES
from components.uris import AUTHORIZE, ERROR_NOT_READY, MARKET_STATUS

_RETAINED = PublishOptions(retain=True)


class Gateway(RouterComponent):
    """Turns batches of the bus into events, and answers for the market."""

    life_log: ClassVar[Logger] = Logger()
    """Not ``log``: that one is Autobahn's, which costs nothing for the debug lines that it writes per message."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        # Here rather than in onJoin: an error of a component's constructor stops the node before its transports listen.
        from twisted.internet import reactor

        safe_log.install(reactor)
        environment = NodeEnvironment.load(config)
        try:
            self._fanout_settings = FanOutSettings.from_extra(config.extra)
        except FanOutSettingsError as error:
            refuse_to_start(f"realm {config.realm}: {error}")
        self._reactor: Any = reactor
        self._outbox_counters = OutboxCounters()
        self._garbage = Garbage(reactor)
        self._turns = install_transports(
            reactor,
            self._fanout_settings.outbox,
            self._outbox_counters,
            self._fanout_settings.send_buffer_bytes,
            self._count_cut,
            self._count_ping_failure,
            self._count_violation,
            self._connection_gone,
        )
        self._market = Market(time.monotonic, time.time)
        self._history = TickHistory(self._fanout_settings.replay, time.monotonic)
        conflator = RateConflator(self._fanout_settings.rates)
        self._conflator = conflator
        self._families = frozenset([*filter(None, STREAMS.values()), *(rate.name for rate in conflator.rates)])
        self._rates = RateTopics(reactor, time.monotonic, conflator, self._publish_batch)
        max_age_s = self._fanout_settings.snapshot_max_age_s
        self._retained_events = RetainedEvents(self._market, conflator, max_age_s, time.monotonic)
        self._relay = Relay(
            self._market,
            self._history,
            self._rates,
            self._retained_events,
            self._publish_batch,
            self._publish_status,
            time.monotonic,
        )
        self._joined = False
        self._readiness = ReadinessLog()
        self._view = MarketView(
            self._market, self._history, self._relay.awaits_history, self._session_grants, conflator.rates
        )
        self._watch = LoopingCall(self._look)
        self._bus_settings = environment.settings.bus
        self._authority = environment.authority
        self._authority.start(reactor)
        self._runtime = runtime.Runtime(environment, self._not_ready_because, self._history, self._relay.degraded)
        runtime.install(self._runtime)

    async def onJoin(self, details: SessionDetails) -> None:
        try:
            await self._install(details)
        except Exception as error:
            # Crossbar would go on and open the transports.
            self.life_log.failure("the gateway cannot install itself")
            refuse_to_start(f"the gateway cannot install itself: {error}")

    async def _install(self, details: SessionDetails) -> None:
        settings = self._fanout_settings
        self._seam = RouterSeam(
            self,
            self._reactor,
            self._decide,
            self._retained,
            self._rates,
            partial(Condenser, settings.outbox),
            settings.window_s,
            settings.hold,
        )
        self._seam.market = self._view
        install_sessions(self)
        await self.register(self._authorize, AUTHORIZE)
        awaits_history = self._relay.awaits_history
        await MarketApi(self._market, self._history, awaits_history, self._caller_grants, time.time).register(self)
        self._runtime.bus = bus = make_reader(self._bus_settings, self._reactor, self, self._seam.direct_calls)
        self._relay.listen_to(bus)
        self._runtime.way_to_feeds = way_to_feeds(self._bus_settings, self._reactor, self.call)
        self._turns.come_first(bus.read_ahead)
        self._turns.come_first(self._seam.fanout.flush_if_due)
        await bus.start(self._relay)
        self._runtime.market, self._runtime.rates = self._market, self._conflator.rates
        self._runtime.followers = self._seam.followers
        figures = self._runtime.figures = Figures(
            self._seam.fanout,
            self._outbox_counters,
            BufferMeasure(self._reactor, TransportSettings.open_connections),
            LoopLag(self._reactor, self._loop_blocked),
        )
        self._seam.watch_subscriptions(figures.symbols)
        self._faults = FaultWatch(details.realm, self._runtime, figures.feed, registry().listeners.values)
        self._joined = True
        figures.loop_lag.start()
        self._watch.start(1.0).addErrback(self._watch_failed)
        self._garbage.start()
        self.life_log.info(
            "gateway of realm {realm} is up: bus {bus}, ticks at {rates}",
            realm=details.realm,
            bus=self._bus_settings.kind,
            rates=[rate.name for rate in self._conflator.rates],
        )

    def onLeave(self, details: Any) -> None:
        self._joined = False
        self._rates.stop()
        if self._watch.running:
            self._watch.stop()
        if self._runtime.figures is not None:
            self._runtime.figures.loop_lag.stop()
        if self._runtime.bus is not None:
            ensureDeferred(self._runtime.bus.stop()).addErrback(self._bus_not_stopped)

    def _look(self) -> None:
        self._relay.watch()
        self._view.watch()
        self._faults.look()
        if self._joined:
            self._readiness.look(self._runtime.readiness())

    # Relay

    def _publish_batch(self, events: Sequence[tuple[str, EncodedPayload]], made_ms: MadeMs = no_time) -> None:
        self._seam.publish_batch(events, made_ms)

    def _retained(self, session: Any, uri: str, match: str) -> list[tuple[str, EncodedPayload]]:
        grants = self._grants(session._authrole, session._authid, session._authextra)
        events = self._retained_events.received_by(uri, match, grants)
        return [(topic, EncodedPayload(payload)) for topic, payload in events]

    def _count_cut(self, reason: CloseReason, authid: str | None, address: str) -> None:
        self._runtime.disconnects[reason] += 1
        self.life_log.info(
            "session closed: {reason}, authid {authid!r}, from {address}",
            reason=reason.value,
            authid=authid,
            address=address,
        )

    def _connection_gone(self, ended_by: EndedBy | None) -> None:
        # Those that are closed for a reason are counted when that is decided.
        if isinstance(ended_by, Ending):
            self._runtime.disconnects[ended_by] += 1
        self._garbage.connection_gone()

    def _count_ping_failure(self) -> None:
        self._runtime.ping_failures += 1

    def _count_violation(self) -> None:
        self._runtime.violations += 1

    def _loop_blocked(self, lag_s: float) -> None:
        self._runtime.faults.tell(Fault.LOOP_BLOCKED, f"for {lag_s:.1f} s")

    def _publish_status(self, status: dict[str, Any]) -> None:
        self.publish(MARKET_STATUS, status, options=_RETAINED)

    def _bus_not_stopped(self, failure: Failure) -> None:
        self.life_log.failure("reading from the bus could not be stopped", failure=failure)

    def _watch_failed(self, failure: Failure) -> None:
        self.life_log.failure("the watch over the feed stopped", failure=failure)

    def _not_ready_because(self) -> list[str]:
        return [*self._authority.not_ready_because(), *self._market_not_ready_because()]

    def _market_not_ready_because(self) -> list[str]:
        if not self._joined:
            return ["the gateway component has not joined its realm"]
        closed_because = runtime.closed_because(self.config.realm)
        if closed_because is not None:
            return [closed_because]
        return self._relay.not_ready_because()

    def onUserError(self, fail: Failure, msg: str) -> None:
        """Log what a procedure raised by mistake; an ``ApplicationError`` is none, but an answer to its caller."""
        if not isinstance(fail.value, ApplicationError):
            self.life_log.failure(msg, failure=fail)

    # Authorisation

    def _decide(self, session: Any, action: str, uri: str, options: dict[str, Any]) -> dict[str, Any] | None:
        """Authorise a client's session on the spot; other sessions are Crossbar's to decide, by their roles' permissions."""
        if session._authrole not in CLIENT_ROLES:
            return None
        return _decision(self._session_grants(session), action, uri, options)

    def _session_grants(self, session: Any) -> Grants:
        # A session object may join again, with another token; what the authenticator noted is then another object, too.
        noted = session._authextra
        known: tuple[object, Grants] | None = getattr(session, "grants", None)
        if known is not None and known[0] is noted:
            return known[1]
        grants = self._grants(session._authrole, session._authid, noted)
        session.grants = (noted, grants)
        return grants

    def _authorize(
        self, session: dict[str, Any], uri: str, action: str, options: dict[str, Any] | None
    ) -> dict[str, Any]:
        # The configuration names this procedure as the client roles' authorizer; ``_decide`` comes before it.
        grants = self._grants(session["authrole"], session["authid"], session.get("authextra"))
        return _decision(grants, action, uri, options or {})

    def _caller_grants(self, details: CallDetails) -> Grants:
        extra = self._seam.auth_extra(details.caller)
        if extra is None:
            raise ApplicationError(ERROR_NOT_READY, "the calling session has left")
        return self._grants(details.caller_authrole, details.caller_authid, extra)

    def _grants(self, role: str, authid: str, auth_extra: dict[str, Any] | None) -> Grants:
        extra = auth_extra or {}
        return grants_of(role, authid, extra.get("symbols"), extra.get("services", ()), self._families)


def _decision(grants: Grants, action: str, uri: str, options: dict[str, Any]) -> dict[str, Any]:
    allowed = grants.allows(action, uri, options.get("match") or "exact")
    if action == "publish" and options.get("retain"):
        # Crossbar keeps retained events for ever, and of those with options any number: no client's to fill.
        allowed = False
    # Never cached: Crossbar's cache knows the role and the URI, not the token.
    decision: dict[str, Any] = {"allow": allowed, "cache": False}
    if action in ("call", "publish"):
        # The market API and services need to know who calls; events do not tell who published.
        decision["disclose"] = action == "call"
    return decision
