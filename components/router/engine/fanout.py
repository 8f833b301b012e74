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

- What goes wrong with one event or one connection is logged, and costs only those who cannot have it.

Knows nothing of Crossbar, of sockets, or of what a payload means.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from random import getrandbits
from typing import Any, ClassVar

from twisted.logger import Logger

from components.core.histogram import Histogram
from components.core.payload import EncodedPayload
from components.core.tick_age import BOUNDS_S
from components.router.engine.backlog import HeldPart, MakeCondenser
from components.router.engine.blocked import BlockedSessions, HoldLimits
from components.router.engine.events import Event, RetainedEvent
from components.router.engine.groups import Group, Groups, Subscriber
from components.router.engine.pending import Pending, frames_of

GATHER = 3.0
"""At light load, flushing takes no more than one part in ``1 + GATHER`` of the time."""

MAX_WINDOWS = 10
"""A flush may seem long because the machine did something else meanwhile."""

ENOUGH = 256
"""As many events in one write cost about as much as the write itself."""

MANY = 64

MAX_CACHED_TOPICS = 10_000
"""Topics whose subscriptions are remembered; with more, all are forgotten and looked up again."""

_PUBLICATION_BITS = 53
"""WAMP ids are random numbers from 1 to 2^53; no secret depends on them."""


DEFAULT_WINDOW_S = 0.002


class FanOut:
    """All sessions of one realm on this worker."""

    life_log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        clock: Any,
        match: Callable[[str], Iterable[tuple[int, bool]]],
        on_overflow: Callable[[Subscriber, Any], None],
        condenser: MakeCondenser,
        window_s: float = DEFAULT_WINDOW_S,
        hold: HoldLimits | None = None,
        unix_s: Callable[[], float] = time.time,
    ) -> None:
        """Fan out with ``clock`` (``seconds`` and ``callLater``); ``unix_s`` tells how old what is written is.

        ``match`` returns the subscriptions of a topic that have subscribers here, as ``(id, is a pattern)``; it is asked once
        per topic until ``subscriptions_changed``. ``on_overflow`` is told the subscriber whose outbox gave a reason to close.
        ``condenser`` makes what merges events for several sessions as an outbox would. Under load events are gathered for
        ``window_s``; 0 writes each at once, at many times the cost.
        """
        self._clock = clock
        self._match = match
        self._window_s = window_s
        self._blocked = BlockedSessions(clock, condenser, on_overflow, hold or HoldLimits())
        self._pending = Pending()
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
        """Sessions whose subscriptions have changed since the last flush."""

        self.many = MANY
        """Subscriptions of a session, with more of which it is put into a group only when they have not changed for a flush."""

        self._settling: set[Subscriber] = set()
        """Those with many subscriptions that had changed before the last flush, and so are in no group yet."""

        self.delivered = 0
        """Events handed to connections."""
        self.flushes = 0
        self.ages = Histogram(BOUNDS_S)
        """From the exchange's time of the oldest trade of a flush to the flush's end, s, once for each event delivered in it.

        What waited longer for a blocked session, and flushes without a trade, are not in it.
        """
        self._unix_s = unix_s
        self._made_ms: int | None = None
        """The exchange's time of the oldest trade that waits for a flush."""

    # Publishing

    def publish(self, topic: str, payload: EncodedPayload) -> None:
        """Deliver a payload to who is subscribed to a topic, within the window."""
        self._add(topic, payload)
        if self._pending.events:
            self._flush_when_due()

    def publish_batch(self, events: Iterable[tuple[str, EncodedPayload]], made_ms: int | None = None) -> None:
        """Publish events that came together, and look at the time once.

        ``made_ms`` is the exchange's time of the oldest of them, ms since 1970, where they have one.
        """
        add = self._add
        for topic, payload in events:
            add(topic, payload)
        if self._pending.events:
            if self._made_ms is None:
                self._made_ms = made_ms
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
                self._pending.events.append(Event(subscription, publication, topic, is_pattern, payload))

    def _flush_when_due(self) -> None:
        wait_s = self._next_flush_s - self._clock.seconds()
        # More than the whole gap is left only when the clock was set back.
        if wait_s <= 0 or wait_s > self._gap_s:
            self.flush()
        elif self._timer is None:
            self._timer = self._clock.callLater(wait_s, self._timer_fired)
        elif self._look is None and len(self._pending.events) >= ENOUGH:
            self._seen = 0
            self._look = self._clock.callLater(0, self._look_for_more)

    def flush_if_due(self) -> None:
        """Write what waits, if it is time: for who is about to do something that may take a while."""
        if self._pending.events and self._clock.seconds() >= self._next_flush_s:
            self.flush()

    def _timer_fired(self) -> None:
        self._timer = None
        self.flush()

    def _look_for_more(self) -> None:
        self._look = None
        if len(self._pending.events) == self._seen:
            self.flush()
        else:
            self._seen = len(self._pending.events)
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
            frames = frames_of(subscriber.connection.encoding, retained)
            self._write_frames(subscriber, [frame for frame in frames if frame])

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

    def subscriptions_changed(self, topic: str | None = None) -> None:
        """Forget which subscriptions match: some subscription got its first subscriber, or lost its last.

        ``topic`` is that of an exact subscription; a pattern, for which it is ``None``, may match any.
        """
        if topic is None:
            self._matches.clear()
        else:
            self._matches.pop(topic, None)

    def left(self, subscriber: Subscriber) -> None:
        """Write nothing more to a session: its connection is closing, or gone."""
        subscriber.gone = True
        self._blocked.forget(subscriber)
        self._groups.leave(subscriber)
        self._ungrouped.discard(subscriber)
        self._settling.discard(subscriber)
        self._pending.caught_up.discard(subscriber)

    def catch_up(self, subscriber: Subscriber) -> None:
        """Write what waits for one session, before something else is written to it.

        What waits for a blocked session is written too, into a connection that takes no more: the connection counts what
        piles up there.
        """
        if subscriber.gone:
            return
        if subscriber.blocked:
            self._release(subscriber, whole=True)
        pending = self._pending
        if pending.events and not subscriber.gone:
            positions = pending.positions_for(subscriber)
            subscriber.position = len(pending.events)
            pending.caught_up.add(subscriber)
            if positions:
                self._write_frames(subscriber, pending.framed(subscriber.connection.encoding, positions))

    def blocked(self, subscriber: Subscriber) -> None:
        """Write nothing to a session until it is unblocked: its connection takes no more bytes."""
        subscriber.blocked = True
        group = subscriber.group
        if group is not None:
            group.writable.discard(subscriber)
            group.blocked.add(subscriber)

    def unblocked(self, subscriber: Subscriber) -> None:
        """Write what waited for a session, as much as its connection takes now."""
        subscriber.blocked = False
        group = subscriber.group
        if group is not None:
            group.blocked.discard(subscriber)
            group.writable.add(subscriber)
        self._release(subscriber, whole=False)

    def _release(self, subscriber: Subscriber, *, whole: bool) -> None:
        """Write what a session missed: ``whole``, or until its connection is blocked again."""
        for missed in self._blocked.missed(subscriber):
            if isinstance(missed, HeldPart):
                self._write(subscriber, list(missed.pieces), missed.events)
            else:
                self._write_frames(subscriber, self._encoded(subscriber, missed))
            if subscriber.gone or (subscriber.blocked and not whole):
                break
        group = subscriber.group
        if group is not None and not group.blocked:
            group.backlog = None

    def _encoded(self, subscriber: Subscriber, kept: Iterable[tuple[int, str, bytes, int, int]]) -> list[bytes]:
        events = [
            Event(
                subscription,
                getrandbits(_PUBLICATION_BITS) + 1,
                topic,
                subscriber.subscriptions[subscription],
                EncodedPayload(payload),
                merged,
                dropped,
            )
            for subscription, topic, payload, merged, dropped in kept
        ]
        return [frame for frame in frames_of(subscriber.connection.encoding, events) if frame]

    # Flushing

    def flush(self) -> None:
        """Write all that waits."""
        for call in (self._timer, self._look):
            if call is not None:
                call.cancel()
        self._timer = self._look = None
        began_s = self._clock.seconds()
        if self._pending.events:
            pending, self._pending = self._pending, Pending()
            self._write_pending(pending, began_s)
        ended_s = self._clock.seconds()
        took_s, window_s = max(0.0, ended_s - began_s), self._window_s
        self._gap_s = min(max(min(GATHER * took_s, window_s), took_s), MAX_WINDOWS * window_s)
        self._next_flush_s = ended_s + self._gap_s

    def _write_pending(self, pending: Pending, began_s: float) -> None:
        self.flushes += 1
        made_ms, self._made_ms = self._made_ms, None
        delivered_before = self.delivered
        # To put a session into a group takes a while for each of its subscriptions. One that has many and goes on changing
        # them would leave its group at once; until it settles, what is for it is picked out for it alone.
        changing = {each for each in self._ungrouped if len(each.subscriptions) > self.many and not each.blocked}
        for subscriber in (self._ungrouped | self._settling) - changing:
            self._groups.join(subscriber)
        self._settling = changing
        self._ungrouped.clear()
        pending.caught_up |= changing
        subscriptions = pending.subscriptions()
        # The many who get the same do not wait for the few who want something of their own, each of which costs as much.
        groups = sorted(self._groups.concerned(subscriptions), key=lambda group: len(group.writable), reverse=True)
        for group in groups:
            self._flush_group(group, pending, subscriptions, began_s)
        for subscriber in pending.caught_up:
            positions = pending.positions_for(subscriber)
            subscriber.position = 0
            # To a blocked session, too: these belong to the reply that it was sent before them.
            if positions and not subscriber.gone:
                self._write_frames(subscriber, pending.framed(subscriber.connection.encoding, positions))
        if made_ms is not None:
            self.ages.observe(max(self._unix_s() - made_ms / 1000, 0.0), self.delivered - delivered_before)

    def _flush_group(self, group: Group, pending: Pending, subscriptions: frozenset[int], now_s: float) -> None:
        writable: set[Subscriber] | tuple[Subscriber, ...] = group.writable
        blocked: Iterable[Subscriber] = group.blocked
        if pending.caught_up:
            writable = group.writable - pending.caught_up
            blocked = group.blocked - pending.caught_up
        if not writable and not blocked:
            return
        positions = pending.positions(group.subscriptions, subscriptions)
        frames = pending.framed(group.encoding, positions)
        if not frames:
            return
        pieces = group.encoding.pieces(frames)
        if blocked:
            events = [pending.events[position] for position in positions]
            self._blocked.hold(group, blocked, events, pieces, now_s)
        # A connection that takes no more leaves the set while it is gone through.
        for subscriber in tuple(writable):
            self._write(subscriber, pieces, len(frames))

    def _write_frames(self, subscriber: Subscriber, frames: list[bytes]) -> None:
        if frames:
            self._write(subscriber, subscriber.connection.encoding.pieces(frames), len(frames))

    def _write(self, subscriber: Subscriber, pieces: list[bytes], events: int) -> None:
        connection = subscriber.connection
        try:
            if connection.encoding.joined:
                connection.write(pieces[0])
            else:
                connection.write_each(pieces)
        except Exception:
            # It has missed something, and must not go on as if it had not; the others do.
            self.life_log.failure("a connection cannot be written to and is given up")
            connection.give_up()
        else:
            self.delivered += events

    def _regroup(self, subscriber: Subscriber) -> None:
        # Interned when the next flush needs it, not with each of the hundred subscriptions that a client begins with.
        self._groups.leave(subscriber)
        if subscriber.subscriptions and not subscriber.gone:
            self._ungrouped.add(subscriber)
        else:
            self._ungrouped.discard(subscriber)
            self._settling.discard(subscriber)
