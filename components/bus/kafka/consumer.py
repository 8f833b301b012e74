"""Reads the two topics with a librdkafka consumer; for use by one thread, which it blocks."""

from __future__ import annotations

from collections.abc import Callable

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from components.bus.kafka.connection import PARTITION, Contact, KafkaLimits, consumer_config
from components.bus.kafka.log import Kept, LogReading, MalformedRecord, Snapshot, SnapshotChunks, Taken, is_choice
from components.core.kafka_address import KafkaAddress
from components.core.symbol_choice import NO_CHOICE, InvalidChoice, decode_choice

_KEPT_RECORDS = 32
"""How many of the newest records beside the log are looked through; a snapshot is one record, or a few; a choice is one."""


class LogUnavailable(Exception):
    """The brokers do not answer, or not as they should; the text says how."""


class LogCut(Exception):
    """What was to be read next is not in the log any more, or not yet again."""


class LogConsumer:
    """Positions and records of the log, and what is kept beside it."""

    def __init__(self, address: KafkaAddress, limits: KafkaLimits, contact: Contact) -> None:
        """Connect in the background; ``contact`` hears how that goes."""
        self._address, self._limits, self._contact = address, limits, contact
        self.written_at_s = 0.0
        """Unix time at which the last record was written, by its producer's clock or the broker's, as the topic says."""

        try:
            self._consumer = Consumer(consumer_config(address, limits) | {"error_cb": contact.on_error})
        except KafkaException as error:
            raise LogUnavailable(_text(error)) from error

    def close(self) -> None:
        """Let go of the connections."""
        self._consumer.close()

    def bounds(self) -> tuple[int, int]:
        """Return the offsets of the log's first record and of the next to be written.

        Raises:
            LogUnavailable: no answer, or no such topic.
        """
        return self._bounds(self._address.log_topic)

    def _bounds(self, topic: str) -> tuple[int, int]:
        try:
            answer = self._consumer.get_watermark_offsets(
                TopicPartition(topic, PARTITION), timeout=self._limits.answer_within_s, cached=False
            )
        except KafkaException as error:
            raise LogUnavailable(f"topic {topic}: {_text(error)}") from error
        if answer is None:
            raise LogUnavailable(f"topic {topic}: no answer within {self._limits.answer_within_s:g} s")
        self._contact.worked()
        return answer

    def read_from(self, offset: int) -> None:
        """Let ``records`` begin at ``offset``."""
        self._assign(self._address.log_topic, offset)

    def records(self, timeout_s: float) -> list[tuple[int, bytes]]:
        """Return the next ``(offset, value)``; none when there are none within ``timeout_s``.

        Raises:
            LogCut: they are not there.
            LogUnavailable: they cannot be read.
        """
        try:
            first = self._consumer.poll(timeout_s)
            if first is None:
                return []
            # What librdkafka has fetched already; asked for more it would wait for the whole time.
            messages = [first, *self._consumer.consume(self._limits.records_at_once - 1, timeout=0)]
        except KafkaException as error:
            raise LogUnavailable(_text(error)) from error
        return [record for message in messages if (record := self._record(message)) is not None]

    def _record(self, message: Message) -> tuple[int, bytes] | None:
        error = message.error()
        if error is None:
            self._contact.worked()
            self.written_at_s = message.timestamp()[1] / 1000
            offset, value = message.offset(), message.value()
            return (offset, value if isinstance(value, bytes) else b"") if offset is not None else None
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise LogCut(error.str())
        if error.fatal() or not error.retriable():
            raise LogUnavailable(error.str())
        self._contact.failed(error.str())
        return None

    def read_until(self, reading: LogReading, end: int, took: Callable[[Taken], object] | None = None) -> None:
        """Let ``reading`` take what there is before ``end``, and ``took`` hear of it; ``read_from`` must be called then.

        Raises:
            LogCut: it is not there.
            LogUnavailable: it cannot be read.
        """
        self.read_from(reading.offset)
        while reading.offset < end:
            records = self.records(self._limits.answer_within_s)
            if not records:
                raise LogUnavailable(f"the log ends at {end}, but nothing is there from {reading.offset} on")
            for offset, value in records:
                if offset >= end:
                    reading.offset = end
                    continue
                try:
                    taken = reading.take(offset, value)
                except MalformedRecord:  # Counted by who reads it in its turn.
                    continue
                if took is not None:
                    took(taken)

    def kept(self, until: int) -> Kept:
        """Return what is kept of the log that ends at ``until``; ``read_from`` must be called then.

        Raises:
            LogUnavailable: it cannot be read.
        """
        topic = self._address.standing_topic
        first, end = self._bounds(topic)
        newest: Snapshot | None = None
        latest = NO_CHOICE
        chunks = SnapshotChunks()
        for value in self._values(topic, max(first, end - _KEPT_RECORDS), end):
            try:
                if is_choice(value):
                    latest = max(latest, decode_choice(value), key=lambda choice: choice.version)
                    continue
                snapshot = chunks.take(value)
            except (MalformedRecord, InvalidChoice) as error:
                self._contact.failed(f"topic {topic}: {error}")
                continue
            # One that goes further than the log does is of a log that was there before this one.
            if snapshot is not None and snapshot.offset <= until:
                newest = snapshot
        return Kept(newest, latest)

    def _values(self, topic: str, start: int, end: int) -> list[bytes]:
        values: list[bytes] = []
        if start >= end:
            return values
        self._assign(topic, start)
        position = start
        while position < end:
            try:
                message = self._consumer.poll(self._limits.answer_within_s)
            except KafkaException as error:
                raise LogUnavailable(f"topic {topic}: {_text(error)}") from error
            if message is None:
                raise LogUnavailable(f"topic {topic}: no answer within {self._limits.answer_within_s:g} s")
            try:
                record = self._record(message)
            except LogCut as error:
                raise LogUnavailable(f"topic {topic}: {error}") from error
            if record is not None:
                position = record[0] + 1
                values.append(record[1])
        return values

    def _assign(self, topic: str, offset: int) -> None:
        try:
            self._consumer.assign([TopicPartition(topic, PARTITION, offset)])
        except KafkaException as error:
            raise LogUnavailable(_text(error)) from error


def _text(error: KafkaException) -> str:
    cause = error.args[0] if error.args else error
    return cause.str() if isinstance(cause, KafkaError) else str(cause)
