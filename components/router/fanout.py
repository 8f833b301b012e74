"""Deliver events to many sessions: gather for a few milliseconds, frame once, write once per session.

Rules:

- An event's bytes are made once per encoding (serializer and framing) and shared by all who get it.
- Events wait in one list, in the order in which they were published. A flush writes to each session what its
  subscriptions match, in that order, in one write. Sessions with the same encoding and the same subscriptions form a
  group and share even the joined block.
- A flush comes at once when the last one is a window ago, else when it will be: a lone event is not delayed, and a burst
  is written once per window.
- Before anything else is sent to a session, and before its subscriptions change, it gets what waits for it
  (``catch_up``): so events and replies keep their order, and a session sees exactly what was published while it was
  subscribed.
- While a session's connection is blocked nothing is written to it; its events go into its outbox, which merges.

Knows nothing of Crossbar, of sockets, or of what a payload means.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, Protocol

from components.core.payload import EncodedPayload

DEFAULT_WINDOW_S = 0.005

MAX_CACHED_TOPICS = 10_000
"""Topics whose subscriptions are remembered; with more, all are forgotten and looked up again."""

_PUBLICATION_IDS = 2**53
"""WAMP ids are random numbers from 1 to 2^53."""


def _publication_id() -> int:
    # Random by WAMP's wish; no secret depends on it.
    return int(random.random() * _PUBLICATION_IDS) + 1  # noqa: S311


class Event:
    """One publication on one subscription. No dataclass: one is made for each."""

    __slots__ = ("dropped", "merged", "payload", "publication", "subscription", "topic", "topic_shown")

    def __init__(
        self, subscription: int, publication: int, topic: str, topic_shown: bool, payload: EncodedPayload
    ) -> None:
        self.subscription = subscription
        self.publication = publication
        self.topic = topic
        self.topic_shown = topic_shown
        """Whether the receiver is told the topic: it is for subscriptions to a pattern."""
        self.payload = payload
        self.merged = 0
        """Events it stands for, where the payload cannot say so; else 0."""
        self.dropped = 0
        """Events dropped before it, where the payload cannot say so; else 0."""

    retained = False


class RetainedEvent(Event):
    """An event from before its receiver's subscription, marked as such."""

    __slots__ = ()
    retained = True


class Encoding(Protocol):
    """A serializer and a framing; one object each, shared by all connections that use it."""

    joined: bool
    """Whether frames may be joined and written as one block."""

    def frame(self, event: Event) -> bytes:
        """Return what is sent for an event."""


class Connection(Protocol):
    """A session's way out."""

    encoding: Encoding

    def write(self, block: bytes) -> None:
        """Send joined frames."""

    def write_each(self, frames: Iterable[bytes]) -> None:
        """Send frames of an encoding that does not join."""


class Outbox(Protocol):
    """What waits for a blocked session; see ``components.core.outbox``."""

    def add(self, subscription: int, topic: str, payload: bytes) -> Any:
        """Keep an event; return why the session must be closed, or ``None``."""

    def drain(self) -> Iterable[tuple[int, str, bytes, int, int]]:
        """Return and forget what was kept: subscription, topic, payload, and how many events were merged or dropped where
        the payload cannot say so (else 0)."""


class Subscriber:
    """A session as the fan-out sees it."""

    __slots__ = ("_position", "blocked", "connection", "gone", "group", "outbox", "subscriptions")

    def __init__(self, connection: Connection, outbox: Outbox) -> None:
        self.connection = connection
        self.outbox = outbox
        self.subscriptions: dict[int, bool] = {}
        """Whether each is one to a pattern, by id."""
        self.group: _Group | None = None
        self.blocked = False
        self.gone = False
        """Whether its connection is closing or lost; its subscriptions end one by one after that."""
        self._position = 0
        """How many of the waiting events are not for it, because it has had them or came after them."""


class _Group:
    __slots__ = ("encoding", "members", "subscriptions")

    def __init__(self, encoding: Encoding, subscriptions: frozenset[int]) -> None:
        self.encoding = encoding
        self.subscriptions = subscriptions
        self.members: set[Subscriber] = set()


class FanOut:
    """All sessions of one realm on this worker."""

    def __init__(
        self,
        clock: Any,
        match: Callable[[str], Iterable[tuple[int, bool]]],
        on_overflow: Callable[[Subscriber, Any], None],
        window_s: float = DEFAULT_WINDOW_S,
    ) -> None:
        """Fan out with ``clock`` (``seconds`` and ``callLater``).

        ``match`` returns the subscriptions of a topic that have subscribers here, as ``(id, is a pattern)``; it is asked once
        per topic until ``subscriptions_changed``. ``on_overflow`` is told the subscriber whose outbox gave a reason to close.
        """
        self._clock = clock
        self._match = match
        self._on_overflow = on_overflow
        self._window_s = window_s
        self._waiting: list[Event] = []
        self._frames: dict[Encoding, list[bytes | None]] = {}
        """What was made of the waiting events so far; each list is as long as ``_waiting`` or is brought to that length."""
        self._next_flush_s = 0.0
        self._timer: Any = None
        self._batch = False
        self._matches: dict[str, tuple[tuple[int, bool], ...]] = {}
        self._groups: dict[tuple[Encoding, frozenset[int]], _Group] = {}
        self._groups_of: dict[int, set[_Group]] = {}
        """The groups that each subscription is part of."""
        self._ungrouped: set[Subscriber] = set()
        self._caught_up: set[Subscriber] = set()
        self.delivered = 0
        """Events handed to connections."""
        self.flushes = 0

    # Publishing

    def publish(self, topic: str, payload: EncodedPayload) -> None:
        """Deliver a payload to who is subscribed to a topic, within the window."""
        matches = self._matches.get(topic)
        if matches is None:
            if len(self._matches) >= MAX_CACHED_TOPICS:
                self._matches.clear()
            matches = self._matches[topic] = tuple(self._match(topic))
        if not matches:
            return
        publication = _publication_id()
        for subscription, is_pattern in matches:
            self._waiting.append(Event(subscription, publication, topic, is_pattern, payload))
        if not self._batch:
            self._flush_when_due()

    def publish_batch(self, events: Iterable[tuple[str, EncodedPayload]]) -> None:
        """Publish events that came together, and look at the time once."""
        self._batch = True
        try:
            for topic, payload in events:
                self.publish(topic, payload)
        finally:
            self._batch = False
        if self._waiting:
            self._flush_when_due()

    def _flush_when_due(self) -> None:
        now_s = self._clock.seconds()
        if now_s >= self._next_flush_s:
            self.flush()
        elif self._timer is None:
            self._timer = self._clock.callLater(self._next_flush_s - now_s, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        self.flush()

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
        topic_shown = subscriber.subscriptions[subscription]
        frame = subscriber.connection.encoding.frame
        frames = [
            frame(RetainedEvent(subscription, _publication_id(), topic, topic_shown, payload))
            for topic, payload in events
        ]
        if frames:
            self._write(subscriber.connection, frames)

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
        self._leave_group(subscriber)
        self._ungrouped.discard(subscriber)
        self._caught_up.discard(subscriber)

    def catch_up(self, subscriber: Subscriber) -> None:
        """Write what waits for one session, before something else is written to it.

        What a blocked session's outbox keeps is written too, into a connection that takes no more: the connection counts
        what piles up there.
        """
        if subscriber.gone:
            return
        self._release(subscriber)
        if self._waiting:
            own = self._positions_for(subscriber)
            if own:
                self._write(subscriber.connection, self._framed(subscriber.connection.encoding, own))
            subscriber._position = len(self._waiting)
            self._caught_up.add(subscriber)

    def unblocked(self, subscriber: Subscriber) -> None:
        """Write what a session's outbox kept, now that its connection takes bytes again."""
        subscriber.blocked = False
        self._release(subscriber)

    def _release(self, subscriber: Subscriber) -> None:
        kept = []
        for subscription, topic, payload, merged, dropped in subscriber.outbox.drain():
            topic_shown = subscriber.subscriptions[subscription]
            event = Event(subscription, _publication_id(), topic, topic_shown, EncodedPayload(payload))
            event.merged, event.dropped = merged, dropped
            kept.append(event)
        if kept:
            encoding = subscriber.connection.encoding
            self._write(subscriber.connection, [encoding.frame(event) for event in kept])

    def _positions_for(self, subscriber: Subscriber) -> list[int]:
        """Return where in the list the events stand that wait for one session."""
        subscriptions = subscriber.subscriptions
        waiting = self._waiting
        return [
            position
            for position in range(subscriber._position, len(waiting))
            if waiting[position].subscription in subscriptions
        ]

    def _framed(self, encoding: Encoding, positions: Iterable[int]) -> list[bytes]:
        waiting = self._waiting
        made = self._frames.setdefault(encoding, [])
        if len(made) < len(waiting):
            made.extend([None] * (len(waiting) - len(made)))
        frames = []
        for position in positions:
            frame = made[position]
            if frame is None:
                frame = made[position] = encoding.frame(waiting[position])
            frames.append(frame)
        return frames

    # Flushing

    def flush(self) -> None:
        """Write all that waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        began_s = self._clock.seconds()
        self._next_flush_s = began_s + self._window_s
        if not self._waiting:
            return
        self.flushes += 1
        for subscriber in self._ungrouped:
            self._join_group(subscriber)
        self._ungrouped.clear()
        by_subscription: dict[int, list[int]] = {}
        for position, event in enumerate(self._waiting):
            by_subscription.setdefault(event.subscription, []).append(position)
        nobody: set[_Group] = set()
        for group in set().union(*(self._groups_of.get(subscription, nobody) for subscription in by_subscription)):
            self._flush_group(group, by_subscription)
        for subscriber in self._caught_up:
            positions = self._positions_for(subscriber)
            subscriber._position = 0
            if positions and subscriber.blocked:
                self._hold(subscriber, positions)
            elif positions:
                self._write(subscriber.connection, self._framed(subscriber.connection.encoding, positions))
        self._caught_up.clear()
        self._frames.clear()
        self._waiting.clear()
        # A flush that takes longer than the window is followed by as long a pause: reading must get its turn, and more
        # events in one write are what makes them cheap.
        ended_s = self._clock.seconds()
        self._next_flush_s = ended_s + max(self._window_s - (ended_s - began_s), ended_s - began_s)

    def _flush_group(self, group: _Group, by_subscription: dict[int, list[int]]) -> None:
        matched = group.subscriptions & by_subscription.keys()
        members = group.members - self._caught_up if self._caught_up else group.members
        if not matched or not members:
            return
        if len(matched) == len(by_subscription):
            positions: Sequence[int] = range(len(self._waiting))
        else:
            # A merge of sorted runs, which is what Python's sort is best at.
            positions = sorted(chain.from_iterable(by_subscription[subscription] for subscription in matched))
        frames = self._framed(group.encoding, positions)
        block = b"".join(frames) if group.encoding.joined else b""
        for subscriber in tuple(members):
            if subscriber.blocked:
                self._hold(subscriber, positions)
            else:
                self.delivered += len(frames)
                if group.encoding.joined:
                    subscriber.connection.write(block)
                else:
                    subscriber.connection.write_each(frames)

    def _write(self, connection: Connection, frames: list[bytes]) -> None:
        if connection.encoding.joined:
            connection.write(b"".join(frames))
        else:
            connection.write_each(frames)
        self.delivered += len(frames)

    def _hold(self, subscriber: Subscriber, positions: Iterable[int]) -> None:
        for position in positions:
            event = self._waiting[position]
            overflow = subscriber.outbox.add(event.subscription, event.topic, event.payload.json)
            if overflow is not None:
                self._on_overflow(subscriber, overflow)
                return

    # Groups

    def _regroup(self, subscriber: Subscriber) -> None:
        # Interned when the next flush needs it, not with each of the hundred subscriptions that a client begins with.
        self._leave_group(subscriber)
        if subscriber.subscriptions and not subscriber.gone:
            self._ungrouped.add(subscriber)
        else:
            self._ungrouped.discard(subscriber)

    def _join_group(self, subscriber: Subscriber) -> None:
        key = (subscriber.connection.encoding, frozenset(subscriber.subscriptions))
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(*key)
            for subscription in group.subscriptions:
                self._groups_of.setdefault(subscription, set()).add(group)
        group.members.add(subscriber)
        subscriber.group = group

    def _leave_group(self, subscriber: Subscriber) -> None:
        group, subscriber.group = subscriber.group, None
        if group is not None:
            group.members.discard(subscriber)
            if not group.members:
                del self._groups[group.encoding, group.subscriptions]
                for subscription in group.subscriptions:
                    groups = self._groups_of[subscription]
                    groups.discard(group)
                    if not groups:
                        del self._groups_of[subscription]
