"""What the blocked sessions of a group have not got yet, kept once for all of them.

Owns the time between "this connection takes no more" and merging: a connection that is blocked for a moment only gets what
it missed as it was. What waits longer is condensed once and handed to each session's outbox, which merges; so a session
that does not read costs the others next to nothing.

Bounded by the age and the bytes at which its owner closes it; never touches a connection or a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice

from components.router.events import Event

Waiting = tuple[int, str, bytes, int]
"""Subscription, topic, payload, and how many events it stands for where the payload cannot say so (else 1)."""

Condense = Callable[[Iterable[tuple[int, str, bytes]]], Iterable[Waiting]]
"""Merge events ``(subscription, topic, payload)`` that are to wait together; see ``components.core.outbox``."""


class Backlog:
    """Events in parts, one for each flush."""

    __slots__ = ("_condensed", "_events", "_pieces", "began_s", "size_bytes")

    def __init__(self, began_s: float) -> None:
        self.began_s = began_s
        self.size_bytes = 0
        """Bytes of all that it would write."""
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
        self._events.append(events)
        self._pieces.append(pieces)
        self.size_bytes += sum(map(len, pieces))

    def pieces(self, first_part: int) -> list[bytes]:
        """Return blocks or frames from a part on, as they would have been written."""
        return list(chain.from_iterable(islice(self._pieces, first_part, None)))

    def count(self, first_part: int) -> int:
        """Return the number of events from a part on."""
        return sum(map(len, islice(self._events, first_part, None)))

    def condensed(self, first_part: int, condense: Condense) -> list[Waiting]:
        """Return what waits from a part on, merged once for all who missed the same."""
        condensed = self._condensed.get((first_part, self.parts))
        if condensed is None:
            events = chain.from_iterable(islice(self._events, first_part, None))
            condensed = self._condensed[first_part, self.parts] = list(
                condense((event.subscription, event.topic, event.payload.json) for event in events)
            )
        return condensed
