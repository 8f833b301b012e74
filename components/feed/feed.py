"""From frames to batches: parse, sequence, write to the bus, and tell how it stands.

Owns the epoch, the counters and the staleness watch; never touches a router, and the exchange only through ``Upstream``.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import DeferredList, ensureDeferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from components.bus import BusWriter
from components.core.backoff import Backoff
from components.core.batch import Batch
from components.core.binance import (
    MAX_STREAMS_PER_CONNECTION,
    BookTicker,
    Ignored,
    MalformedFrame,
    Reply,
    ServerShutdown,
    Trade,
    parse_frame,
)
from components.core.sequencer import Event, Sequencer
from components.feed.upstream import Upstream, UpstreamRules, UpstreamState
from components.settings import FeedSettings

MAX_EVENTS_PER_BATCH = 1000
STATUS_INTERVAL_S = 1.0


class Feed:
    """One feed: all symbols of its settings, over as many connections as their streams need."""

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: FeedSettings,
        make_bus: Callable[[Feed], BusWriter],
        wall_clock_ms: Callable[[], int],
        on_failed: Callable[[Failure], None],
        rules: UpstreamRules | None = None,
    ) -> None:
        """Make a feed that writes to the bus which ``make_bus`` returns; ``start`` sets it going.

        ``reactor`` gives connections and monotonic time, ``wall_clock_ms`` the ms since 1970. ``on_failed`` is told of an error
        after which the feed cannot go on.
        """
        self.settings = settings
        self._reactor = reactor
        self._wall_clock_ms = wall_clock_ms
        self._on_failed = on_failed
        self._sequencer = Sequencer(settings.symbols)
        self._epoch = wall_clock_ms()
        self._batch_number = 0
        self._events: list[Event] = []
        self._frames = 0
        self._malformed = 0
        self._ignored = 0
        self._upstream_paused = 0
        self._stale: list[str] = []
        self._asked_again_s: dict[str, float] = {}
        self._since_ms = self._epoch
        self._state = UpstreamState.STOPPED
        streams = [
            f"{symbol.lower()}@{kind}" for symbol in settings.symbols for kind in (settings.trade_stream, "bookTicker")
        ]
        self._upstreams = [
            Upstream(
                reactor,
                settings.exchange_url,
                streams[start : start + MAX_STREAMS_PER_CONNECTION],
                _Connection(self),
                Backoff(random.random),
                rules,
            )
            for start in range(0, len(streams), MAX_STREAMS_PER_CONNECTION)
        ]
        for upstream in self._upstreams:
            upstream.consumer.upstream = upstream  # type: ignore[attr-defined]  # it is the _Connection made above
        self._bus = make_bus(self)
        self._ticker = LoopingCall(self._every_second)
        self._ticker.clock = reactor

    def start(self) -> None:
        """Connect to the exchange and go on until ``stop``."""
        self.log.info(
            "feed starts: {symbols} symbols from {url}",
            symbols=len(self.settings.symbols),
            url=self.settings.exchange_url,
        )
        for upstream in self._upstreams:
            upstream.start()
        self._ticker.start(STATUS_INTERVAL_S).addErrback(self._on_failed)

    async def stop(self) -> None:
        """Leave the exchange."""
        if self._ticker.running:
            self._ticker.stop()
        await DeferredList([ensureDeferred(upstream.stop()) for upstream in self._upstreams], consumeErrors=True)

    def pause(self) -> None:
        """Stop reading from the exchange: the bus is full."""
        self._upstream_paused += 1
        for upstream in self._upstreams:
            upstream.pause()

    def resume(self) -> None:
        """Read again: the bus has room."""
        for upstream in self._upstreams:
            upstream.resume()

    @property
    def state(self) -> UpstreamState:
        """The least of what the connections have reached."""
        states = {upstream.state for upstream in self._upstreams}
        for state in (UpstreamState.STOPPED, UpstreamState.CONNECTING, UpstreamState.SUBSCRIBING):
            if state in states:
                return state
        return UpstreamState.LIVE

    def status(self) -> dict[str, Any]:
        """Return the status as ``market.status`` shows it, all times in ms since 1970."""
        counters = self._sequencer.counters
        return {
            "epoch": self._epoch,
            "state": self.state.value,
            "since": self._since_ms,
            "exchange": {
                "url": self.settings.exchange_url,
                "connections": sum(upstream.state is UpstreamState.LIVE for upstream in self._upstreams),
                "reconnects": sum(max(0, upstream.connections - 1) for upstream in self._upstreams),
                "paused": any(upstream.paused for upstream in self._upstreams),
                "last_error": next((upstream.last_error for upstream in self._upstreams if upstream.last_error), ""),
            },
            "symbols": list(self.settings.symbols),
            "stale": self._stale,
            "counters": {
                "frames": self._frames,
                "ticks": counters.ticks,
                "books": counters.books,
                "malformed": self._malformed,
                "ignored": self._ignored,
                "duplicates": counters.duplicates,
                "gaps": counters.gaps,
                "missed_trades": counters.missed_trades,
                "id_resets": counters.id_resets,
                "unknown_symbols": counters.unknown_symbols,
                "upstream_paused": self._upstream_paused,
            },
        }

    # What the connections bring.

    def _take_frames(self, upstream: Upstream, frames: Iterable[bytes]) -> None:
        # One look at the clocks for all frames of a read: they came together.
        now_s, now_ms = self._reactor.seconds(), self._wall_clock_ms()
        sequencer = self._sequencer
        for frame in frames:
            self._frames += 1
            try:
                parsed = parse_frame(frame)
            except MalformedFrame:
                self._malformed += 1
                continue
            if isinstance(parsed, Trade):
                event = sequencer.tick(parsed, now_s)
            elif isinstance(parsed, BookTicker):
                event = sequencer.book(parsed, now_s, now_ms)
            else:
                self._take_control(upstream, parsed)
                continue
            if event is not None:
                self._events.append(event)
                if len(self._events) >= MAX_EVENTS_PER_BATCH:
                    self._write_batch()

    def _take_control(self, upstream: Upstream, parsed: Reply | ServerShutdown | Ignored) -> None:
        if isinstance(parsed, Reply):
            upstream.answered(parsed)
        elif isinstance(parsed, ServerShutdown):
            upstream.reconnect_now()
        else:
            self._ignored += 1

    def _write_batch(self) -> None:
        if self._events:
            self._batch_number += 1
            events, self._events = self._events, []
            self._bus.write(Batch(self._epoch, self._batch_number, events))

    def _connection_started(self, upstream: Upstream) -> None:
        names = {stream.partition("@")[0].upper() for stream in upstream.streams}
        self._sequencer.connection_started(names, self._reactor.seconds())

    def _state_changed(self) -> None:
        if self.state is not self._state:
            self._state = self.state
            self._since_ms = self._wall_clock_ms()
            # Who was silent on the connection before says nothing of this one.
            self._stale = []
            if self._ticker.running:
                self._write_status()

    def _every_second(self) -> None:
        self._watch_stale_symbols()
        self._write_status()

    def _write_status(self) -> None:
        self._bus.write_status(json.dumps(self.status()).encode())

    def _watch_stale_symbols(self) -> None:
        now_s = self._reactor.seconds()
        after_s = self.settings.stale_after_s
        if self.state is not UpstreamState.LIVE:
            # Nothing flows: the state says so already, and asking again is the connection's business.
            return
        stale = self._sequencer.stale(now_s, after_s)
        newly = [symbol for symbol in stale if symbol not in self._stale]
        if newly:
            self.log.warn(
                "{count} symbols silent for {after_s:g} s, first {first}",
                count=len(newly),
                after_s=after_s,
                first=newly[0],
            )
        self._stale = stale
        # A subscription can go silent after a good acknowledgement; once per period it is made anew.
        due = {symbol for symbol in stale if now_s - self._asked_again_s.get(symbol, float("-inf")) >= after_s}
        self._asked_again_s = {symbol: asked for symbol, asked in self._asked_again_s.items() if symbol in stale}
        self._asked_again_s.update(dict.fromkeys(due, now_s))
        for upstream in self._upstreams:
            streams = [stream for stream in upstream.streams if stream.partition("@")[0].upper() in due]
            if streams:
                upstream.resubscribe(streams)


class _Connection:
    """What one ``Upstream`` hands to its feed."""

    upstream: Upstream

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def connection_started(self) -> None:
        self._feed._connection_started(self.upstream)

    def frames(self, frames: Iterable[bytes]) -> None:
        self._feed._take_frames(self.upstream, frames)

    def read_ended(self) -> None:
        self._feed._write_batch()

    def state_changed(self) -> None:
        self._feed._state_changed()
