"""A feed's eye on the log, in a thread of its own: what of it counts, who leads, and when to claim the lead.

Owns the consumer, the reading and the candidacy. It tells the reactor of what changed in at most one call at a time.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger

from components.bus.kafka.candidacy import Candidacy, Step
from components.bus.kafka.connection import Contact, KafkaLimits
from components.bus.kafka.consumer import LogConsumer, LogUnavailable
from components.bus.kafka.log import (
    READY,
    TOKEN_BYTES,
    Kind,
    LogReading,
    MalformedRecord,
    Taken,
    encode_change,
    encode_record,
    encode_snapshot,
)
from components.bus.kafka.producer import LineBroken
from components.bus.kafka.thread import LogThread
from components.core.batch import Standing
from components.core.kafka_address import KafkaAddress
from components.core.symbol_choice import NO_CHOICE, SymbolChoice, encode_choice

_POLL_S = 0.05
"""How long a probe may be late."""


@dataclass(frozen=True, slots=True)
class Led:
    """This feed leads from here on."""

    token: bytes
    standing: Standing | None
    """``None``: nothing stands, or nobody knows what."""


@dataclass(frozen=True, slots=True)
class Lost:
    """This feed does not lead, or no more."""

    because: str
    superseded: bool
    """Another feed leads."""


class Tail:
    """Reads the log for a writer."""

    log = Logger()

    def __init__(
        self,
        address: KafkaAddress,
        limits: KafkaLimits,
        contact: Contact,
        reactor: IReactorFromThreads,
        *,
        send: Callable[[str, bytes], None],
        on_news: Callable[[], None],
    ) -> None:
        """``send`` sends a record to a topic, from any thread; ``on_news`` is called in the reactor when there is some."""
        self._address, self._limits, self._contact, self._reactor = address, limits, contact, reactor
        self._send, self._on_news = send, on_news
        self.news: deque[Led | Lost] = deque()
        """For the reactor to take; one or two for each change of the lead."""

        self.counted = 0
        """Batches under this feed's present token that count."""

        self.void = 0
        """Records of feeds that led no more, since the start."""

        self.malformed = 0
        """Records that are none."""

        self.choice = NO_CHOICE
        """The latest of which the log told; known before the lead is taken."""

        self.known_choice = NO_CHOICE
        """The latest that this feed knows; set by the reactor."""

        self.ready = False
        """Whether this feed is ready to lead; set by the reactor."""

        self._another_ready_at = float("-inf")
        self._spoke = False
        self._news_are_on_their_way = False
        self._standing_back = False
        self._left: tuple[bytes, bool] | None = None
        """Token of a lead that the reactor has left, and whether to others; set there, taken here."""

        self._writes_again = False
        """What this feed wrote without leading was lost; set by the reactor, taken here."""

        self._reading: LogReading | None = None
        self._backoff = limits.backoff()
        self._thread = LogThread("kafka-tail", reactor, contact, self._backoff, self.log, self._read, self._failed)
        self._candidacy = Candidacy(limits.candidacy)
        self._leading: bytes | None = None
        self._next_snapshot_at = 0.0
        self._snapshot_offset = -1
        self._reloads_at = 0.0
        self._puts_back_at = 0.0

    def start(self) -> None:
        """Read until ``end``."""
        self._thread.start()

    def stand_back(self) -> None:
        """Claim the lead no more."""
        self._standing_back = True

    def another_stands_by(self) -> bool:
        """Return whether another feed stands by that is ready to lead; in any thread."""
        return time.monotonic() - self._another_ready_at < self._limits.candidacy.ready_for_s

    def leave(self, token: bytes, *, to_others: bool) -> None:
        """Hear from the reactor that it leads no more under ``token``: to be claimed anew at once, or left to others first."""
        self._left = token, to_others

    def write_again(self) -> None:
        """Hear from the reactor that probe or claim may not have been sent."""
        self._writes_again = True

    def end(self) -> Deferred[None]:
        """Read no more; fires when the thread is about to end."""
        return self._thread.end()

    def take_news(self) -> list[Led | Lost]:
        """Return what happened since the last call; in the reactor, from ``on_news``."""
        self._news_are_on_their_way = False
        news = []
        while self.news:
            news.append(self.news.popleft())
        return news

    def _say(self, news: Led | Lost) -> None:
        self._spoke = True
        self.news.append(news)
        self._tell()

    def _tell(self) -> None:
        # The reactor clears the flag before it looks, so what is noted before this is seen by the call under way or the next.
        if not self._news_are_on_their_way:
            self._news_are_on_their_way = True
            self._reactor.callFromThread(self._on_news)

    def _read(self) -> None:
        consumer = LogConsumer(self._address, self._limits, self._contact)
        try:
            self._open(consumer)
            while not self._thread.ending.is_set():
                self._take(consumer.records(_POLL_S))
                reading = self._opened()
                if reading.token is None and time.monotonic() >= self._reloads_at:
                    self._open(consumer)
                self._act(self._opened())
                self._backoff.succeeded()
        finally:
            consumer.close()

    def _failed(self, own_error: bool) -> None:
        """After an error of its own, begin anew with the newest snapshot: what is known of the log may be half a record's."""
        if not own_error:
            return
        self._reading = None
        if self._leading is not None or not self._spoke:
            self._lose("reading the log failed")

    def _opened(self) -> LogReading:
        if self._reading is None:
            raise LogUnavailable("the log has not been read")
        return self._reading

    def _open(self, consumer: LogConsumer) -> None:
        """Go on where reading was broken off, or else from the newest snapshot, or else from where nothing is known."""
        first, end = consumer.bounds()
        reading = self._reading
        if reading is not None and not first <= reading.offset <= end:
            if self._leading is not None:
                self._lose("the log has no more what this feed was to read next")
            reading = None
        if reading is None or reading.token is None:
            reading = self._begin(consumer, reading, first, end)
        consumer.read_from(reading.offset)
        self._reading = reading
        self._learn(reading.choice)
        self._reloads_at = time.monotonic() + self._limits.snapshot_every_s

    def _begin(self, consumer: LogConsumer, unknowing: LogReading | None, first: int, end: int) -> LogReading:
        kept = consumer.kept(end)
        if unknowing is not None and not kept.goes_on_in(first):
            unknowing.know(kept.choice)
            return unknowing
        reading = kept.reading(first, end, keeps_newest=True)
        consumer.read_until(reading, end)
        # What it has written before is in what has just been read, if anywhere.
        self._candidacy = Candidacy(self._limits.candidacy)
        return reading

    def _take(self, records: list[tuple[int, bytes]]) -> None:
        reading = self._opened()
        counted, left = self.counted, self._left
        if left is not None:
            self._left = None
            token, to_others = left
            if self._leading == token:
                self._leading = None
            limits = self._limits
            if to_others:
                self._candidacy = Candidacy(limits.candidacy, not_before=time.monotonic() + limits.yields_for_s)
            else:
                self._candidacy = Candidacy(limits.candidacy, former=token)
        if self._writes_again:
            self._writes_again = False
            self._candidacy.lost(time.monotonic())
        for offset, data in records:
            try:
                taken = reading.take(offset, data)
            except MalformedRecord as error:
                self.malformed += 1
                if self.malformed == 1:
                    self.log.warn("record {offset} of the log is passed over: {error}", offset=offset, error=str(error))
                continue
            self._took(taken, reading)
        if self.counted != counted:
            self._tell()

    def _learn(self, choice: SymbolChoice) -> None:
        if choice.version > self.choice.version:
            self.choice = choice
            self._tell()

    def _took(self, taken: Taken, reading: LogReading) -> None:
        if taken.kind is Kind.CHANGE:
            self._learn(reading.choice)
            return
        if not taken.counts:
            self.void += 1
        if taken.ready and taken.token not in (self._candidacy.token, self._leading):
            self._another_ready_at = time.monotonic()
        if taken.kind is Kind.CLAIM:
            self._took_claim(taken, reading)
        elif self._leading is None:
            self._candidacy.took(taken, reading, time.monotonic())
        elif taken.token == self._leading:
            if taken.kind is Kind.BATCH and taken.counts:
                self.counted += 1
            elif not taken.counts:
                self._lose("what this feed wrote does not follow what stands", former=taken.token)

    def _took_claim(self, taken: Taken, reading: LogReading) -> None:
        own = taken.token == self._candidacy.token
        if own and taken.counts:
            self._leading, self.counted = taken.token, 0
            standing = reading.snapshot().standing() if reading.number else None
            self._say(Led(taken.token, standing))
        elif own:
            self._lose("another feed leads", superseded=True)
        elif taken.counts:
            self._lose("another feed leads", superseded=True)
            self._candidacy.took(taken, reading, time.monotonic())

    def _lose(self, because: str, *, superseded: bool = False, former: bytes | None = None) -> None:
        self._leading = None
        self._candidacy = Candidacy(self._limits.candidacy, former)
        self._say(Lost(because, superseded))

    def _act(self, reading: LogReading) -> None:
        now = time.monotonic()
        try:
            if self._leading is not None:
                if now >= self._next_snapshot_at and reading.offset != self._snapshot_offset:
                    self._next_snapshot_at = now + self._limits.snapshot_every_s
                    self._snapshot_offset = reading.offset
                    if reading.choice.version:
                        self._send(self._address.standing_topic, encode_choice(reading.choice))
                    for value in encode_snapshot(reading.snapshot()):
                        self._send(self._address.standing_topic, value)
            elif not self._standing_back:
                # One that is not ready leaves the lead to one that is.
                may_claim = self.ready or not self.another_stands_by()
                step = self._candidacy.next_step(reading, now, may_claim=may_claim)
                if step is Step.PROBE:
                    if not self._spoke:
                        self._say(Lost("another feed leads", superseded=True))
                    self._write(Kind.PROBE, READY if self.ready else b"")
                elif step is Step.CLAIM:
                    self._write(Kind.CLAIM, reading.token or b"")
            self._put_back(reading, now)
        except LineBroken as error:
            self._contact.failed(str(error))

    def _put_back(self, reading: LogReading, now: float) -> None:
        """Write again a choice that this feed knows and the topics have lost, until it is read back."""
        known = self.known_choice
        if known.version > reading.choice.version and now >= self._puts_back_at and not self._standing_back:
            self._puts_back_at = now + self._limits.snapshot_every_s
            change = encode_change(known, follows=None)
            self._send(self._address.log_topic, encode_record(Kind.CHANGE, secrets.token_bytes(TOKEN_BYTES), change))

    def _write(self, kind: Kind, body: bytes = b"") -> None:
        self._send(self._address.log_topic, encode_record(kind, self._candidacy.token, body))
