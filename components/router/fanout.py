"""Deliver events to many sessions: gather for a few milliseconds, frame once, write once per session.

Rules:

- An event's bytes are made once per encoding (serializer and framing) and shared by all who get it.
- Events wait in one list, in the order in which they were published. A flush writes to each session what its
  subscriptions match, in that order, in one write. Sessions with the same encoding and the same subscriptions form a
  group and share even the joined block.
- After a flush events are gathered: ``GATHER`` times as long as it took, at most a window, or as long as it took where that
  is more, at most ``MAX_WINDOWS``. When that time is over, an event is written at once. So a lone event is not delayed, few
  clients get theirs within microseconds, and under load a burst is written once per window.
- Once ``ENOUGH`` events wait, a turn of the reactor that brings no more ends the gathering: to wait longer would only make
  them late.
- Before anything else is sent to a session, and before its subscriptions change, it gets what waits for it
  (``catch_up``): so events and replies keep their order, and a session sees exactly what was published while it was
  subscribed.
- While a session's connection is blocked nothing is written to it; what becomes of its events is ``blocked``'s to say.

Knows nothing of Crossbar, of sockets, or of what a payload means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from operator import attrgetter
from random import getrandbits
from typing import Any

from components.core.payload import EncodedPayload
from components.router.backlog import MakeCondenser
from components.router.blocked import BlockedSessions, HoldLimits
from components.router.events import Encoding, Event, RetainedEvent
from components.router.groups import Connection, Group, Groups, Subscriber

GATHER = 3.0
"""At light load, flushing takes no more than one part in ``1 + GATHER`` of the time."""

MAX_WINDOWS = 4
"""A flush may seem long because the machine did something else meanwhile."""

ENOUGH = 256
"""As many events in one write cost about as much as the write itself."""

MAX_CACHED_TOPICS = 10_000
"""Topics whose subscriptions are remembered; with more, all are forgotten and looked up again."""

_PUBLICATION_BITS = 53
"""WAMP ids are random numbers from 1 to 2^53; no secret depends on them."""

_subscription_of = attrgetter("subscription")


DEFAULT_WINDOW_S = 0.005


class FanOut:
    """All sessions of one realm on this worker."""

    def __init__(
        self,
        clock: Any,
        match: Callable[[str], Iterable[tuple[int, bool]]],
        on_overflow: Callable[[Subscriber, Any], None],
        condenser: MakeCondenser,
        window_s: float = DEFAULT_WINDOW_S,
        hold: HoldLimits | None = None,
    ) -> None:
        """Fan out with ``clock`` (``seconds`` and ``callLater``).

        ``match`` returns the subscriptions of a topic that have subscribers here, as ``(id, is a pattern)``; it is asked once
        per topic until ``subscriptions_changed``. ``on_overflow`` is told the subscriber whose outbox gave a reason to close.
        ``condenser`` makes what merges events for several sessions as an outbox would. Under load events are gathered for
        ``window_s``; 0 writes each at once, at many times the cost.
        """
        self._clock = clock
        self._match = match
        self._window_s = window_s
        self._blocked = BlockedSessions(clock, condenser, on_overflow, hold or HoldLimits())
        self._waiting: list[Event] = []
        self._frames: dict[Encoding, list[bytes | None]] = {}
        """What was made of the waiting events so far; each list is as long as ``_waiting`` or is brought to that length."""
        self._next_flush_s = 0.0
        self._gap_s = 0.0
        """How long after the last flush the next one is due."""
        self._timer: Any = None
        self._look: Any = None
        self._seen = 0
        """How many events waited at the last look."""
        self._matches: dict[str, tuple[tuple[int, bool], ...]] = {}
        self._groups = Groups()
        self._ungrouped: set[Subscriber] = set()
        self._caught_up: set[Subscriber] = set()
        self.delivered = 0
        """Events handed to connections."""
        self.flushes = 0

    # Publishing

    def publish(self, topic: str, payload: EncodedPayload) -> None:
        """Deliver a payload to who is subscribed to a topic, within the window."""
        self._add(topic, payload)
        if self._waiting:
            self._flush_when_due()

    def publish_batch(self, events: Iterable[tuple[str, EncodedPayload]]) -> None:
        """Publish events that came together, and look at the time once."""
        add = self._add
        for topic, payload in events:
            add(topic, payload)
        if self._waiting:
            self._flush_when_due()

    def _add(self, topic: str, payload: EncodedPayload) -> None:
        matches = self._matches.get(topic)
        if matches is None:
            if len(self._matches) >= MAX_CACHED_TOPICS:
                self._matches.clear()
            matches = self._matches[topic] = tuple(self._match(topic))
        if matches:
            publication = getrandbits(_PUBLICATION_BITS) + 1
            for subscription, is_pattern in matches:
                self._waiting.append(Event(subscription, publication, topic, is_pattern, payload))

    def _flush_when_due(self) -> None:
        wait_s = self._next_flush_s - self._clock.seconds()
        # More than the whole gap is left only when the clock was set back.
        if wait_s <= 0 or wait_s > self._gap_s:
            self.flush()
        elif self._timer is None:
            self._timer = self._clock.callLater(wait_s, self._timer_fired)
        elif self._look is None and len(self._waiting) >= ENOUGH:
            self._seen = 0
            self._look = self._clock.callLater(0, self._look_for_more)

    def _timer_fired(self) -> None:
        self._timer = None
        self.flush()

    def _look_for_more(self) -> None:
        self._look = None
        if len(self._waiting) == self._seen:
            self.flush()
        else:
            self._seen = len(self._waiting)
            self._look = self._clock.callLater(0, self._look_for_more)

    # Subscribers

    def subscribed(self, subscriber: Subscriber, subscription: int, is_pattern: bool) -> None:
        """Take note of a subscription; what waits is still delivered by the subscriptions before it."""
        self.catch_up(subscriber)
        subscriber.subscriptions[subscription] = is_pattern
        self._regroup(subscriber)

    def send_retained(
        self, subscriber: Subscriber, subscription: int, events: Iterable[tuple[str, EncodedPayload]]
    ) -> None:
        """Write a new subscription's retained events, in one write where frames join.

        They are part of the reply to the subscription: like that, they are written to a blocked connection too.
        """
        self.catch_up(subscriber)
        if subscriber.gone:
            return
        retained = self.retained(subscriber, subscription, events)
        if retained:
            self._write(subscriber.connection, subscriber.connection.encoding.frames(retained))

    @staticmethod
    def retained(
        subscriber: Subscriber, subscription: int, events: Iterable[tuple[str, EncodedPayload]]
    ) -> list[Event]:
        """Return a new subscription's retained events, for who sends them with the reply."""
        topic_shown = subscriber.subscriptions[subscription]
        return [
            RetainedEvent(subscription, getrandbits(_PUBLICATION_BITS) + 1, topic, topic_shown, payload)
            for topic, payload in events
        ]

    def unsubscribed(self, subscriber: Subscriber, subscription: int) -> None:
        """Take note that a subscription has ended."""
        self.catch_up(subscriber)
        subscriber.subscriptions.pop(subscription, None)
        self._regroup(subscriber)

    def subscriptions_changed(self) -> None:
        """Forget which subscriptions match a topic: some subscription got its first subscriber, or lost its last."""
        self._matches.clear()

    def left(self, subscriber: Subscriber) -> None:
        """Write nothing more to a session: its connection is closing, or gone."""
        subscriber.gone = True
        self._blocked.forget(subscriber)
        self._groups.leave(subscriber)
        self._ungrouped.discard(subscriber)
        self._caught_up.discard(subscriber)

    def catch_up(self, subscriber: Subscriber) -> None:
        """Write what waits for one session, before something else is written to it.

        What waits for a blocked session is written too, into a connection that takes no more: the connection counts what
        piles up there.
        """
        if subscriber.gone:
            return
        if subscriber.blocked:
            self._release(subscriber)
        if self._waiting:
            positions = self._positions_for(subscriber)
            if positions:
                self._write(subscriber.connection, self._framed(subscriber.connection.encoding, positions))
            subscriber.position = len(self._waiting)
            self._caught_up.add(subscriber)

    def blocked(self, subscriber: Subscriber) -> None:
        """Write nothing to a session until it is unblocked: its connection takes no more bytes."""
        subscriber.blocked = True
        group = subscriber.group
        if group is not None:
            group.writable.discard(subscriber)
            group.blocked.add(subscriber)

    def unblocked(self, subscriber: Subscriber) -> None:
        """Write what waited for a session, now that its connection takes bytes again."""
        subscriber.blocked = False
        group = subscriber.group
        if group is not None:
            group.blocked.discard(subscriber)
            group.writable.add(subscriber)
        self._release(subscriber)

    def _release(self, subscriber: Subscriber) -> None:
        connection = subscriber.connection
        missed = self._blocked.take(subscriber)
        if subscriber.gone:
            return
        if missed is None:
            kept = [
                Event(
                    subscription,
                    getrandbits(_PUBLICATION_BITS) + 1,
                    topic,
                    subscriber.subscriptions[subscription],
                    EncodedPayload(payload),
                    merged,
                    dropped,
                )
                for subscription, topic, payload, merged, dropped in subscriber.outbox.drain()
            ]
            self._write(connection, connection.encoding.frames(kept))
        elif missed[0]:
            self._write(connection, *missed)
        group = subscriber.group
        if group is not None and not group.blocked:
            group.backlog = None

    def _positions_for(self, subscriber: Subscriber) -> list[int]:
        """Return where in the list the events stand that wait for one session."""
        subscriptions = subscriber.subscriptions
        waiting = self._waiting
        return [
            position
            for position in range(subscriber.position, len(waiting))
            if waiting[position].subscription in subscriptions
        ]

    # Flushing

    def flush(self) -> None:
        """Write all that waits."""
        for call in (self._timer, self._look):
            if call is not None:
                call.cancel()
        self._timer = self._look = None
        began_s = self._clock.seconds()
        if self._waiting:
            self._write_waiting(began_s)
        ended_s = self._clock.seconds()
        took_s, window_s = max(0.0, ended_s - began_s), self._window_s
        self._gap_s = min(max(min(GATHER * took_s, window_s), took_s), MAX_WINDOWS * window_s)
        self._next_flush_s = ended_s + self._gap_s

    def _write_waiting(self, began_s: float) -> None:
        self.flushes += 1
        for subscriber in self._ungrouped:
            self._groups.join(subscriber)
        self._ungrouped.clear()
        waiting = _Waiting(self._waiting)
        for group in self._groups.concerned(waiting.subscriptions):
            self._flush_group(group, waiting, began_s)
        # A connection that is cut leaves the set while it is gone through.
        for subscriber in tuple(self._caught_up):
            positions = self._positions_for(subscriber)
            subscriber.position = 0
            if positions and subscriber.blocked:
                self._blocked.merge(subscriber, [self._waiting[position] for position in positions])
            elif positions:
                self._write(subscriber.connection, self._framed(subscriber.connection.encoding, positions))
        self._caught_up.clear()
        self._frames.clear()
        self._waiting.clear()

    def _flush_group(self, group: Group, waiting: _Waiting, now_s: float) -> None:
        writable: set[Subscriber] | tuple[Subscriber, ...] = group.writable
        blocked: Iterable[Subscriber] = group.blocked
        if self._caught_up:
            writable = group.writable - self._caught_up
            blocked = group.blocked - self._caught_up
        if not writable and not blocked:
            return
        encoding = group.encoding
        positions = waiting.positions(group.subscriptions)
        frames = self._framed(encoding, positions)
        pieces = [b"".join(frames)] if encoding.joined else frames
        if blocked:
            events = [self._waiting[position] for position in positions]
            self._blocked.hold(group, blocked, events, pieces, now_s)
        self.delivered += len(frames) * len(writable)
        # A connection that takes no more leaves the set while it is gone through.
        if encoding.joined:
            block = pieces[0]
            for subscriber in tuple(writable):
                subscriber.connection.write(block)
        else:
            for subscriber in tuple(writable):
                subscriber.connection.write_each(frames)

    def _framed(self, encoding: Encoding, positions: Sequence[int]) -> list[bytes]:
        waiting = self._waiting
        if encoding not in self._frames and len(positions) == len(waiting):
            # What nearly every flush at one encoding comes to.
            frames = encoding.frames(waiting)
            self._frames[encoding] = list(frames)
            return frames
        made = self._frames.setdefault(encoding, [])
        if len(made) < len(waiting):
            made.extend([None] * (len(waiting) - len(made)))
        missing = [position for position in positions if made[position] is None]
        if missing:
            for position, frame in zip(
                missing, encoding.frames([waiting[position] for position in missing]), strict=True
            ):
                made[position] = frame
        return [made[position] for position in positions]  # type: ignore[misc]  # all of them are made

    def _write(self, connection: Connection, pieces: list[bytes], events: int | None = None) -> None:
        self.delivered += len(pieces) if events is None else events
        if connection.encoding.joined:
            connection.write(b"".join(pieces))
        else:
            connection.write_each(pieces)

    def _regroup(self, subscriber: Subscriber) -> None:
        # Interned when the next flush needs it, not with each of the hundred subscriptions that a client begins with.
        self._groups.leave(subscriber)
        if subscriber.subscriptions and not subscriber.gone:
            self._ungrouped.add(subscriber)
        else:
            self._ungrouped.discard(subscriber)


class _Waiting:
    """The events of one flush, and where those of each subscription stand."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._everything = range(len(events))
        self._of_each = list(map(_subscription_of, events))
        self.subscriptions = frozenset(self._of_each)
        self._by_subscription: dict[int, list[int]] = {}

    def positions(self, subscriptions: frozenset[int]) -> Sequence[int]:
        """Return where the events of some subscriptions stand, in their order."""
        if self.subscriptions <= subscriptions:
            return self._everything
        if not self._by_subscription:
            for position, subscription in enumerate(self._of_each):
                self._by_subscription.setdefault(subscription, []).append(position)
        matched = subscriptions & self.subscriptions
        # A merge of sorted runs, which is what Python's sort is best at.
        return sorted(chain.from_iterable([self._by_subscription[subscription] for subscription in matched]))
