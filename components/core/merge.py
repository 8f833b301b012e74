"""Merge what a client could not get in time into one event that says so, without changing a digit.

Owns what "merged" means for each kind of stream; never touches queues, sessions or time.

Ticks: one tick stands for several trades. Its keys, in this order:

- ``symbol``;
- ``price``: the last trade's;
- ``volume``: the exact sum over all trades, with as many decimals as the longest of them;
- ``side``, ``ts``, ``id``, ``seq``: the last trade's, so that ``seq`` stays comparable with that of unmerged ticks;
- ``merged``: number of trades in it, at least 2;
- ``high``, ``low``: highest and lowest price, in the exchange's digits (of equal prices the first one's);
- ``first_id``, ``last_id``, ``first_seq``: of the first and last trade in it;
- ``dropped``, only where there is something to say: number of trades since the previous event that are in no tick.

Best prices and statistics of a day: the newest update, with ``merged`` (number of updates it stands for, itself included) and
``dropped`` at the end.

Anything else (a service's events) has no meaning known here: the newest wins, and its bytes stay as they are.

Rules:

- Merging is associative: ticks merged already may be merged again, and the result is as if all trades had been merged at once.
- ``dropped`` counts what ``merged`` counts, and both add up. So on every topic whose numbering is ``seq``, with any mixture
  of policies on the way, ``seq`` grows by ``merged`` (1 where there is none) plus ``dropped`` within an epoch.
- Ticks carry no epoch. In one merged across two, every figure is right, but ``first_seq`` belongs to the older numbering.
- Payloads are as ``sequencer`` or this module makes them: marks (``merged``, ``dropped``) stand without blanks where they
  are said to be. Keys unknown here do not survive the merging of ticks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Clamped, Context, Decimal, Inexact, InvalidOperation, Overflow, Rounded, Subnormal, Underflow
from enum import Enum
from typing import Annotated

import msgspec

from components.core.topics import NEWEST_WINS
from components.uris import MARKET_PREFIX, RATE_PREFIX

_DROPPED = re.compile(rb',"dropped":(\d{1,18})\}\Z')
_MERGED = re.compile(rb',"merged":(\d{1,18})')
_NEWEST_MARKS = re.compile(rb'(?:,"merged":(\d{1,18}))?(?:,"dropped":(\d{1,18}))?\}\Z')

_MERGED_TICK = (
    b'{"symbol":%b,"price":%b,"volume":%b,"side":%b,"ts":%b,"id":%b,"seq":%b,"merged":%d,'
    b'"high":%b,"low":%b,"first_id":%b,"last_id":%b,"first_seq":%b%b}'
)


class Unmergeable(ValueError):
    """A payload that is not what its stream carries."""


class Stream(Enum):
    """What a topic carries, and by that what may be merged."""

    TICKS = "ticks"
    NEWEST = "newest"
    OPAQUE = "opaque"


def stream_of(topic: str) -> Stream:
    """Return what a topic carries.

    ``market.BTCUSDT`` and ``market.BTCUSDT.every_100ms`` carry ticks, of ``market.BTCUSDT.book`` and ``.day`` the newest is
    enough; node-wide topics (``market.status``), families not known here and everything outside ``market.`` are opaque.
    """
    if not topic.startswith(MARKET_PREFIX):
        return Stream.OPAQUE
    symbol, _, family = topic[len(MARKET_PREFIX) :].partition(".")
    if symbol.islower():
        return Stream.OPAQUE
    if not family or family.startswith(RATE_PREFIX):
        return Stream.TICKS
    return Stream.NEWEST if family in NEWEST_WINS else Stream.OPAQUE


class _Tick(msgspec.Struct, gc=False):
    # Raw is a view of the payload: what is only passed on is copied, never printed anew.
    symbol: msgspec.Raw
    price: Decimal
    volume: Decimal
    side: msgspec.Raw
    ts: msgspec.Raw
    id: msgspec.Raw
    seq: msgspec.Raw
    merged: Annotated[int, msgspec.Meta(ge=1)] = 1
    high: Decimal | None = None
    low: Decimal | None = None
    first_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    first_seq: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    dropped: Annotated[int, msgspec.Meta(ge=0)] = 0


_decode_tick = msgspec.json.Decoder(_Tick).decode

# Exact or an exception: nothing is ever rounded, and what one payload can make arithmetic and printing cost is bounded.
_exact = Context(
    prec=200, Emax=100, Emin=-100, traps=[Clamped, Inexact, InvalidOperation, Overflow, Rounded, Subnormal, Underflow]
)
_add, _plus = _exact.add, _exact.plus
_ZERO = Decimal(0)


class TickAccumulator:
    """The merged tick of all trades added so far: constant memory, one rendering however many were added.

    Not a frozen dataclass, and slotted by hand: it is added to once per trade and blocked session.
    """

    __slots__ = (
        *("_first_id", "_first_seq", "_high", "_last", "_low", "_measure_at", "_rendered", "_volume"),
        *("dropped", "merged", "size_bytes"),
    )

    def __init__(self) -> None:
        self.merged = 0
        """Trades in it; 0 while nothing was added."""

        self.dropped = 0
        """Sum of the ``dropped`` of the ticks added."""

        self.size_bytes = 0
        """Length of the tick, measured whenever the number of trades has doubled: between, a few digits may be missing."""

        self._volume = self._high = self._low = _ZERO
        self._rendered = b""

    def add(self, payload: bytes) -> None:
        """Take in a tick, merged ones included, that comes after all the others.

        Raises:
            Unmergeable: not a tick, or numbers beyond 1e±100 or 200 digits; nothing was added.
        """
        try:
            tick = _decode_tick(payload)
            volume = _add(self._volume, tick.volume)
            price = _plus(tick.price)
            usable = volume.is_finite() and price.is_finite() and not tick.volume.is_signed()
            if tick.merged == 1:
                high = low = price
            else:
                high, low, usable = _extremes(tick, usable)
        except (msgspec.MsgspecError, ArithmeticError, ValueError) as error:
            raise Unmergeable(f"not a tick: {error}") from error
        if not usable:
            raise Unmergeable(
                "a tick needs a finite price, a volume >= 0, and where merged high, low, first_id, first_seq"
            )

        if self.merged:
            # Of equal prices the first one's digits stay.
            if high > self._high:
                self._high = high
            if low < self._low:
                self._low = low
            self._rendered = b""
        else:
            self._high, self._low = high, low
            self._first_id = tick.id if tick.first_id is msgspec.UNSET else tick.first_id
            self._first_seq = tick.seq if tick.first_seq is msgspec.UNSET else tick.first_seq
            self._rendered = payload
            self._measure_at = 0
        self._volume = volume
        self._last = tick
        self.merged += tick.merged
        self.dropped += tick.dropped
        if self.merged >= self._measure_at:
            self._measure_at = 2 * self.merged if self._measure_at else self.merged + 1
            self.size_bytes = len(self.render())

    def render(self) -> bytes:
        """Return the tick as JSON: a lone one as it came, several as the module says, ``b""`` while nothing was added."""
        if not self._rendered and self.merged:
            last = self._last
            self._rendered = _MERGED_TICK % (
                last.symbol,
                f"{last.price:f}".encode(),
                f"{self._volume:f}".encode(),
                last.side,
                last.ts,
                last.id,
                last.seq,
                self.merged,
                f"{self._high:f}".encode(),
                f"{self._low:f}".encode(),
                self._first_id,
                last.id,
                self._first_seq,
                b',"dropped":%d' % self.dropped if self.dropped else b"",
            )
        return self._rendered


def _extremes(tick: _Tick, usable: bool) -> tuple[Decimal, Decimal, bool]:
    if tick.high is None or tick.low is None or msgspec.UNSET in (tick.first_id, tick.first_seq):
        return _ZERO, _ZERO, False
    high, low = _plus(tick.high), _plus(tick.low)
    return high, low, usable and high.is_finite() and low.is_finite()


def merge_ticks(payloads: Iterable[bytes]) -> bytes:
    """Return one tick for several in their order; a lone one as it came, none as ``b""``.

    Raises:
        Unmergeable: one of them is not a tick.
    """
    accumulator = TickAccumulator()
    for payload in payloads:
        accumulator.add(payload)
    return accumulator.render()


class NewestAccumulator:
    """The newest best prices or statistics, with the number of updates that they stand for."""

    __slots__ = ("_newest", "dropped", "merged", "size_bytes")

    def __init__(self) -> None:
        self.merged = self.dropped = 0
        self.size_bytes = 0
        """Length of the newest update without its marks."""
        self._newest = b""

    def add(self, payload: bytes) -> None:
        """Let an update take the place of the one before.

        Raises:
            Unmergeable: not a JSON object with keys; nothing was added.
        """
        if not _is_object(payload):
            raise Unmergeable("an update must be a JSON object with keys")
        merged = 1
        if b',"merged":' in payload or b',"dropped":' in payload:
            marks = _NEWEST_MARKS.search(payload)
            if marks is not None:
                merged = int(marks[1] or 1)
                self.dropped += int(marks[2] or 0)
                payload = payload[: marks.start()] + b"}"
        self.merged += merged
        self._newest = payload
        self.size_bytes = len(payload)

    def render(self) -> bytes:
        """Return the newest update, marked where it stands for more than itself."""
        if self.merged <= 1 and not self.dropped:
            return self._newest
        merged = b',"merged":%d' % self.merged if self.merged > 1 else b""
        return with_dropped(self._newest[:-1] + merged + b"}", self.dropped)


class OpaqueAccumulator:
    """The newest of payloads whose meaning is not known; what it stands for cannot be written into it."""

    __slots__ = ("_newest", "dropped", "merged", "size_bytes")

    def __init__(self, merged: int = 0, dropped: int = 0) -> None:
        self.merged = merged
        self.dropped = dropped
        self.size_bytes = 0
        self._newest = b""

    def add(self, payload: bytes, events: int = 1) -> None:
        """Let a payload, which stands for so many events, take the place of the one before."""
        self.merged += events
        self._newest = payload
        self.size_bytes = len(payload)

    def render(self) -> bytes:
        """Return the newest payload as it came."""
        return self._newest


def stands_for(payload: bytes) -> int:
    """Return how many trades or updates are lost when an event is dropped: those in it and those it says were dropped."""
    merged = _MERGED.search(payload) if b',"merged":' in payload else None
    dropped = _DROPPED.search(payload) if b',"dropped":' in payload else None
    return (int(merged[1]) if merged else 1) + (int(dropped[1]) if dropped else 0)


def with_dropped(payload: bytes, dropped: int) -> bytes:
    """Return a tick or update that says ``"dropped"`` besides, added to what it said before; 0 changes nothing.

    Raises:
        Unmergeable: not a JSON object with keys.
    """
    if not dropped:
        return payload
    if not _is_object(payload):
        raise Unmergeable("only a JSON object with keys can say how many were dropped")
    said = _DROPPED.search(payload) if b',"dropped":' in payload else None
    if said is not None:
        return payload[: said.start()] + b',"dropped":%d}' % (dropped + int(said[1]))
    return payload[:-1] + b',"dropped":%d}' % dropped


def _is_object(payload: bytes) -> bool:
    return len(payload) > 2 and payload[:1] == b"{" and payload[-1:] == b"}"
