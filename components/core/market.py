"""The newest of everything a feed sent: the last event of each symbol's streams, and the feed's status.

Pure state, no I/O. What late joiners and procedures are answered from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from components.core.batch import Batch, Standing
from components.core.topics import STREAMS, symbol_and_family
from components.uris import topic_of

FEED_SILENT_AFTER_S = 5.0
"""A feed tells its status every second; without one for this long it is lost."""

Received = tuple[bytes, float]
"""A payload, and when it came, s by the node's monotonic clock. A plain tuple: one is made per event."""

_NONE: Received = (b"null", 0.0)
_STREAMS = [(name.encode(), family) for name, family in STREAMS.items()]


class FeedChoice(msgspec.Struct):
    """Whose symbols a feed follows, as it says so in its status."""

    version: Annotated[int, Meta(ge=0, le=2**53)] = 0
    """Of the operator's choice; 0 where there has been none."""

    source: Annotated[str, Meta(max_length=16)] = "environment"
    by: Annotated[str, Meta(max_length=128)] = ""
    at: Annotated[int, Meta(ge=0, le=2**53)] = 0
    """When the operator chose, ms since 1970."""

    rejected: dict[Annotated[str, Meta(max_length=20)], Annotated[str, Meta(max_length=200)]] = {}
    """Why the exchange sends nothing of a symbol that is wanted."""

    awaited: list[Annotated[str, Meta(max_length=20)]] = []
    """Symbols of which nothing has come yet."""


class _FeedStatus(msgspec.Struct):
    """What is used of a feed's status; the rest is shown as it came."""

    epoch: Annotated[int, Meta(ge=0)]
    state: Annotated[str, Meta(max_length=32)]
    symbols: list[Annotated[str, Meta(max_length=20)]]
    stale: list[Annotated[str, Meta(max_length=20)]]
    exchange: dict[str, object] = {}
    counters: dict[str, int] = {}
    choice: FeedChoice = msgspec.field(default_factory=FeedChoice)


_check_status = msgspec.json.Decoder(_FeedStatus).decode


class Market:
    """What this node knows of the market."""

    def __init__(self, monotonic_s: Callable[[], float], unix_s: Callable[[], float]) -> None:
        """Start empty.

        ``monotonic_s`` tells when events came and the age of the feed's last word, ``unix_s`` when that was for who asks.
        """
        self._monotonic_s = monotonic_s
        self._unix_s = unix_s
        self._newest: dict[str, Received] = {}
        """By topic, of this epoch."""
        self._feed_status: dict[str, Any] = {}
        self._feed_heard_s: float | None = None
        self._feed_heard_unix_s: float | None = None
        self.choice = FeedChoice()
        """Whose symbols the feed follows. Not for clients: it names what they may not be granted."""

        self._followed: frozenset[str] = frozenset()
        """``symbols``, for looking up."""

        self._topics_looked_at = 0
        """How many there were when those of symbols that are not followed were forgotten last."""

        self._epoch = 0
        self._last_batch = 0
        self.missed_batches = 0
        """Batches that never came, by their numbers. Stays 0 unless the bus breaks its word."""

    @property
    def epoch(self) -> int:
        """The epoch of the newest batch, ms since 1970; 0 before the first."""
        return self._epoch

    @property
    def symbols(self) -> list[str]:
        """The symbols that the feed follows, in its order."""
        symbols: list[str] = self._feed_status.get("symbols", [])
        return symbols

    def take_batch(self, batch: Batch) -> bool:
        """Keep the newest events of a batch and return whether it is of this epoch or a later one.

        A later epoch forgets the earlier one's events; a batch of an earlier epoch is left alone.
        """
        now_s = self._hear_feed()
        if batch.epoch < self._epoch:
            return False
        if batch.epoch > self._epoch:
            self._epoch = batch.epoch
            self._last_batch = 0
            self._newest.clear()
        self.missed_batches += max(0, batch.number - self._last_batch - 1)
        self._last_batch = max(self._last_batch, batch.number)
        newest = self._newest
        for topic, _, payload in batch.events:
            newest[topic] = payload, now_s
        return True

    def take_standing(self, standing: Standing) -> Batch:
        """Let what stands on the bus be what is known; return what of it was not, as a batch of the standing's number.

        Whatever its epoch: what stands is what the bus goes on from. It says nothing of whether a feed lives. Symbols that the
        feed has ceased to follow are passed over: on the bus their numbers stand, should they come back.
        """
        if standing.epoch != self._epoch:
            self._newest.clear()
        now_s = self._monotonic_s()
        newest = self._newest
        events = [
            (topic, seq, payload)
            for topic, (seq, payload) in standing.newest.items()
            if newest.get(topic, _NONE)[0] != payload and self._may_be_followed(topic)
        ]
        for topic, _, payload in events:
            newest[topic] = payload, now_s
        self._epoch, self._last_batch = standing.epoch, standing.number
        return Batch(standing.epoch, standing.number, events)

    def topics(self) -> Iterator[str]:
        """Yield the topics of symbols that have had an event in this epoch."""
        yield from self._newest

    def last_event(self, topic: str) -> Received | None:
        """Return the newest event of a symbol's topic, ``None`` where there has been none in this epoch."""
        return self._newest.get(topic)

    def take_status(self, status: bytes) -> bool:
        """Keep the feed's status; return whether its state, epoch, symbols or stale symbols are others than before.

        What stands of symbols that the feed does not follow any more is forgotten.

        Raises:
            ValueError: ``status`` is not the JSON of one object, or not of a feed's.
        """
        try:
            choice = _check_status(status).choice
        except RecursionError:
            raise ValueError("status is nested too deeply") from None
        decoded = json.loads(status)
        was_lost = self.feed_lost
        before = self._essentials()
        was_followed = self.symbols
        self._feed_status, self.choice = decoded, choice
        if self.symbols == was_followed:
            # Who watches the list need not compare it.
            decoded["symbols"] = was_followed
        if self.symbols is not was_followed:
            self._followed = frozenset(self.symbols)
        if self.symbols is not was_followed or len(self._newest) != self._topics_looked_at:
            self._forget_unfollowed()
        self._hear_feed()
        return was_lost or self._essentials() != before

    def _may_be_followed(self, topic: str) -> bool:
        return not self._followed or symbol_and_family(topic)[0] in self._followed

    def _forget_unfollowed(self) -> None:
        for topic in [topic for topic in self._newest if symbol_and_family(topic)[0] not in self._followed]:
            del self._newest[topic]
        self._topics_looked_at = len(self._newest)

    def _hear_feed(self) -> float:
        self._feed_heard_s = now_s = self._monotonic_s()
        self._feed_heard_unix_s = self._unix_s()
        return now_s

    @property
    def feed_silent_s(self) -> float | None:
        """How long ago the last word of a feed came; ``None`` where none ever did."""
        return None if self._feed_heard_s is None else self._monotonic_s() - self._feed_heard_s

    @property
    def feed_lost(self) -> bool:
        """Whether no feed has told its status lately."""
        silent_s = self.feed_silent_s
        return silent_s is None or silent_s > FEED_SILENT_AFTER_S

    def status(self) -> dict[str, Any]:
        """Return the object that ``market.status`` answers.

        ``state`` is ``live``, ``subscribing`` or ``connecting`` (as the feed says), ``stale`` when it is live and some symbols
        are silent, or ``feed_lost`` when no feed has been heard for 5 s. Then ``role`` is ``none`` and ``since`` is when the
        last word of one came, ``None`` where none ever did; the rest is as the last one said. Symbols appear by their number
        only: who reads this may not be granted all of them. ``symbols_version`` is another one after operators changed them.
        ``epoch`` is that of the newest event: status and events come on different ways, either of which may be ahead.
        """
        status = {"epoch": 0} | self._feed_status
        status["epoch"] = self._epoch or status["epoch"]
        status.pop("choice", None)
        status["symbols_version"] = self.choice.version
        status["symbols"] = len(self.symbols)
        status["stale"] = len(self.stale)
        status["missed_batches"] = self.missed_batches
        if self.feed_lost:
            heard_s = self._feed_heard_unix_s
            status |= {"state": "feed_lost", "role": "none", "since": None if heard_s is None else int(heard_s * 1000)}
        elif status.get("state") == "live" and self.stale:
            status["state"] = "stale"
        return status

    @property
    def stale(self) -> list[str]:
        """The symbols that are silent."""
        stale: list[str] = self._feed_status.get("stale", [])
        return stale

    def snapshot(self, symbols: Iterable[str]) -> bytes:
        """Return the newest events of symbols as JSON, with the exchange's digits.

        Shape: ``{"epoch":…,"symbols":{"BTCUSDT":{"tick":{…}|null,"book":{…}|null,"day":{…}|null}}}``.
        """
        parts = [b'"%b":{%b}' % (symbol.encode(), self.newest(symbol)) for symbol in symbols]
        return b'{"epoch":%d,"symbols":{%b}}' % (self._epoch, b",".join(parts))

    def newest(self, symbol: str) -> bytes:
        """Return the newest event of each of a symbol's streams: the inside of a JSON object, by the names of ``STREAMS``."""
        newest = self._newest.get
        return b",".join(b'"%b":%b' % (name, newest(topic_of(symbol, family), _NONE)[0]) for name, family in _STREAMS)

    def _essentials(self) -> tuple[object, ...]:
        return tuple(self._feed_status.get(key) for key in ("epoch", "state", "stale", "symbols"))
