"""A gateway's side of the Kafka bus: a thread reads the log, the reactor is handed what counts, a few records at a time."""

from __future__ import annotations

import threading
import time
from typing import Any, ClassVar, NamedTuple

from twisted.logger import Logger

from components.bus.interface import BusListener, ReaderFigures
from components.bus.kafka.connection import Contact, KafkaLimits
from components.bus.kafka.consumer import LogConsumer
from components.bus.kafka.health import KafkaHealth
from components.bus.kafka.log import Kind, LogReading, MalformedRecord, Snapshot
from components.bus.kafka.thread import LogThread
from components.core.batch import Batch, Standing
from components.core.batch_order import BatchOrder
from components.core.kafka_address import KafkaAddress

_POLL_S = 0.2


class _Handed(NamedTuple):
    """What the listener is told, in order."""

    standing: Standing | None = None
    history: Batch | None = None
    batch: Batch | None = None
    status: bytes = b""


def _what_stands(snapshot: Snapshot) -> list[_Handed]:
    standing = snapshot.standing()
    handed = [_Handed(standing=standing)] if standing is not None else []
    return [*handed, _Handed(status=snapshot.status)] if snapshot.status else handed


class KafkaBusReader:
    """See ``BusReader``."""

    log = Logger()
    shared: ClassVar[bool] = True

    def __init__(self, address: KafkaAddress, *, reactor: Any, limits: KafkaLimits | None = None) -> None:
        """Read the log of ``address``; ``reactor`` has threads."""
        self._address = address
        self._limits = limits or KafkaLimits()
        self._reactor = reactor
        self._contact = Contact(address)
        self._health = KafkaHealth(self._contact.where, self.log)
        self._backoff = self._limits.backoff()
        self._thread = LogThread(
            "kafka-reader", reactor, self._contact, self._backoff, self.log, self._read, self._failed
        )
        self._listener: BusListener | None = None
        self._taken = threading.Event()
        self._reading: LogReading | None = None
        self._history_until = 0
        """Records before this offset are history."""

        self._history_is_told = False
        """The listener has taken all of them; set by the thread, asked for in the reactor."""

        self._snapshot_offset = -1
        """Of the snapshot with which reading began."""

        self._led_by_unknown = False
        """Somebody writes of whom is not known whether he leads."""

        self._order = BatchOrder()
        self._was_connected = False
        self.figures = ReaderFigures()

    @property
    def reading_history(self) -> bool:
        """See ``BusReader.reading_history``."""
        return not self._history_is_told

    async def start(self, listener: BusListener) -> None:
        """See ``BusReader.start``."""
        self._listener = listener
        self._thread.start()

    async def stop(self) -> None:
        """See ``BusReader.stop``."""
        if self._listener is not None:
            self._listener = None
            ended = self._thread.end()
            self._taken.set()
            await ended
            self.figures.connected = False

    def read_ahead(self) -> None:
        """See ``BusReader.read_ahead``: its thread has, and the reactor is told."""

    def troubles(self) -> list[str]:
        """See ``BusReader.troubles``."""
        lines = self._contact.troubles(self._limits.answer_within_s)
        if lines:
            self.figures.connected = False
        return lines

    def warnings(self) -> list[str]:
        """See ``BusReader.warnings``: nothing is known to do harm."""
        return []

    def shortage(self) -> list[str]:
        """See ``BusReader.shortage``: Kafka does not say."""
        return []

    def _failed(self, _own_error: bool) -> None:
        self._note_connection()

    def _read(self) -> None:
        consumer = LogConsumer(self._address, self._limits, self._contact)
        try:
            self._open(consumer)
            while not self._thread.ending.is_set():
                self._note_connection()
                self._note_history()
                records = consumer.records(_POLL_S)
                if records:
                    self._take(records)
                    self.figures.lag_s = max(0.0, time.time() - consumer.written_at_s)
                elif self._contact.quiet_for_s > self._limits.answer_within_s / 2:
                    # Nobody may have written; whether the brokers answer is asked then.
                    consumer.bounds()
                self._backoff.succeeded()
                if self._led_by_unknown:
                    # Its next snapshot says who it is.
                    self._led_by_unknown = False
                    self._thread.ending.wait(self._limits.retry_after_s)
                    self._open(consumer)
        finally:
            consumer.close()

    def _note_connection(self) -> None:
        troubles = self.troubles()
        self._health.look(troubles, answered=self._contact.answered)
        connected = self._reading is not None and not troubles
        if connected and not self.figures.connected and self._was_connected:
            self.figures.reconnects += 1
        self.figures.connected = connected
        self._was_connected |= connected

    def _note_history(self) -> None:
        self._history_is_told = self._reading is not None and self._reading.offset >= self._history_until

    def _open(self, consumer: LogConsumer) -> None:
        """Go on where reading was broken off, or else begin with what stands."""
        first, end = consumer.bounds()
        reading = self._reading
        if reading is not None and reading.token is not None and first <= reading.offset <= end:
            consumer.read_from(reading.offset)
            return
        snapshot = consumer.kept(end).snapshot
        if reading is not None and reading.token is None and first <= reading.offset <= end:
            if snapshot is None or snapshot.offset <= self._snapshot_offset:
                consumer.read_from(reading.offset)
                return
        elif reading is not None:
            self.figures.holes += 1
            self.log.warn(
                "record {offset} of the log was to be read next, but it has {first} to {end}: what stands is read anew",
                offset=reading.offset,
                first=first,
                end=end,
            )
        self._snapshot_offset = snapshot.offset if snapshot is not None else -1
        self._reading = self._begin(consumer, snapshot, first, end)
        consumer.read_from(self._reading.offset)

    def _begin(self, consumer: LogConsumer, snapshot: Snapshot | None, first: int, end: int) -> LogReading:
        self._history_until, self._history_is_told = end, False
        if snapshot is not None and snapshot.offset >= first:
            whole = LogReading.after(snapshot, keeps_newest=True)
        elif first == 0:
            whole = LogReading(0, keeps_newest=True)
        else:
            # Nobody knows what is missing, nor who leads; the next who does says so.
            if snapshot is not None:
                self._hand_over(_what_stands(snapshot))
            return LogReading(end)
        consumer.read_until(whole, end)
        standing = whole.snapshot()
        self._hand_over(_what_stands(standing))
        start = max(first, end - self._limits.history_records)
        return LogReading.before(standing, start) if start < end else whole

    def _take(self, records: list[tuple[int, bytes]]) -> None:
        reading = self._reading
        if reading is None:
            return
        handed: list[_Handed] = []
        try:
            for offset, data in records:
                self._take_record(reading, offset, data, handed)
        finally:
            # Also what came before a record that fails: it is not read again.
            self._hand_over(handed)

    def _take_record(self, reading: LogReading, offset: int, data: bytes, handed: list[_Handed]) -> None:
        try:
            taken = reading.take(offset, data)
        except MalformedRecord as error:
            self.figures.malformed_records += 1
            if self.figures.malformed_records == 1:
                self.log.warn("record {offset} of the log is passed over: {error}", offset=offset, error=str(error))
            return
        is_history = offset < self._history_until
        if taken.kind is Kind.CHANGE:
            # For feeds.
            return
        if not taken.counts:
            self.figures.void_records += 1
            self._led_by_unknown |= reading.token is None and not is_history and taken.kind is not Kind.CLAIM
        elif taken.batch is not None:
            missing = self._order.take(taken.batch.epoch, taken.batch.number).missing
            self.figures.missed_batches += missing.number if missing else 0
            self.figures.batches += not is_history
            handed.append(_Handed(history=taken.batch) if is_history else _Handed(batch=taken.batch))
        elif taken.kind is Kind.STATUS and not is_history:
            handed.append(_Handed(status=reading.status))

    def _hand_over(self, handed: list[_Handed]) -> None:
        """Let the reactor take these, and wait until it has.

        What it cannot take yet stays with librdkafka, which fetches no more when it has enough.
        """
        if not handed or self._thread.ending.is_set():
            return
        self._taken.clear()
        self._reactor.callFromThread(self._tell, handed)
        self._taken.wait()

    def _tell(self, handed: list[_Handed]) -> None:
        try:
            for one in handed:
                if self._listener is not None:
                    self._tell_one(self._listener, one)
        finally:
            self._taken.set()

    def _tell_one(self, listener: BusListener, one: _Handed) -> None:
        try:
            if one.standing is not None:
                listener.take_standing(one.standing)
            elif one.history is not None:
                listener.take_history(one.history)
            elif one.batch is not None:
                listener.take_batch(one.batch)
            else:
                listener.take_status(one.status)
        except Exception:
            batch = one.batch or one.history
            which = f"batch {batch.number} of epoch {batch.epoch}" if batch else "standing or status"
            self.log.failure("{which} was not taken", which=which)
