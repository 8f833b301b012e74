"""What the blocked sessions of a group have not got yet, kept once for all of them.

A connection that is blocked for a moment only gets what it missed as it was; what waits longer is condensed, once for all
who missed the same. Bounded by the age and the bytes at which its owner closes it; never touches a connection or a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple, Protocol

from components.router.engine.events import Event

Waiting = tuple[int, str, bytes, int]
"""Subscription, topic, payload, and how many events it stands for where the payload cannot say so (else 1)."""


class HeldPart(NamedTuple):
    """What one flush would have written."""

    pieces: Sequence[bytes]
    """One block, or single frames."""

    events: int
    """How many events are in it."""


class Condenser(Protocol):
    """Merges events that are to wait together; see ``components.core.outbox``."""

    def add(self, subscription: int, topic: str, payload: bytes) -> None:
        """Take in an event."""

    def condensed(self) -> Iterable[Waiting]:
        """Return what all events taken in became."""


MakeCondenser = Callable[[], Condenser]


class Backlog:
    """Events in parts, one for each flush."""

    __slots__ = (
        "_condensed",
        "_events",
        "_events_before",
        "_pieces",
        "_size_before",
        "began_s",
        "events",
        "size_bytes",
    )

    def __init__(self, began_s: float) -> None:
        self.began_s = began_s
        self.size_bytes = 0
        """Bytes of all that it would write."""
        self.events = 0
        """In all that it would write."""
        self._size_before: list[int] = []
        self._events_before: list[int] = []
        """By part, what is in those before it."""
        self._events: list[Sequence[Event]] = []
        self._pieces: list[Sequence[bytes]] = []
        self._condensed: dict[tuple[int, int], list[Waiting]] = {}
        """By the first part and the one behind the last."""

    @property
    def parts(self) -> int:
        """How many flushes it holds: the number of the part that the next one becomes."""
        return len(self._pieces)

    def append(self, events: Sequence[Event], pieces: Sequence[bytes]) -> None:
        """Keep what a flush would have written: its events, and them as one block or as single frames."""
        self._size_before.append(self.size_bytes)
        self._events_before.append(self.events)
        self.events += len(events)
        self._events.append(events)
        self._pieces.append(pieces)
        self.size_bytes += sum(map(len, pieces))

    def waiting(self, first_part: int) -> tuple[int, int]:
        """Return how many bytes and events there are from a part on."""
        if first_part >= self.parts:
            return 0, 0
        return self.size_bytes - self._size_before[first_part], self.events - self._events_before[first_part]

    def part(self, number: int) -> HeldPart:
        """Return what one flush would have written."""
        return HeldPart(self._pieces[number], len(self._events[number]))

    def condense(self, first_part: int, condenser: MakeCondenser, slice_events: int) -> Iterator[None]:
        """Merge what waits from a part on, once for all who missed the same; pause after so many events."""
        key = first_part, self.parts
        if key in self._condensed:
            return
        merging = condenser()
        for number, event in enumerate(chain.from_iterable(islice(self._events, *key)), 1):
            merging.add(event.subscription, event.topic, event.payload.json)
            if number % slice_events == 0:
                yield
        self._condensed[key] = list(merging.condensed())

    def condensed(self, first_part: int) -> list[Waiting]:
        """Return what ``condense`` made; nothing has been appended since."""
        return self._condensed[first_part, self.parts]
