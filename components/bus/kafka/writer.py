"""A feed's side of the Kafka bus, in the reactor: hands records over, and passes on what the tail reads of the lead."""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from components.bus.interface import LeadableFeed, WriterFigures
from components.bus.kafka.connection import Contact, KafkaLimits
from components.bus.kafka.health import KafkaHealth
from components.bus.kafka.log import Kind, encode_record
from components.bus.kafka.producer import Line, LineBroken
from components.bus.kafka.tail import Led, Lost, Tail
from components.core.batch import Batch, encode_batch
from components.core.kafka_address import KafkaAddress

_STOP_WITHIN_S = 2.0
"""What still waits may take so long when the writer is stopped."""

_FLUSH_WITHIN_S = 0.5
"""And so long the record that gives up the lead."""

_BEATS_UNREADY = 3
"""A leader that is not ready yields to another feed after so many heartbeats."""


class KafkaBusWriter:
    """See ``BusWriter``. What is written counts as arrived when it has been read back from the log."""

    log = Logger()

    def __init__(self, address: KafkaAddress, *, reactor: Any, limits: KafkaLimits | None = None) -> None:
        """Write to the log of ``address``; ``reactor`` has threads and time."""
        self._address = address
        self._limits = limits or KafkaLimits()
        self._reactor = reactor
        self._contact = Contact(address)
        self._health = KafkaHealth(self._contact.where, self.log)
        self._feed: LeadableFeed | None = None
        self._line: Line | None = None
        self._tail: Tail | None = None
        self._heartbeat: LoopingCall | None = None
        self._token: bytes | None = None
        """Of this feed's lead; ``None``: it does not lead."""

        self._follows = False
        """The feed has been told to follow, and not to lead since."""

        self._given_up_since: float | None = None
        """When what this feed gave up first was written. Should this feed be the next to lead, it has to know that still."""

        self._status: bytes | None = None
        """The newest that was handed over before this feed led."""

        self._waiting: deque[tuple[int, float]] = deque()
        """``(size in bytes, time)`` of batches that have not been read back."""

        self._waiting_bytes = 0
        self._counted = 0
        self._full = False
        self._emptied: Deferred[None] | None = None
        self._beats_unready = 0
        self._figures = WriterFigures()

    @property
    def figures(self) -> WriterFigures:
        """See ``BusWriter.figures``."""
        if self._tail is not None:
            self._figures.void_records, self._figures.malformed_records = self._tail.void, self._tail.malformed
        return self._figures

    @property
    def batches_waiting(self) -> int:
        """Batches handed over and not read back."""
        return len(self._waiting)

    def start(self, feed: LeadableFeed) -> None:
        """See ``BusWriter.start``."""
        self._feed = feed
        self._renew_line()
        self._tail = Tail(
            self._address, self._limits, self._contact, self._reactor, send=self._send, on_news=self._take_news
        )
        self._tail.ready, self._tail.known_choice = feed.ready, feed.choice
        self._tail.start()
        self._heartbeat = LoopingCall(self._beat)
        self._heartbeat.clock = self._reactor
        beating = self._heartbeat.start(self._limits.heartbeat_every_s, now=False)
        beating.addErrback(lambda failure: self.log.failure("the heartbeat of this feed failed", failure))

    async def stop(self) -> None:
        """See ``BusWriter.stop``."""
        if self._tail is None or self._line is None or self._heartbeat is None:
            return
        self._tail.stand_back()
        if self._token is not None and self._waiting:
            self._emptied = Deferred()
            self._emptied.addTimeout(_STOP_WITHIN_S, self._reactor, lambda _result, _timeout: None)
            await self._emptied
        if self._heartbeat.running:
            self._heartbeat.stop()
        if self._token is not None:
            self._hand_over(Kind.RESIGNATION)
        self._token, self._feed = None, None
        ends = self._line.end(_FLUSH_WITHIN_S), self._tail.end()
        for ended in ends:
            await ended

    def yield_lead(self, because: str) -> None:
        """See ``BusWriter.yield_lead``; what was written before still goes out."""
        token, tail = self._token, self._tail
        if token is not None and tail is not None and self._hand_over(Kind.RESIGNATION):
            self._let_go(because, sends_on=True)
            tail.leave(token, to_others=True)

    def write(self, batch: Batch) -> None:
        """See ``BusWriter.write``."""
        if self._token is None:
            self._figures.refused_batches += 1
            return
        data = encode_batch(batch)
        self._waiting.append((len(data), self._reactor.seconds()))
        self._waiting_bytes += len(data)
        if not self._hand_over(Kind.BATCH, data):
            return
        limits = self._limits
        if not self._full and (
            len(self._waiting) >= limits.batches_waiting or self._waiting_bytes >= limits.bytes_waiting
        ):
            self._full = True
            self._figures.overflows += 1
            self._told().pause()

    def write_status(self, status: bytes) -> None:
        """See ``BusWriter.write_status``."""
        if self._token is None:
            self._status = status
        else:
            self._hand_over(Kind.STATUS, status)

    def troubles(self) -> list[str]:
        """See ``BusWriter.troubles``."""
        lines = self._contact.troubles(self._limits.answer_within_s)
        if self._waiting and (age := self._reactor.seconds() - self._waiting[0][1]) > self._limits.answer_within_s:
            lines.append(f"Kafka has not taken a batch for {age:.0f} s; {len(self._waiting)} wait")
        return lines

    def warnings(self) -> list[str]:
        """See ``BusWriter.warnings``: nothing is known to do harm."""
        return []

    def _told(self) -> LeadableFeed:
        if self._feed is None:
            raise RuntimeError("the writer has not been started, or has been stopped")
        return self._feed

    def _send(self, topic: str, value: bytes) -> None:
        line = self._line
        if line is None:
            raise LineBroken("there is none")
        line.send(topic, value)

    def _hand_over(self, kind: Kind, body: bytes = b"") -> bool:
        token = self._token
        if token is None:
            return False
        try:
            self._send(self._address.log_topic, encode_record(kind, token, body))
        except LineBroken as error:
            self._give_up(str(error))
            return False
        return True

    def _beat(self) -> None:
        self._hand_over(Kind.HEARTBEAT)
        self._health.look(self.troubles(), answered=self._contact.answered)
        feed, tail = self._feed, self._tail
        if feed is None or tail is None:
            return
        tail.ready, tail.known_choice = feed.ready, feed.choice
        self._beats_unready = 0 if tail.ready else self._beats_unready + 1
        if self._token is not None and self._beats_unready >= _BEATS_UNREADY and tail.another_stands_by():
            self.yield_lead("the exchange brings it nothing, and another feed stands by that gets something")

    def _take_news(self) -> None:
        if self._tail is None or self._feed is None:
            return
        all_news = self._tail.take_news()
        # Looked at behind the news: so it is no older than these, and who takes over has the symbols of who led before.
        self._follow_choice(self._feed, self._tail)
        for news in all_news:
            if isinstance(news, Led):
                self._lead(news)
            else:
                self._lose(news)
        if self._token is not None:
            self._take_counted(self._tail.counted)

    @staticmethod
    def _follow_choice(feed: LeadableFeed, tail: Tail) -> None:
        if tail.choice.version > feed.choice.version:
            feed.choose(tail.choice)
        tail.known_choice = feed.choice

    def _lead(self, news: Led) -> None:
        since, self._given_up_since = self._given_up_since, None
        anew = since is not None and self._reactor.seconds() - since > self._limits.goes_on_within_s
        standing = None if anew else news.standing
        self._token, self._counted, self._follows = news.token, 0, False
        self._figures.leads += 1
        self.log.debug(
            "this feed leads, and {how}",
            how="begins an epoch" if standing is None else f"goes on after batch {standing.number}",
        )
        status, self._status = self._status, None
        if status is None or self._hand_over(Kind.STATUS, status):
            self._told().lead(standing)

    def _lose(self, news: Lost) -> None:
        self._let_go(news.because)
        if news.superseded:
            # What another feed leads on with has nothing missing: it has seen what this one could not write.
            self._given_up_since = None

    def _line_failed(self, line: Line, reason: str) -> None:
        if line is self._line and self._feed is not None:
            self._give_up(reason)

    def _give_up(self, reason: str) -> None:
        """Begin on another line; what waits has arrived or has not, and only the log can say which."""
        if self._tail is None:
            return
        token = self._token
        if token is None:
            self._renew_line()
            return
        self._let_go(f"Kafka did not take what was written: {reason}")
        self._tail.leave(token, to_others=False)

    def _let_go(self, because: str, *, sends_on: bool = False) -> None:
        led, self._token = self._token is not None, None
        if self._waiting:
            if not sends_on:
                self._figures.dropped_batches += len(self._waiting)
            if self._given_up_since is None:
                self._given_up_since = self._waiting[0][1]
        self._waiting.clear()
        self._waiting_bytes = 0
        full, self._full = self._full, False
        if led and not sends_on:
            self._renew_line()
        self._done_waiting()
        if not self._follows:
            self._follows = True
            self.log.debug("this feed does not lead: {because}", because=because)
            self._told().follow(because)
        if full:
            self._told().resume()

    def _renew_line(self) -> None:
        # Nothing of what is still on the old one would count.
        if self._line is not None:
            self._line.end()
        self._line = Line(self._address, self._limits, self._contact, self._reactor, self._line_failed)
        if self._tail is not None:
            # In this order: what it wrote in between may have gone to the old one.
            self._tail.write_again()

    def _take_counted(self, counted: int) -> None:
        while self._counted < counted and self._waiting:
            self._counted += 1
            size, _ = self._waiting.popleft()
            self._waiting_bytes -= size
        limits = self._limits
        if (
            self._full
            and len(self._waiting) <= limits.batches_waiting // 2
            and self._waiting_bytes <= limits.bytes_waiting // 2
        ):
            self._full = False
            self._told().resume()
        if not self._waiting:
            self._done_waiting()

    def _done_waiting(self) -> None:
        emptied, self._emptied = self._emptied, None
        if emptied is not None and not emptied.called:
            emptied.callback(None)
