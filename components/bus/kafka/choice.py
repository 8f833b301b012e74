"""How a gateway changes the symbols that operators want: in the log, whose rules say which of two changes counts.

Blocks: for a thread. What stands is looked up anew each time, and nothing is held in between: an operator comes now and then.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import closing

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from components.bus.kafka.connection import PARTITION, Contact, KafkaLimits, producer_config
from components.bus.kafka.consumer import LogConsumer, LogCut, LogUnavailable
from components.bus.kafka.log import TOKEN_BYTES, Kind, LogReading, Taken, encode_change, encode_record
from components.core.kafka_address import KafkaAddress
from components.core.symbol_choice import CHANGE_TRIES, ChangedMeanwhile, SymbolChoice, encode_choice, next_choice


class ChoiceNotKept(Exception):
    """The feeds follow the choice, but it was not confirmed that it outlives the log."""

    def __init__(self, version: int, reason: str) -> None:
        super().__init__(reason)
        self.version = version


def change_choice(
    address: KafkaAddress, limits: KafkaLimits, symbols: Sequence[str] | None, by: str, if_version: int | None
) -> SymbolChoice:
    """Put an operator's choice into the log and return it; ``None`` for the symbols of the feeds' environments.

    Takes at most a few times ``answer_within_s``.

    Raises:
        ChangedMeanwhile: ``if_version`` is given and not the version that stands, or others change it all the time.
        ChoiceNotKept: it counts, but was not written down beside the log as well.
        LogUnavailable: the brokers did not do, or did not confirm, what they were asked; or ``if_version`` is given, and the
            topics have nothing by which to tell what stands.
    """
    contact = Contact(address)
    try:
        with (
            closing(LogConsumer(address, limits, contact)) as consumer,
            closing(_Writing(address, limits, contact)) as writing,
        ):
            reading = _what_stands(consumer, if_version)
            for _ in range(CHANGE_TRIES):
                stands = reading.choice.version
                if if_version is not None and stands != if_version:
                    break
                choice = next_choice(stands, symbols, by, time.time_ns() // 1_000_000)
                token = secrets.token_bytes(TOKEN_BYTES)
                # Where any may stand, feeds may also know of one that the topics have lost: it is overridden with the rest.
                writing.write(address.log_topic, encode_record(Kind.CHANGE, token, encode_change(choice, if_version)))
                if _counted(consumer, reading, token):
                    _keep(writing, address.standing_topic, choice)
                    return choice
            raise ChangedMeanwhile(reading.choice.version)
    except LogCut as error:
        raise LogUnavailable(str(error)) from error


def _what_stands(consumer: LogConsumer, if_version: int | None) -> LogReading:
    first, end = consumer.bounds()
    kept = consumer.kept(end)
    if if_version is not None and not kept.tells_choice(first):
        raise LogUnavailable("what stands is not known: the feed that leads writes it down within seconds")
    reading = kept.reading(first, end)
    consumer.read_until(reading, end)
    return reading


def _counted(consumer: LogConsumer, reading: LogReading, token: bytes) -> bool:
    """Read on, and tell what became of the record with that token, which the brokers have confirmed."""
    own: list[Taken] = []

    def took(taken: Taken) -> None:
        if taken.kind is Kind.CHANGE and taken.token == token:
            own.append(taken)

    _, end = consumer.bounds()
    consumer.read_until(reading, end, took)
    if not own:
        raise LogUnavailable("what was written and confirmed is not in the log")
    return own[0].counts


def _keep(writing: _Writing, topic: str, choice: SymbolChoice) -> None:
    # The feed that leads does so every second; should none lead for long, the log would forget it.
    try:
        writing.write(topic, encode_choice(choice))
    except LogUnavailable as error:
        raise ChoiceNotKept(choice.version, str(error)) from error


class _Writing:
    """Writes records one by one, each until it is confirmed."""

    def __init__(self, address: KafkaAddress, limits: KafkaLimits, contact: Contact) -> None:
        self._within_s = limits.answer_within_s
        config = producer_config(address, limits) | {
            "message.timeout.ms": int(limits.answer_within_s * 1000),
            "delivery.report.only.error": False,
            "error_cb": contact.on_error,
        }
        try:
            self._producer = Producer(config)
        except KafkaException as error:
            raise LogUnavailable(str(error)) from error

    def close(self) -> None:
        """Give up what was not confirmed, and end the producer's own threads: this one waits for them, and not the reactor."""
        self._producer.purge()
        # It holds what is to be told of a record until it has told it.
        self._producer.poll(0)
        del self._producer

    def write(self, topic: str, value: bytes) -> None:
        """Return when all replicas that must have it do.

        Raises:
            LogUnavailable: it was not confirmed in time. It may be there, or come, all the same.
        """
        reports: list[KafkaError | None] = []

        def delivered(error: KafkaError | None, _message: Message) -> None:
            reports.append(error)

        try:
            self._producer.produce(topic, value, partition=PARTITION, on_delivery=delivered)
            # Longer than librdkafka tries, so that it says itself why it gave up.
            self._producer.flush(2 * self._within_s)
        except (BufferError, KafkaException) as error:
            raise LogUnavailable(f"topic {topic}: {error}") from error
        if not reports:
            raise LogUnavailable(f"topic {topic}: nothing was confirmed within {2 * self._within_s:g} s")
        if reports[0] is not None:
            raise LogUnavailable(f"topic {topic}: {reports[0].str()}")
