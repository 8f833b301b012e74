"""Some of the feed's streams over one connection, and over two while the next one relieves the first.

The exchange ends each connection after 24 h. Before it does, or when it announces an end, the next one is opened. Both run
side by side: the first goes on being written, the next one's trades are kept. When the first has come to where the next one
began, for each symbol, and the next one to where the first was a moment ago, nothing lies between the two: what the next one
kept beyond that is written, and the first is dropped. When the first ends sooner, the next one takes its place as it is.

In the same way a line takes over the symbols of another one: its next connection brings them as well.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.base import DelayedCall
from twisted.internet.defer import DeferredList, ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from components.core.backoff import CAP_S, INITIAL_S, Backoff
from components.core.binance import Reply
from components.core.recent import Reached, Recent
from components.feed.intake import Control, Intake
from components.feed.streams import stream_name
from components.feed.upstream import Upstream, UpstreamRules, UpstreamState

OVERLAP_CHECK_S = 0.25


@dataclass(frozen=True, slots=True)
class Reports:
    """Whom a line tells."""

    state: Callable[[], None]
    """Its ``state`` may be another one."""

    lost: Callable[[str], None]
    """A connection was lost that was live, and there is no other in its place; with the reason."""

    refused: Callable[[Mapping[str, str]], None]
    """The exchange refuses to send symbols; with what it said of each."""

    took_over: Callable[[Line], None] = lambda _: None
    """The line brings the symbols of that one, too, which is to end."""


class Line:
    """Up to 1,024 streams, all of a symbol's among them."""

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        url: str,
        symbols: Sequence[str],
        kinds: Sequence[str],
        intake: Intake,
        reports: Reports,
        rules: UpstreamRules,
        lines: int = 1,
    ) -> None:
        """Bring the streams of ``symbols``, of these ``kinds``, from the exchange at ``url`` to ``intake``.

        ``lines`` says how many the feed has: see ``share_attempts``.
        """
        self.symbols = tuple(symbols)
        """What it is to bring; its connections are told by ``set_symbols``."""
        self.reconnects = 0
        """Connections that were made anew after one was lost, since the start."""
        self.rotations = 0
        """Connections that were relieved by the next one before they ended."""
        self._reactor = reactor
        self._url = url
        self._intake = intake
        self._kinds = tuple(kinds)
        self._reports = reports
        self._rules = rules
        self._quick = INITIAL_S, CAP_S * lines
        self._last_error = ""
        self._lost = False
        self._paused = False
        self._stopped = False
        self._rotation: DelayedCall | None = None
        self._check: DelayedCall | None = None
        self._live_s = 0.0
        self._reached: dict[str, Reached] | None = None
        self.taking_over: Line | None = None
        """Whose symbols the next connection brings as well."""

        self._current = _Connection(self, self.symbols, intake.recent, Backoff(random.random, *self._quick))
        self._next: _Connection | None = None

    def start(self) -> None:
        """Connect, and go on until ``stop``."""
        self._current.upstream.start()

    async def stop(self) -> None:
        """Close what is open and stay away."""
        self._stopped = True
        self._cancel_timers()
        upstreams = [one.upstream for one in (self._current, self._next) if one is not None]
        await DeferredList([ensureDeferred(upstream.stop()) for upstream in upstreams], consumeErrors=True)

    @property
    def streams(self) -> list[str]:
        """The exchange's names of what is brought."""
        return self.streams_of(self.symbols)

    def streams_of(self, symbols: Iterable[str]) -> list[str]:
        """Return the exchange's names of what is brought of symbols."""
        return [stream_name(symbol, kind) for symbol in symbols for kind in self._kinds]

    def set_symbols(self, symbols: Sequence[str]) -> None:
        """Bring these symbols from here on, and no others, by the connections that there are; ``intake`` has been told."""
        self.symbols = tuple(symbols)
        now_s, now_ms = self._reactor.seconds(), self._intake.wall_clock_ms()
        for connection in self._connections():
            carried = self._carried_by(connection)
            if connection.recent is not self._intake.recent:
                connection.recent.set_symbols(carried, now_s, now_ms)
            connection.upstream.set_streams(self.streams_of(carried))

    def _carried_by(self, connection: _Connection) -> tuple[str, ...]:
        other = () if connection is self._current or self.taking_over is None else self.taking_over.symbols
        return (*self.symbols, *other)

    def take_over(self, other: Line) -> bool:
        """Take over the symbols of a line that is live, and return whether that has begun; ``Reports.took_over`` tells its end.

        When the symbols of either change meanwhile, this line is to be told (``set_symbols``) when both are settled.
        """
        if self._next is not None or self._stopped or self.state is not UpstreamState.LIVE:
            return False
        self.taking_over = other
        self.rotate()
        return True

    def leave_other(self) -> None:
        """Take over nothing: the other line goes on, or has ended."""
        if self.taking_over is not None:
            self.taking_over = None
            self.set_symbols(self.symbols)

    def share_attempts(self, lines: int) -> None:
        """Be told how many lines the feed has: together they stay below the exchange's limit of attempts to connect."""
        self._quick = INITIAL_S, CAP_S * lines
        self._current.upstream.backoff.cap_s = CAP_S * lines

    def pause(self) -> None:
        """Stop reading."""
        self._paused = True
        for connection in self._connections():
            connection.upstream.pause()

    def resume(self) -> None:
        """Read again."""
        self._paused = False
        for connection in self._connections():
            connection.upstream.resume()

    def resubscribe(self, streams: Sequence[str]) -> None:
        """Ask for streams anew that went silent."""
        self._current.upstream.resubscribe(streams)

    @property
    def state(self) -> UpstreamState:
        """Of the connection whose frames are written."""
        return self._current.upstream.state

    @property
    def paused(self) -> bool:
        """Whether reading is stopped."""
        return self._paused

    @property
    def last_error(self) -> str:
        """Why a connection was lost last, or could not be made; empty where none was."""
        if self._next is not None and self._next.upstream.last_error:
            return f"the next connection: {self._next.upstream.last_error}"
        return self._current.upstream.last_error or self._last_error

    def rotate(self) -> None:
        """Open the next connection, unless that is under way."""
        if self._next is not None or self._stopped:
            return
        self.log.info("opening the next connection to {url}", url=self._url)
        rules = self._rules
        backoff = Backoff(random.random, rules.rotation_retry_initial_s, rules.rotation_retry_cap_s)
        carried = (*self.symbols, *(() if self.taking_over is None else self.taking_over.symbols))
        self._next = _Connection(self, carried, Recent(carried), backoff)
        if self._paused:
            self._next.upstream.pause()
        self._next.upstream.start()

    def _connections(self) -> Iterable[_Connection]:
        return [one for one in (self._current, self._next) if one is not None]

    # What the connections report.

    def connection_started(self, connection: _Connection) -> None:
        """Be told that a WebSocket connection is open."""
        now_s, now_ms = self._reactor.seconds(), self._intake.wall_clock_ms()
        if connection is self._current:
            self._intake.sequencer.connection_started(self.symbols)
            self._intake.recent.connection_started(self.symbols, now_s, now_ms)
            self._rotate_later(now_s)
        else:
            carried = self._carried_by(connection)
            connection.recent = Recent(carried)
            connection.recent.connection_started(carried, now_s, now_ms)
        connection.opened_s = now_s

    def state_changed(self, connection: _Connection) -> None:
        """Be told that a connection's state is another one."""
        state = connection.upstream.state
        if connection is self._next:
            self._cancel_check()
            if state is UpstreamState.LIVE:
                self._live_s = self._reactor.seconds()
                self._reached = None
                self._check = self._reactor.callLater(OVERLAP_CHECK_S, self._check_overlap)
        elif connection is self._current and not self._stopped:
            if state is UpstreamState.CONNECTING and self._next is not None:
                self._current_lost(self._next)
            elif state is UpstreamState.CONNECTING:
                self._current_gone()
            elif state is UpstreamState.LIVE and self._lost:
                self._lost = False
                self.reconnects += 1
            self._reports.state()
        elif connection is self._current:
            self._reports.state()

    def symbols_refused(self, refused: Mapping[str, str]) -> None:
        """Be told which symbols the exchange does not take, and what it said of each."""
        self._reports.refused(refused)

    def take_control(self, connection: _Connection, parsed: Control) -> None:
        """Take a frame that is no market data."""
        if isinstance(parsed, Reply):
            connection.upstream.answered(parsed)
        elif connection is self._current:
            connection.upstream.end_announced()
            self.rotate()
        else:
            connection.upstream.reconnect_now()

    # The change from one to the next.

    def _rotate_later(self, opened_s: float) -> None:
        if self._rotation is not None and self._rotation.active():
            self._rotation.cancel()
        rules = self._rules
        due_s = opened_s + rules.rotate_after_s + rules.rotate_jitter_s * random.uniform(-1, 1)  # noqa: S311  no secret
        self._rotation = self._reactor.callLater(max(0.0, due_s - self._reactor.seconds()), self.rotate)

    def _current_lost(self, following: _Connection) -> None:
        # The other line goes on by itself: side by side with that the next connection has not been for long enough.
        self.leave_other()
        if following.upstream.state is UpstreamState.CONNECTING and following.upstream.waiting:
            # It may wait long, since nothing was urgent; the lost one connects anew by itself, and soon.
            self._next = None
            self._retire(following)
            self._current_gone()
            return
        if following.upstream.state is not UpstreamState.LIVE:
            self._current_gone()
        self._relieve(following)

    def _current_gone(self) -> None:
        # Upon the start, and while one attempt follows another, nothing is lost that had been there.
        if self._current.upstream.connections > 0 and not self._lost:
            self._lost = True
            self._reports.lost(self._current.upstream.last_error)

    def _check_overlap(self) -> None:
        following = self._next
        if following is None:
            return
        beside_s = self._reactor.seconds() - self._live_s
        # What the first one had at the last look, the next one must have by this one.
        looked_before = self._reached is not None
        missing = following.recent.behind(self._reached or {})
        self._reached = self._intake.recent.reached(self._live_s)
        apart = self._intake.recent.lies_before(following.recent)
        if looked_before and beside_s >= self._rules.overlap_min_s and not missing and not apart:
            self._relieve(following)
        elif beside_s < self._rules.overlap_max_s or self._paused:
            self._check = self._reactor.callLater(OVERLAP_CHECK_S, self._check_overlap)
        elif missing:
            self.log.warn(
                "the next connection has not brought {count} symbols that the first one did, such as {first}: it is made anew",
                count=len(missing),
                first=missing[0],
            )
            following.upstream.give_up(f"{len(missing)} symbols are silent on it, such as {missing[0]}")
        else:
            # The first one has not brought what the next one did: the next one is better.
            self._relieve(following)

    def _relieve(self, following: _Connection) -> None:
        relieved, self._current, self._next = self._current, following, None
        self._cancel_check()
        other, self.taking_over = self.taking_over, None
        if other is not None:
            self.symbols = (*self.symbols, *other.symbols)
            self._reports.took_over(other)
        if not self._lost:
            self.rotations += 1
        self._intake.write_kept(following.recent)
        following.recent = self._intake.recent
        following.upstream.backoff.initial_s, following.upstream.backoff.cap_s = self._quick
        self._last_error = relieved.upstream.last_error
        if following.opened_s is not None:
            self._rotate_later(following.opened_s)
        self._retire(relieved)
        self.log.info("the next connection to {url} has taken over", url=self._url)
        self._reports.state()

    def _retire(self, connection: _Connection) -> None:
        # What it may still bring is kept nowhere.
        connection.recent = Recent(self.symbols)
        ensureDeferred(connection.upstream.stop()).addErrback(self._not_ended)

    def _not_ended(self, failure: Failure) -> None:
        self.log.failure("a relieved connection did not end as it should", failure=failure)

    def _cancel_check(self) -> None:
        if self._check is not None and self._check.active():
            self._check.cancel()
        self._check = None

    def _cancel_timers(self) -> None:
        self._cancel_check()
        if self._rotation is not None and self._rotation.active():
            self._rotation.cancel()
        self._rotation = None


class _Connection:
    """One connection of a line; see ``FrameConsumer``."""

    def __init__(self, line: Line, symbols: Iterable[str], recent: Recent, backoff: Backoff) -> None:
        self.recent = recent
        """Where what it brings is kept: the feed's own where it is also written."""
        self.opened_s: float | None = None
        self._line = line
        self._intake = line._intake
        self.upstream = Upstream(line._reactor, line._url, line.streams_of(symbols), self, backoff, line._rules)

    def connection_started(self) -> None:
        self._line.connection_started(self)

    def frames(self, frames: Iterable[bytes]) -> None:
        self._intake.take_frames(frames, self.recent, self._take_control)

    def _take_control(self, parsed: Control) -> None:
        self._line.take_control(self, parsed)

    def read_ended(self) -> None:
        self._intake.write_batch()

    def state_changed(self) -> None:
        self._line.state_changed(self)

    def symbols_refused(self, refused: Mapping[str, str]) -> None:
        self._line.symbols_refused(refused)
