"""From frames to batches: parse, keep, and while the feed leads, sequence and write to the bus.

Owns the epoch and what was kept; knows nothing of sockets, nor when to lead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.logger import Logger

from components.bus import BusWriter
from components.core.batch import Batch, Standing
from components.core.binance import (
    BookTicker,
    Ignored,
    MalformedFrame,
    MiniTicker,
    Reply,
    ServerShutdown,
    Trade,
    parse_frame,
)
from components.core.recent import Recent
from components.core.sequencer import Event, Sequencer, UnusableStanding

MAX_EVENTS_PER_BATCH = 1000

Control = Reply | ServerShutdown


class Intake:
    """What all connections of a feed bring, made into one sequence."""

    log = Logger()

    def __init__(
        self,
        symbols: tuple[str, ...],
        bus: BusWriter,
        monotonic_s: Callable[[], float],
        wall_clock_ms: Callable[[], int],
        observe_lag_s: Callable[[float], None] | None = None,
        pass_frames: Callable[[Iterable[bytes]], Iterable[bytes]] | None = None,
    ) -> None:
        """Begin as one that does not lead.

        ``observe_lag_s`` is told, per batch with a trade in it, how long after its newest trade it is written. ``pass_frames``
        sees the frames of each read as they come, from all connections, and hands them on as they are.
        """
        self.sequencer = Sequencer(symbols)
        self.recent = Recent(symbols)
        self.leading = False
        self.epoch = 0
        """That was led last, or continued; 0 before the first."""
        self.frames = 0
        self.malformed = 0
        self.ignored = 0
        self._bus = bus
        self._monotonic_s = monotonic_s
        self.wall_clock_ms = wall_clock_ms
        self._observe_lag_s = observe_lag_s
        self.lag_ms: int | None = None
        """Of the last batch with a trade in it: from the exchange's time of its newest to its way to the bus."""
        self._pass_frames = pass_frames
        self._batch_number = 0
        self._events: list[Event] = []
        self._newest_trade_ms: int | None = None

    def set_symbols(self, symbols: tuple[str, ...]) -> None:
        """Keep and number what comes of these symbols from here on, and of no others; what was numbered before is written."""
        if self.leading:
            self.write_batch()
        self.sequencer.set_symbols(symbols)
        self.recent.set_symbols(symbols, self._monotonic_s(), self.wall_clock_ms())

    # The lead

    def lead(self, since: Standing | None) -> None:
        """Number and write from here on; first of all what was kept and is not written yet.

        ``None`` begins an epoch, later than any that this feed has known, even where the clock is behind. It begins with what
        comes from here on and the newest best prices and statistics: trades that were kept may be written in the epoch before,
        which nobody can tell any more.
        """
        self._events = []
        self._newest_trade_ms = None
        if since is not None and self._continue_epoch(since):
            trades = self.recent.trades(self._monotonic_s())
        else:
            self.epoch = max(self.wall_clock_ms(), self.epoch + 1)
            self._batch_number = 0
            self.sequencer.begin_epoch()
            trades = iter(())
        self.leading = True
        self._write_all(self.sequencer.kept_tick(trade) for trade in trades)
        self._write_updates(self.recent)
        if self.leading:
            self.write_batch()

    def _continue_epoch(self, since: Standing) -> bool:
        self.epoch = max(self.epoch, since.epoch)
        if since.epoch < self.epoch:
            self.log.warn(
                "epoch {old} is not gone on with, since {newer} has begun: a new one begins",
                old=since.epoch,
                newer=self.epoch,
            )
            return False
        try:
            self.sequencer.continue_epoch(since, self.recent.opened_ms())
        except UnusableStanding as error:
            self.log.error("epoch {epoch} cannot be gone on with: {error}", epoch=since.epoch, error=error)  # noqa: TRY400
            return False
        self._batch_number = since.number
        return True

    def follow(self) -> None:
        """Write no more; what comes is kept."""
        self.leading = False
        self._events = []

    def write_kept(self, other: Recent) -> None:
        """Go on with what another connection has kept that was open beside the one whose symbols it takes over."""
        if self.leading:
            self._write_all(self.sequencer.kept_tick(trade) for trade in other.trades(self._monotonic_s()))
            self._write_updates(other)
            if self.leading:
                self.write_batch()
        self.recent.merge(other)

    def _write_updates(self, kept: Recent) -> None:
        now_s = self._monotonic_s()
        self._write_all(self.sequencer.kept_book(book, now_s) for book in kept.books())
        self._write_all(self.sequencer.kept_day(day, now_s) for day in kept.days())

    def _write_all(self, events: Iterable[Event | None]) -> None:
        for event in events:
            # The bus may have refused the batch before: then this feed leads no more.
            if not self.leading:
                return
            if event is not None:
                self._events.append(event)
                if len(self._events) >= MAX_EVENTS_PER_BATCH:
                    self.write_batch()

    # What connections bring

    def take_frames(self, frames: Iterable[bytes], recent: Recent, take_control: Callable[[Control], Any]) -> None:
        """Take the frames of one read. What another ``recent`` than this feed's own keeps is not written."""
        # One look at the clocks for all frames of a read: they came together.
        now_s, now_ms = self._monotonic_s(), self.wall_clock_ms()
        sequencer = self.sequencer
        writes = self.leading and recent is self.recent
        if self._pass_frames is not None:
            frames = self._pass_frames(frames)
        for frame in frames:
            self.frames += 1
            try:
                parsed = parse_frame(frame)
            except MalformedFrame:
                self.malformed += 1
                continue
            if isinstance(parsed, Trade):
                recent.tick(parsed, now_s)
                if not writes:
                    continue
                event = sequencer.tick(parsed)
                self._newest_trade_ms = parsed.ts_ms
            elif isinstance(parsed, BookTicker):
                recent.book(parsed, now_s, now_ms)
                if not writes:
                    continue
                event = sequencer.book(parsed, now_s, now_ms)
            elif isinstance(parsed, MiniTicker):
                recent.day(parsed)
                if not writes:
                    continue
                event = sequencer.day(parsed, now_s)
            elif isinstance(parsed, Ignored):
                self.ignored += 1
                continue
            else:
                take_control(parsed)
                writes = self.leading and recent is self.recent
                continue
            if event is not None:
                self._events.append(event)
                if len(self._events) >= MAX_EVENTS_PER_BATCH:
                    self.write_batch()
                    writes = self.leading and recent is self.recent
        recent.forget(now_s)

    def write_batch(self) -> None:
        """Hand what was sequenced to the bus."""
        if self._events:
            self._batch_number += 1
            events, self._events = self._events, []
            if self._newest_trade_ms is not None:
                self.lag_ms = max(0, self.wall_clock_ms() - self._newest_trade_ms)
                if self._observe_lag_s is not None:
                    self._observe_lag_s(self.lag_ms / 1000)
            self._newest_trade_ms = None
            self._bus.write(Batch(self.epoch, self._batch_number, events))
