"""The events that wait for a flush, and what was made of them so far.

Owns that an event's bytes are made once per encoding; never writes anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from operator import attrgetter

from twisted.logger import Logger

from components.router.engine.events import Encoding, Event
from components.router.engine.groups import Subscriber

_subscription_of = attrgetter("subscription")


class Pending:
    """Events in the order in which they were published."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.caught_up: set[Subscriber] = set()
        """Sessions that have had some of the events; ``Subscriber.position`` says how many."""
        self._frames: dict[Encoding, list[bytes | None]] = {}
        """By position; each list is as long as ``events`` or is brought to that length."""
        self._of_each: list[int] = []
        """The subscription of each event, once all have come."""
        self._by_subscription: dict[int, list[int]] = {}

    def subscriptions(self) -> frozenset[int]:
        """Return whose events these are; no more may come."""
        self._of_each = list(map(_subscription_of, self.events))
        return frozenset(self._of_each)

    def positions(self, subscriptions: frozenset[int], all_subscriptions: frozenset[int]) -> Sequence[int]:
        """Return where the events of some subscriptions stand, in their order; ``subscriptions`` was asked before."""
        if all_subscriptions <= subscriptions:
            return range(len(self.events))
        if not self._by_subscription:
            for position, subscription in enumerate(self._of_each):
                self._by_subscription.setdefault(subscription, []).append(position)
        matched = subscriptions & all_subscriptions
        # A merge of sorted runs, which is what Python's sort is best at.
        return sorted(chain.from_iterable([self._by_subscription[subscription] for subscription in matched]))

    def positions_for(self, subscriber: Subscriber) -> list[int]:
        """Return where the events stand that one session has not had."""
        subscriptions, events = subscriber.subscriptions, self.events
        return [
            position
            for position in range(subscriber.position, len(events))
            if events[position].subscription in subscriptions
        ]

    def framed(self, encoding: Encoding, positions: Sequence[int]) -> list[bytes]:
        """Return what is sent for the events at some positions; an event that an encoding cannot carry is left out."""
        events = self.events
        made = self._frames.get(encoding)
        if made is None and len(positions) == len(events):
            # What nearly every flush at one encoding comes to.
            frames = frames_of(encoding, events)
            self._frames[encoding] = list(frames)
        else:
            if made is None:
                made = self._frames[encoding] = []
            made.extend([None] * (len(events) - len(made)))
            missing = [position for position in positions if made[position] is None]
            if missing:
                new = frames_of(encoding, [events[position] for position in missing])
                for position, frame in zip(missing, new, strict=True):
                    made[position] = frame
            frames = [made[position] for position in positions]  # type: ignore[misc]  # all of them are made
        return frames if all(frames) else [frame for frame in frames if frame]


_log = Logger()


def frames_of(encoding: Encoding, events: Sequence[Event]) -> list[bytes]:
    """Return what is sent for each event, ``b""`` for one that the encoding cannot carry."""
    try:
        return encoding.frames(events)
    except Exception:
        return [_frame_of(encoding, event) for event in events]


def _frame_of(encoding: Encoding, event: Event) -> bytes:
    try:
        return encoding.frames([event])[0]
    except Exception:
        # One publisher's payload must not stop everybody else's events.
        _log.failure("an event of {topic} cannot be encoded and is left out", topic=event.topic)
        return b""
