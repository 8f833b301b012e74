"""Looks once a second at what the parts of a router worker say of themselves, and puts down what is wrong by its name."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

from twisted.logger import Logger

from components.core.closing import CloseReason
from components.core.faults import Fault
from components.core.leading_feed import LeadingFeed
from components.core.limits import SESSION_LIMITS
from components.core.market import Market
from components.core.refusals import MAX_NAMED, RefusalLines, Told, by_cause
from components.router import runtime
from components.router.listeners.listener import Listener
from components.router.runtime import Runtime

CUTS = (
    *(CloseReason.STALLED, CloseReason.QUEUE_FULL, CloseReason.TOO_MANY_BYTES),
    *(CloseReason.LIMIT_EXCEEDED, CloseReason.MESSAGE_TIMEOUT),
)
"""Why a client is closed that did something it should not, or was not fast enough."""

MANY_REFUSALS = 100
"""Within a second: fewer are a client that tries again, or a page that is loaded."""

EXPIRES_SOON_S = 7 * 86_400.0
START_LOOKS = 60
"""A worker that is ready within so many seconds has started as it should. A cold start reads the bus for up to 30 s."""

LINK_PATIENCE_LOOKS = 3
"""A link that is made anew within so many seconds is not told of: peers that start come one after the other."""


class FaultWatch:
    """One per router worker with a gateway."""

    log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        realm: str,
        worker: Runtime,
        feed: LeadingFeed,
        listeners: Callable[[], Iterable[Listener]],
        unix_s: Callable[[], float] = time.time,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """Watch the gateway of a ``realm``.

        ``feed`` takes each look at the status; ``listeners`` returns those that clients connect to; ``seconds``
        never goes back.
        """
        self._realm = realm
        self._worker = worker
        self._faults = worker.faults
        self._feed = feed
        self._listeners = listeners
        self._unix_s = unix_s
        self._seconds = seconds
        self._refusal_lines: defaultdict[str, RefusalLines] = defaultdict(RefusalLines)
        """Of each realm's sessions."""
        self._counted: dict[str, int] = {}
        self._looks_down: dict[str, int] = {}
        self._looks_at_start = 0

    def look(self) -> None:
        """Look at everything."""
        market = self._worker.market
        self._look_at_bus(market)
        if market is not None:
            self._look_at_feed(market)
        because = self._worker.readiness()
        self._look_at_node(because)
        self._look_at_links()
        self._look_at_certificates()
        self._look_at_clients()
        if self._faults.starting:
            self._look_at_start(is_ready=not because)

    def _look_at_start(self, *, is_ready: bool) -> None:
        self._looks_at_start += 1
        if is_ready or self._looks_at_start >= START_LOOKS:
            self._faults.end_start(ordinary=is_ready)

    def _look_at_bus(self, market: Market | None) -> None:
        bus = self._worker.bus
        if bus is None:
            return
        self._say(Fault.BUS_AWAY, bus.troubles())
        self._say(Fault.BUS_AT_RISK, bus.warnings())
        self._faults.tell(Fault.BUS_RETURNED, times=self._grown("reconnects", bus.figures.reconnects))
        # The bus counts what it knows to be gone, the market what is missing in the numbers; mostly these are the same.
        missed = max(
            self._grown("bus_missed", bus.figures.missed_batches),
            self._grown("market_missed", 0 if market is None else market.missed_batches),
        )
        self._faults.tell(Fault.BATCHES_MISSED, f"{missed} batches", times=missed)

    def _look_at_feed(self, market: Market) -> None:
        status = market.status()
        state = str(status.get("state", ""))
        silent_s = market.feed_silent_s
        # One that has not been heard yet is not lost: the gateway is starting, and says so in what keeps it from being ready.
        is_lost = market.feed_lost and silent_s is not None
        shortage = [] if self._worker.bus is None else self._worker.bus.shortage()
        self._say(Fault.FEED_LOST, [f"none heard for {silent_s:.0f} s", *shortage] if is_lost else [])
        is_heard = bool(state) and not market.feed_lost
        error = str(status.get("exchange", {}).get("last_error", "")) if is_heard else ""
        # One that is stopped has nothing to follow.
        unreachable = is_heard and state in ("connecting", "subscribing")
        self._say(Fault.EXCHANGE_UNREACHABLE, [f"{state}: {error}" if error else state] if unreachable else [])
        stale, symbols = len(market.stale), len(market.symbols)
        self._say(Fault.SYMBOLS_STALE, [f"{stale} of {symbols}"] if is_heard and stale else [])
        changes = self._feed.look(status)
        if changes.took_over is not None:
            self._faults.tell(Fault.FEED_TOOK_OVER, "{} leads, {} did".format(*reversed(changes.took_over)))
        if changes.began_epoch is not None:
            self._faults.tell(Fault.EPOCH_BEGAN, "{} after {}".format(*reversed(changes.began_epoch)))
        self._faults.tell(Fault.EXCHANGE_RECONNECTED, times=changes.reconnects)
        self._faults.tell(Fault.TRADES_MISSED, times=changes.missed_trades)

    def _look_at_node(self, because: Iterable[str]) -> None:
        self._say(Fault.GATEWAY_NOT_READY, because)
        self._faults.set(Fault.NODE_DRAINING, runtime.drains())
        keys = self._worker.environment.authority.source.status()
        self._say(Fault.KEYS_STALE, [keys.last_error or "there are none"] if keys.last_error or not keys.keys else [])
        closed = runtime.closed_because(self._realm)
        self._say(Fault.REALM_CLOSED, [] if closed is None else [closed])

    def _look_at_links(self) -> None:
        self._looks_down = {
            name: self._looks_down.get(name, 0) + 1 for name, link in self._worker.links.items() if not link.up
        }
        down = sorted(name for name, looks in self._looks_down.items() if looks >= LINK_PATIENCE_LOOKS)
        self._say(Fault.LINK_DOWN, [", ".join(down)] if down else [])

    def _look_at_certificates(self) -> None:
        now_s = self._unix_s()
        stale, expiring = [], []
        for listener in self._listeners():
            certificates = listener.certificates
            if certificates is not None:
                if certificates.stale:
                    stale.append(listener.name)
                if certificates.not_after_s - now_s < EXPIRES_SOON_S:
                    expiring.append(listener.name)
        self._say(Fault.CERTIFICATE_STALE, stale)
        self._say(Fault.CERTIFICATE_EXPIRES, expiring)

    def _look_at_clients(self) -> None:
        worker = self._worker
        cut = {reason: self._grown(reason.value, worker.disconnects[reason]) for reason in CUTS}
        told = ", ".join(f"{times} by {reason.value}" for reason, times in cut.items() if times)
        self._faults.tell(Fault.CLIENTS_CUT, told, times=sum(cut.values()))
        self._faults.tell(Fault.CLIENTS_VANISHED, times=self._grown("pings", worker.ping_failures))
        self._look_at_refusals()

    def _look_at_refusals(self) -> None:
        refused: Counter[str] = Counter()
        for cause, number in self._worker.refused_tickets.items():
            refused[f"ticket ({cause})"] += number
        for realm, seats in runtime.gatekeepers().items():
            refused.update(seats.refused)
            self._log_refused_sessions(realm, seats.refused)
        for listener in self._listeners():
            refused.update(listener.refused)
            refused.update(listener.http_policy.refused)
            listener.log_refusals()
        grown = {cause: self._grown(f"refused by {cause}", number) for cause, number in refused.items()}
        total = sum(grown.values())
        if total >= MANY_REFUSALS:
            self._faults.tell(Fault.CLIENTS_REFUSED, f"{total} in a second: {by_cause(grown, MAX_NAMED)}", times=total)

    def _log_refused_sessions(self, realm: str, refused: Mapping[str, int]) -> None:
        """Log those whom the realm had no room for. What sessions may not do is theirs to know, and in the metrics."""
        sessions = {limit: refused.get(limit, 0) for limit in SESSION_LIMITS}
        told = self._refusal_lines[realm].due(sum(sessions.values()), self._seconds())
        if told is Told.REFUSES:
            self.log.warn(
                "realm {realm} has refused sessions since its start: {refused}", realm=realm, refused=by_cause(sessions)
            )
        elif told is Told.OVER:
            self.log.warn(
                "realm {realm} refuses none for now; it has refused sessions since its start: {refused}",
                realm=realm,
                refused=by_cause(sessions),
            )

    def _say(self, fault: Fault, because: Iterable[str]) -> None:
        """Say that a condition is as long as there is something to say of it."""
        text = "; ".join(because)
        self._faults.set(fault, bool(text), text)

    def _grown(self, name: str, count: int) -> int:
        before, self._counted[name] = self._counted.get(name, 0), count
        return max(count - before, 0)
