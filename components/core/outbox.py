"""What waits for one session that does not read: bounded by what it subscribed to and by bytes, never by time.

Owns which events wait, in which order, and what becomes of those that cannot; never touches a transport or a clock.

Rules:

- A topic that reaches a session by several subscriptions (exact and prefix, say) is an event of its own for each: the key
  is (subscription id, topic).
- Keys are drained in the order in which they first had something waiting; one key's events in theirs.
- ``conflate``: one event per key at most, merged as ``merge`` says. ``drop_oldest``: the newest ``depth`` events per key,
  the first one delivered saying how many were dropped before it. ``disconnect``: nothing ever waits.
- The policy of a topic is that of the longest prefix it begins with; ``conflate`` where there is none.
- Whatever would go beyond ``max_bytes`` ends the outbox, as does ``disconnect``: what waits is let go at once, and from then
  on every event is refused with the same reason. The session is to be closed with it.
- Ticks and best prices say ``merged`` and ``dropped`` themselves. Other payloads cannot, so the delivery says it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from components.core.closing import CloseReason
from components.core.merge import (
    NewestAccumulator,
    OpaqueAccumulator,
    Stream,
    TickAccumulator,
    Unmergeable,
    stands_for,
    stream_of,
    with_dropped,
)
from components.core.outbox_settings import OutboxSettings, Policy

EVENT_OVERHEAD_BYTES = 100
"""Counted per waiting event beside topic and payload: EVENT's other fields, the frame's header, and marks added late."""


@dataclass(slots=True)
class OutboxCounters:
    """What happened to events that had to wait; may be shared by all outboxes of a realm. Each only grows.

    ``added`` = ``delivered`` + ``merged`` + ``dropped`` + ``discarded`` + what waits.
    """

    added: int = 0
    delivered: int = 0
    merged: int = 0
    """Events that went into another one."""

    dropped: int = 0
    """Events that ``drop_oldest`` dropped."""

    discarded: int = 0
    """Events of sessions to be closed, and of subscriptions that ended."""

    unmergeable: int = 0
    """Events on a market topic that were not what the topic carries: there the newest wins."""


class Delivery(NamedTuple):
    """One event to be sent. A plain tuple: one is made per event."""

    subscription: int
    topic: str
    payload: bytes
    merged: int
    """Events it stands for, where that is more than 1 and the payload cannot say so; else 0."""

    dropped: int
    """Events dropped before it, where the payload cannot say so; else 0."""


def _accumulator(topic: str) -> TickAccumulator | NewestAccumulator | OpaqueAccumulator:
    stream = stream_of(topic)
    if stream is Stream.TICKS:
        return TickAccumulator()
    return NewestAccumulator() if stream is Stream.NEWEST else OpaqueAccumulator()


class _Conflated:
    """The one event of a key under ``conflate``."""

    __slots__ = ("_accumulator", "_charge", "_fixed_charge")

    def __init__(self, topic: str, fixed_charge: int) -> None:
        self._accumulator = _accumulator(topic)
        self._fixed_charge = fixed_charge
        self._charge = 0

    def __len__(self) -> int:
        return 1 if self._charge else 0

    def add(self, payload: bytes, events: int, counters: OutboxCounters) -> int:
        """Merge an event into what waits; return by how many bytes that grew."""
        accumulator = self._accumulator
        try:
            if isinstance(accumulator, OpaqueAccumulator):
                accumulator.add(payload, events)
            else:
                accumulator.add(payload)
        except Unmergeable:
            counters.unmergeable += 1
            self._accumulator = accumulator = OpaqueAccumulator(accumulator.merged, accumulator.dropped)
            accumulator.add(payload, events)
        before = self._charge
        self._charge = self._fixed_charge + accumulator.size_bytes
        counters.merged += events if before else events - 1
        return self._charge - before

    def pop(self) -> tuple[bytes, int, int, int]:
        """Return payload, what it cannot say of ``merged`` and ``dropped``, and the bytes set free."""
        accumulator, charge, self._charge = self._accumulator, self._charge, 0
        if isinstance(accumulator, OpaqueAccumulator):
            merged = accumulator.merged if accumulator.merged > 1 else 0
            return accumulator.render(), merged, accumulator.dropped, charge
        return accumulator.render(), 0, 0, charge


class _NewestFew:
    """The events of a key under ``drop_oldest``."""

    __slots__ = ("_depth", "_dropped", "_fixed_charge", "_is_market", "_payloads")

    def __init__(self, topic: str, fixed_charge: int, depth: int) -> None:
        self._payloads: deque[bytes] = deque()
        self._depth = depth
        self._fixed_charge = fixed_charge
        self._is_market = stream_of(topic) is not Stream.OPAQUE
        # In trades or updates where the payloads are such, in events otherwise.
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._payloads)

    def add(self, payload: bytes, _events: int, counters: OutboxCounters) -> int:
        """Queue an event, dropping the oldest one where the queue is full; return by how many bytes it grew."""
        growth = self._fixed_charge + len(payload)
        self._payloads.append(payload)
        if len(self._payloads) > self._depth:
            oldest = self._payloads.popleft()
            self._dropped += stands_for(oldest) if self._is_market else 1
            counters.dropped += 1
            growth -= self._fixed_charge + len(oldest)
        return growth

    def pop(self) -> tuple[bytes, int, int, int]:
        """Return payload, what it cannot say of ``merged`` and ``dropped``, and the bytes set free."""
        payload = self._payloads.popleft()
        charge = self._fixed_charge + len(payload)
        dropped, self._dropped = self._dropped, 0
        if self._is_market:
            try:
                return with_dropped(payload, dropped), 0, 0, charge
            except Unmergeable:
                pass
        return payload, 0, dropped, charge


class ConflatingOutbox:
    """What waits for one blocked session; see the module for its rules."""

    __slots__ = ("_entries", "_settings", "bytes", "counters", "overflow")

    def __init__(self, settings: OutboxSettings, counters: OutboxCounters | None = None) -> None:
        self._settings = settings
        self.counters = OutboxCounters() if counters is None else counters
        # Ordered for its first item: finding that in a plain dict takes longer with every item removed before it.
        self._entries: OrderedDict[tuple[int, str], _Conflated | _NewestFew] = OrderedDict()
        self.bytes = 0
        """Bytes of all that waits as it would be sent: payloads, topics and ``EVENT_OVERHEAD_BYTES`` each."""

        self.overflow: CloseReason | None = None
        """Why the session must be closed; ``None`` while it need not be."""

    def __len__(self) -> int:
        """Return the number of events waiting; takes time per key."""
        return sum(map(len, self._entries.values()))

    def __bool__(self) -> bool:
        return bool(self._entries)

    def add(self, subscription: int, topic: str, payload: bytes, events: int = 1) -> CloseReason | None:
        """Let an event wait; return why the session must be closed, or ``None``.

        ``topic`` is the one published to, ``payload`` the JSON bytes of its argument, ``events`` the number of events that
        ``Condenser`` made it from.
        """
        counters = self.counters
        counters.added += events
        if self.overflow is not None:
            counters.discarded += events
            return self.overflow
        key = (subscription, topic)
        entry = self._entries.get(key)
        if entry is None:
            policy = self._settings.policy_for(topic)
            if policy.policy is Policy.DISCONNECT:
                counters.discarded += events
                return self.close(CloseReason.QUEUE_FULL)
            fixed_charge = EVENT_OVERHEAD_BYTES + len(topic)
            depth = policy.depth
            entry = _Conflated(topic, fixed_charge) if depth is None else _NewestFew(topic, fixed_charge, depth)
            self._entries[key] = entry
        self.bytes += entry.add(payload, events, counters)
        if self.bytes > self._settings.max_bytes:
            return self.close(CloseReason.TOO_MANY_BYTES)
        return None

    def drain(self) -> Iterator[Delivery]:
        """Yield what waits, the longest waiting key first; what was yielded waits no more.

        Stop whenever the session blocks again: the rest keeps its place. Events may be added meanwhile.
        """
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            payload, merged, dropped, charge = entry.pop()
            if not entry:
                del self._entries[key]
            self.bytes -= charge
            self.counters.delivered += 1
            yield Delivery(*key, payload, merged, dropped)

    def close(self, reason: CloseReason) -> CloseReason:
        """Let everything go and refuse what comes; return the reason, which is the first one given."""
        if self.overflow is None:
            self.overflow = reason
        self.discard()
        return self.overflow

    def discard(self) -> None:
        """Let everything go."""
        self.counters.discarded += len(self)
        self._entries.clear()
        self.bytes = 0


class Condenser:
    """Merges events that are to wait in several outboxes, so that each has to take in less.

    Adding what it yields leaves an outbox as adding the events would. Only what the topic's policy conflates and what can be
    merged is; other events are yielded singly, in their order.
    """

    def __init__(self, settings: OutboxSettings) -> None:
        self._settings = settings
        self._keys: dict[tuple[int, str], _Merging | _Single] = {}

    def add(self, subscription: int, topic: str, payload: bytes) -> None:
        """Take in an event."""
        entry = self._keys.get((subscription, topic))
        if entry is None:
            merges = self._settings.policy_for(topic).policy is Policy.CONFLATE
            entry = self._keys[subscription, topic] = _Merging(topic) if merges else _Single()
        entry.add(payload)

    def condensed(self) -> Iterator[tuple[int, str, bytes, int]]:
        """Yield subscription, topic, payload and the number of events that it was made from."""
        for (subscription, topic), entry in self._keys.items():
            for payload, events in entry.condensed():
                yield subscription, topic, payload, events


class _Single:
    """The events of a key that are not merged."""

    __slots__ = ("_payloads",)

    def __init__(self) -> None:
        self._payloads: list[bytes] = []

    def add(self, payload: bytes) -> None:
        self._payloads.append(payload)

    def condensed(self) -> Iterator[tuple[bytes, int]]:
        return ((payload, 1) for payload in self._payloads)


class _Merging:
    """The events of a key that become one, unless one of them is not what the topic carries."""

    __slots__ = ("_accumulator", "_payloads")

    def __init__(self, topic: str) -> None:
        self._accumulator: TickAccumulator | NewestAccumulator | OpaqueAccumulator | None = _accumulator(topic)
        self._payloads: list[bytes] = []

    def add(self, payload: bytes) -> None:
        self._payloads.append(payload)
        if self._accumulator is not None:
            try:
                self._accumulator.add(payload)
            except Unmergeable:
                self._accumulator = None

    def condensed(self) -> Iterable[tuple[bytes, int]]:
        if self._accumulator is None:
            return ((payload, 1) for payload in self._payloads)
        return [(self._accumulator.render(), len(self._payloads))]
