"""What blocked sessions wait for: kept as it is for a moment, then merged, little by little.

Rules:

- What a group's blocked sessions miss is kept once for all of them (``backlog``). A session that goes on meanwhile gets it
  as it was.
- A backlog is closed when it is ``hold_s`` old or has ``hold_bytes``. What is in it then goes into each session's outbox:
  condensed once for all who missed the same, and a slice in each turn of the reactor, for to merge thousands of events at
  once would make everybody else wait.
- A session has at most ``MAX_MOVES`` closed backlogs that are not in its outbox yet; the next one is merged at once. So what
  is kept is bounded whatever the load.
- Once a session has something in its outbox, all that it missed goes through it, so that it gets one merged event per topic.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from components.router.engine.backlog import Backlog, HeldPart, MakeCondenser
from components.router.engine.events import Event
from components.router.engine.groups import Group, Subscriber

MAX_MOVES = 3

SLICE = 48
"""Events merged in one turn of the reactor: some 0.3 ms."""


PORTION_BYTES = 65_536
"""Of merged events that are written at once: what fills a connection's buffer."""


@dataclass(frozen=True, slots=True)
class HoldLimits:
    """How long and how much is kept before it is merged."""

    hold_s: float = 0.2
    """How long a blocked session's events are kept as they are. 0 merges them at once."""

    hold_bytes: int = 1_000_000
    """As many bytes of a group's events are merged even earlier."""


class BlockedSessions:
    """The backlogs and outboxes of all blocked sessions of a fan-out."""

    def __init__(
        self,
        clock: Any,
        condenser: MakeCondenser,
        on_overflow: Callable[[Subscriber, Any], None],
        limits: HoldLimits,
    ) -> None:
        """Merge with what ``condenser`` makes, on ``clock``; ``on_overflow`` is told the sessions that must be closed."""
        self._clock = clock
        self._condenser = condenser
        self._on_overflow = on_overflow
        self._limits = limits
        self._busy: deque[Subscriber] = deque()
        """Sessions with closed backlogs."""
        self._turn: Any = None

    def hold(
        self, group: Group, sessions: Iterable[Subscriber], events: list[Event], pieces: list[bytes], now_s: float
    ) -> None:
        """Keep what a flush would have written to blocked sessions of a group: its events, and them as blocks or frames."""
        backlog = group.backlog
        if backlog is None:
            backlog = group.backlog = Backlog(now_s)
        for subscriber in sessions:
            if subscriber.backlog is None:
                subscriber.backlog = backlog
                subscriber.backlog_from = backlog.parts
        backlog.append(events, pieces)
        if now_s - backlog.began_s >= self._limits.hold_s or backlog.size_bytes > self._limits.hold_bytes:
            self._close(group, backlog)

    def missed(self, subscriber: Subscriber) -> Iterator[HeldPart | list[tuple[int, str, bytes, int, int]]]:
        """Yield what a session missed, a portion at a time: parts as they would have been written, or events of its outbox.

        What was yielded waits no more; the rest keeps its place, so that one may stop when the session blocks again.
        """
        self._finish_moves(subscriber)
        backlog = subscriber.backlog
        if subscriber.outbox:
            if backlog is not None:
                subscriber.backlog = None
                for _ in self._move(subscriber, backlog, subscriber.backlog_from):
                    pass
            yield from _portions(subscriber.outbox.drain())
        elif backlog is not None:
            subscriber.backlog = None
            for part in range(subscriber.backlog_from, backlog.parts):
                # Before it is written: from within that, the session may be told to be blocked again.
                subscriber.backlog_from = part + 1
                subscriber.backlog = backlog if part + 1 < backlog.parts else None
                yield backlog.part(part)

    @staticmethod
    def forget(subscriber: Subscriber) -> None:
        """Let go what a session missed: it has left."""
        subscriber.backlog = None
        subscriber.moves.clear()
        subscriber.outbox.discard()

    # Merging

    def _close(self, group: Group, backlog: Backlog) -> None:
        group.backlog = None
        # A session that is cut leaves the set while it is gone through.
        for subscriber in tuple(group.blocked):
            if subscriber.backlog is not backlog:
                continue
            subscriber.backlog = None
            subscriber.moves.append(self._move(subscriber, backlog, subscriber.backlog_from))
            if len(subscriber.moves) > MAX_MOVES:
                self._finish_moves(subscriber)
            elif len(subscriber.moves) == 1:
                self._busy.append(subscriber)
        if self._busy and self._turn is None:
            self._turn = self._clock.callLater(0, self._merge_a_slice)

    def _merge_a_slice(self) -> None:
        self._turn = None
        while self._busy:
            moves = self._busy[0].moves
            if not moves:
                self._busy.popleft()
            elif next(moves[0], self) is not self:
                break
            elif moves:
                moves.popleft()
        if self._busy:
            self._turn = self._clock.callLater(0, self._merge_a_slice)

    def _finish_moves(self, subscriber: Subscriber) -> None:
        while subscriber.moves:
            for _ in subscriber.moves.popleft():
                pass

    def _move(self, subscriber: Subscriber, backlog: Backlog, first_part: int) -> Iterator[None]:
        """Merge a part of a backlog into a session's outbox; pause after each slice."""
        yield from backlog.condense(first_part, self._condenser, SLICE)
        condensed = backlog.condensed(first_part)
        for number, (subscription, topic, payload, events) in enumerate(condensed, 1):
            overflow = subscriber.outbox.add(subscription, topic, payload, events)
            if overflow is not None:
                self._on_overflow(subscriber, overflow)
                return
            if number % SLICE == 0:
                yield


def _portions(
    kept: Iterable[tuple[int, str, bytes, int, int]],
) -> Iterator[list[tuple[int, str, bytes, int, int]]]:
    portion, size_bytes = [], 0
    for event in kept:
        portion.append(event)
        size_bytes += len(event[2])
        if size_bytes >= PORTION_BYTES:
            yield portion
            portion, size_bytes = [], 0
    if portion:
        yield portion
