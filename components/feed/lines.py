"""All of a feed's lines to the exchange: which of them brings which symbol, and how they stand together.

Whatever changes, what is followed before and after it comes without a hole. Lines are filled up before one is added, and end
when they have nothing to bring; where one would do for two, one takes over from the other as it does from its own last
connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from components.core.binance import MAX_STREAMS_PER_CONNECTION
from components.feed.intake import Intake
from components.feed.line import Line, Reports
from components.feed.upstream import UpstreamRules, UpstreamState


class Lines:
    """As many as the symbols need."""

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        url: str,
        kinds: Sequence[str],
        symbols: Sequence[str],
        intake: Intake,
        reports: Reports,
        rules: UpstreamRules,
    ) -> None:
        """Bring the streams of ``symbols``, of these ``kinds``, from the exchange at ``url`` to ``intake`` once started."""
        self.paused = False
        self._reports = reports
        self._make = partial(Line, reactor, url, kinds=tuple(kinds), intake=intake, rules=rules)
        self._most_symbols = MAX_STREAMS_PER_CONNECTION // len(kinds)
        self._lines: list[Line] = []
        self._joining: set[Line] = set()
        """Lines that were added while there were others, and have not been live: how all stand does not depend on them."""

        self._ending: set[Deferred[None]] = set()
        self._reconnects_before = 0
        self._rotations_before = 0
        """Of lines that have ended."""

        self._running = False
        self.follow(symbols)

    def __iter__(self) -> Iterator[Line]:
        """Return an iterator over the lines that there are."""
        return iter(tuple(self._lines))

    def start(self) -> None:
        """Connect, and go on until ``stop``."""
        self._running = True
        for line in self:
            line.start()

    async def stop(self) -> None:
        """Close what is open and stay away."""
        self._running = False
        await DeferredList(
            [*(ensureDeferred(line.stop()) for line in self), *self._ending],
            consumeErrors=True,
        )

    def follow(self, symbols: Sequence[str]) -> None:
        """Bring these symbols from here on, and no others; the intake has been told.

        Whoever is told of it may ask for a change itself, as the exchange does that refuses a symbol: which line brings what is
        settled before any is told, and told as it is by then.
        """
        changed, ended, added = self._settle(symbols)
        for line in changed:
            if line in self._lines:
                line.set_symbols(line.symbols)
        for line in ended:
            self._stop(line)
        for line in added:
            if line in self._lines:
                self._begin(line)
        for line in self._lines:
            line.share_attempts(len(self._lines))
        self._save_a_line()

    def _settle(self, symbols: Sequence[str]) -> tuple[list[Line], list[Line], list[Line]]:
        """Share out the symbols among the lines; return those that changed, that have ended, and that were added."""
        wanted = frozenset(symbols)
        kept = {line: [symbol for symbol in line.symbols if symbol in wanted] for line in self._lines}
        carried = frozenset(symbol for of_line in kept.values() for symbol in of_line)
        rest = [symbol for symbol in symbols if symbol not in carried]
        for line, of_line in sorted(kept.items(), key=lambda one: len(one[1]), reverse=True):
            room = self._most_symbols - len(of_line)
            if line.taking_over is not None:
                room -= len(kept[line.taking_over])
            elif self._taker_of(line) is not None:
                room = 0
            of_line += rest[:room]
            rest = rest[room:]
        # The next connection of one that takes over from another brings the symbols of both, or as of here its own alone.
        changed = [
            line for line, of_line in kept.items() if line.taking_over is not None or tuple(of_line) != line.symbols
        ]
        for line in changed:
            line.symbols = tuple(kept[line])
        ended = [line for line in changed if not line.symbols]
        for line in ended:
            self._remove(line)
        added = [
            self._add(rest[start : start + self._most_symbols]) for start in range(0, len(rest), self._most_symbols)
        ]
        return changed, ended, added

    def _taker_of(self, line: Line) -> Line | None:
        return next((taker for taker in self._lines if taker.taking_over is line), None)

    def _save_a_line(self) -> None:
        """Let one line do for two, where it can and both are live; one at a time."""
        if not self._running or len(self._lines) < 2 or any(line.taking_over is not None for line in self._lines):
            return
        given, taker = sorted(self._lines, key=lambda line: len(line.symbols))[:2]
        if (
            len(given.symbols) + len(taker.symbols) <= self._most_symbols
            and given.state is UpstreamState.LIVE
            and taker.take_over(given)
        ):
            self.log.info("one connection to the exchange is enough for what two bring")

    def _took_over(self, given: Line) -> None:
        self._remove(given)
        self._stop(given)
        for line in self._lines:
            line.share_attempts(len(self._lines))

    def _add(self, symbols: Sequence[str]) -> Line:
        line: Line
        reports = Reports(lambda: self._state_changed(line), self._reports.lost, self._reports.refused, self._took_over)
        line = self._make(symbols=symbols, reports=reports)
        if self._running and self._lines:
            self._joining.add(line)
        self._lines.append(line)
        if self.paused:
            line.pause()
        return line

    def _begin(self, line: Line) -> None:
        if self._running:
            self.log.info("one more connection to the exchange, for {count} symbols", count=len(line.symbols))
            line.start()

    def _remove(self, line: Line) -> None:
        taker = self._taker_of(line)
        if taker is not None:
            taker.taking_over = None
        self._lines.remove(line)
        self._joining.discard(line)
        self._reconnects_before += line.reconnects
        self._rotations_before += line.rotations

    def _stop(self, line: Line) -> None:
        if not self._running:
            return
        self.log.info("a connection to the exchange ends, since it has nothing to bring any more")
        ending = ensureDeferred(line.stop())
        self._ending.add(ending)

        def ended(result: object) -> None:
            self._ending.discard(ending)
            if isinstance(result, Failure):
                self.log.failure("a connection did not end as it should", failure=result)

        ending.addBoth(ended)

    def _state_changed(self, line: Line) -> None:
        if line.state is UpstreamState.LIVE:
            self._joining.discard(line)
        if line in self._lines:
            self._reports.state()
            self._save_a_line()

    def pause(self) -> None:
        """Stop reading."""
        self.paused = True
        for line in self._lines:
            line.pause()

    def resume(self) -> None:
        """Read again."""
        self.paused = False
        for line in self._lines:
            line.resume()

    def resubscribe(self, streams: Iterable[str]) -> None:
        """Ask for streams anew that went silent."""
        wanted = frozenset(streams)
        for line in self._lines:
            of_line = [stream for stream in line.streams if stream in wanted]
            if of_line:
                line.resubscribe(of_line)

    # How they stand.

    @property
    def state(self) -> UpstreamState:
        """The least of what the connections have reached; ``STOPPED`` where there is nothing to bring."""
        states = {line.state for line in self._lines if line not in self._joining} or {
            line.state for line in self._lines
        }
        for state in (UpstreamState.STOPPED, UpstreamState.CONNECTING, UpstreamState.SUBSCRIBING):
            if state in states:
                return state
        return UpstreamState.LIVE if states else UpstreamState.STOPPED

    @property
    def reconnects(self) -> int:
        """Connections that were made anew after one was lost, since the start."""
        return self._reconnects_before + sum(line.reconnects for line in self._lines)

    def status(self) -> dict[str, Any]:
        """Return what ``exchange`` says in the feed's status, besides the address."""
        return {
            "connections": sum(line.state is UpstreamState.LIVE for line in self._lines),
            "reconnects": self.reconnects,
            "rotations": self._rotations_before + sum(line.rotations for line in self._lines),
            "paused": any(line.paused for line in self._lines),
            "last_error": next((line.last_error for line in self._lines if line.last_error), ""),
        }
