"""The ticks of the last minutes, by symbol: what a client that was away for a while is given to join on.

Owns what is kept and what an answer says; never touches a session, a bus or a clock.

- Ticks of one epoch only: that of the newest batch, or an earlier one where the bus has gone back to it (``begin_epoch``).
- Kept are, per symbol, the newest ``max_events_per_symbol``, and of those what fits into ``max_bytes`` and is not older than
  ``max_age``. Bytes and age forget the oldest ticks of all symbols at once, in 32 parts; so a tick is gone for its age a 32nd
  of it late, and the bytes may be exceeded by one batch. The age of history counts from when it was put in.
- An answer names every number between where the asker is and the newest tick: the tick is in it, or its number in ``missing``,
  be it forgotten, never seen here, or lost on the bus.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from typing import Annotated

import msgspec
from msgspec import Meta

from components.core.batch import Batch
from components.core.merge import Stream, stream_of
from components.uris import tick_topic

OVERHEAD_BYTES = 200
"""What keeping a tick costs besides its payload: the tuple, the topic's text, the number, the places of these in a ring."""

MAX_ANSWER_BYTES = 131_072
"""Of the ticks in one answer: far below a transport's largest message, and little that other clients' ticks wait for."""

MAX_ANSWER_EVENTS = 1000

_PARTS = 32
"""Ticks are forgotten by age and bytes in so many parts."""

_Event = tuple[str, int, bytes]
"""``(topic, seq, payload)``, the very tuple of the batch: one more object per tick would double the cost."""

_Ring = deque[_Event]

_seq_of = itemgetter(1)


class ReplaySettings(msgspec.Struct, frozen=True):
    """Bounds of what one router worker keeps."""

    max_events_per_symbol: Annotated[int, Meta(ge=1, le=1_000_000)] = 20_000
    """Of one symbol, the newest."""

    max_bytes: Annotated[int, Meta(ge=65_536, le=2**40)] = 67_108_864
    """Of all symbols' ticks, with some 200 bytes that keeping each costs. They take it up to that, whoever asks or not."""

    max_age: Annotated[float, Meta(gt=0, le=86_400)] = 300.0
    """Seconds after which a tick is forgotten."""


class SeqAhead(ValueError):
    """Who asks has a number that no tick of the epoch has had here."""

    def __init__(self, newest_seq: int) -> None:
        super().__init__(f"after_seq must be at most {newest_seq}, the newest of this epoch")


@dataclass(slots=True)
class ReplayCounters:
    """What has been answered since the start; each only grows."""

    replays: int = 0
    events: int = 0
    missing: int = 0
    """Numbers that were asked for and are gone for good."""


@dataclass(frozen=True, slots=True)
class ReplayPage:
    """What followed a tick: all numbers up to ``to_seq`` are in ``events`` or ``missing``."""

    to_seq: int
    events: list[tuple[int, bytes]]
    """``(seq, payload)``."""

    missing: list[tuple[int, int]]
    """First and last of what is gone for good."""

    more: bool
    """Whether there are further ones."""


class TickHistory:
    """The newest ticks of each symbol in one epoch."""

    def __init__(self, settings: ReplaySettings, monotonic_s: Callable[[], float]) -> None:
        """Start empty; ``monotonic_s`` tells how old ticks are."""
        self._settings = settings
        self._monotonic_s = monotonic_s
        self._epoch = 0
        self._rings: dict[str, _Ring | None] = {}
        """By topic; ``None`` for topics that are not kept."""
        self._forgotten_to: dict[str, int] = {}
        """The newest number that a ring which age or bytes emptied has had."""
        self._marks: deque[tuple[float, dict[str, int]]] = deque()
        """When, and which was then the newest number of each topic: what is forgotten together, the oldest first."""
        self._part_bytes = settings.max_bytes // _PARTS
        self._unmarked_bytes = 0
        self._next_mark_s = 0.0
        self.size_bytes = 0
        """Of what is kept, ``OVERHEAD_BYTES`` for each tick included."""
        self.counters = ReplayCounters()

    @property
    def epoch(self) -> int:
        """The epoch of the ticks, ms since 1970; 0 before the first."""
        return self._epoch

    def begin_epoch(self, epoch: int) -> None:
        """Forget the ticks of any other epoch, also of a later one: what stands on the bus is what it goes on from."""
        if epoch == self._epoch:
            return
        self._epoch = epoch
        self._rings.clear()
        self._forgotten_to.clear()
        self._marks.clear()
        self._unmarked_bytes = self.size_bytes = 0

    def take_batch(self, batch: Batch) -> None:
        """Keep a batch's ticks, which are newer than all before; one whose number has been had is left out."""
        if not self._is_of_interest(batch):
            return
        rings, most = self._rings, self._settings.max_events_per_symbol
        before = size = self.size_bytes
        for event in batch.events:
            topic, seq, payload = event
            try:
                ring = rings[topic]
            except KeyError:
                ring = self._add_ring(topic)
            if ring is None:
                continue
            if ring:
                if seq <= ring[-1][1]:
                    continue
                if len(ring) == most:
                    size -= len(ring.popleft()[2]) + OVERHEAD_BYTES
            elif seq <= self._forgotten_to.get(topic, 0):
                continue
            ring.append(event)
            size += len(payload) + OVERHEAD_BYTES
        self._account(size, size - before)

    def take_history(self, batch: Batch) -> None:
        """Keep ticks of a batch that was written before what ``take_batch`` takes, or that it never got; in any order.

        What would be the oldest of a full ring, or is there, is left out.
        """
        if not self._is_of_interest(batch):
            return
        before = size = self.size_bytes
        for event in batch.events:
            topic, seq, payload = event
            ring = self._rings[topic] if topic in self._rings else self._add_ring(topic)
            if ring is None:
                continue
            place = bisect_left(ring, seq, key=_seq_of)
            if place < len(ring) and ring[place][1] == seq:
                continue
            if len(ring) == self._settings.max_events_per_symbol:
                if place == 0:
                    continue
                size -= len(ring.popleft()[2]) + OVERHEAD_BYTES
                place -= 1
            ring.insert(place, event)
            size += len(payload) + OVERHEAD_BYTES
        self._account(size, size - before)

    def replay(self, symbol: str, epoch: int, after_seq: int) -> bytes:
        """Return what followed a tick of a symbol, as JSON with the exchange's digits, and count it.

        Shape: ``{"epoch":…,"symbol":…,"after_seq":n,"to_seq":m,"events":[tick,…],"missing":[[from,to],…],"more":bool}``. All
        numbers above ``after_seq`` up to ``to_seq`` are in ``events`` or ``missing``; with ``more`` there are further ones.
        For another epoch than this there is nothing: ``to_seq`` is ``after_seq``, and ``epoch`` says which one this is.

        Raises:
            SeqAhead: the symbol has had no tick of that number in this epoch.
        """
        page = self.page(symbol, epoch, after_seq)
        return b'{"epoch":%d,"symbol":"%b","after_seq":%d,"to_seq":%d,"events":[%b],"missing":[%b],"more":%b}' % (
            self._epoch,
            symbol.encode(),
            after_seq,
            page.to_seq,
            b",".join([payload for _, payload in page.events]),
            b",".join(b"[%d,%d]" % numbers for numbers in page.missing),
            b"true" if page.more else b"false",
        )

    def page(self, symbol: str, epoch: int, after_seq: int, most_events: int = MAX_ANSWER_EVENTS) -> ReplayPage:
        """Return what followed a tick of a symbol, and count it; of another epoch there is nothing.

        Raises:
            SeqAhead: the symbol has had no tick of that number in this epoch.
        """
        self._forget(self._monotonic_s())
        if epoch != self._epoch:
            return self._counted(ReplayPage(after_seq, [], [], more=False))
        topic = tick_topic(symbol)
        ring = self._rings.get(topic) or _NOTHING
        newest = max(self._forgotten_to.get(topic, 0), ring[-1][1] if ring else 0)
        if after_seq > newest:
            raise SeqAhead(newest)
        events: list[tuple[int, bytes]] = []
        missing: list[tuple[int, int]] = []
        reached, room_bytes = after_seq, MAX_ANSWER_BYTES
        for _, seq, payload in islice(ring, bisect_right(ring, after_seq, key=_seq_of), None):
            if room_bytes <= 0 or len(events) == most_events:
                return self._counted(ReplayPage(reached, events, missing, more=True))
            if seq > reached + 1:
                missing.append((reached + 1, seq - 1))
            events.append((seq, payload))
            room_bytes -= len(payload)
            reached = seq
        if reached < newest:
            missing.append((reached + 1, newest))
        return self._counted(ReplayPage(newest, events, missing, more=False))

    def _counted(self, page: ReplayPage) -> ReplayPage:
        self.counters.replays += 1
        self.counters.events += len(page.events)
        self.counters.missing += sum(last - first + 1 for first, last in page.missing)
        return page

    def _is_of_interest(self, batch: Batch) -> bool:
        if batch.epoch > self._epoch:
            self.begin_epoch(batch.epoch)
        return batch.epoch == self._epoch

    def _add_ring(self, topic: str) -> _Ring | None:
        ring: _Ring | None = deque() if stream_of(topic) is Stream.TICKS else None
        self._rings[topic] = ring
        return ring

    def _account(self, size_bytes: int, grown_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._unmarked_bytes += grown_bytes
        now_s = self._monotonic_s()
        if now_s >= self._next_mark_s or self._unmarked_bytes >= self._part_bytes:
            self._mark(now_s)
            self._forget(now_s)

    def _mark(self, now_s: float) -> None:
        self._marks.append((now_s, {topic: ring[-1][1] for topic, ring in self._rings.items() if ring}))
        self._unmarked_bytes = 0
        self._next_mark_s = now_s + self._settings.max_age / _PARTS

    def _forget(self, now_s: float) -> None:
        oldest_s = now_s - self._settings.max_age
        # One part grows until the next mark.
        marks, most_bytes = self._marks, self._settings.max_bytes - self._part_bytes
        while marks and (marks[0][0] < oldest_s or self.size_bytes > most_bytes):
            for topic, seq in marks.popleft()[1].items():
                ring = self._rings[topic]
                while ring and ring[0][1] <= seq:
                    self.size_bytes -= len(ring.popleft()[2]) + OVERHEAD_BYTES
                if not ring:
                    self._forgotten_to[topic] = max(seq, self._forgotten_to.get(topic, 0))


_NOTHING: _Ring = deque()
