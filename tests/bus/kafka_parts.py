"""What the tests of the Kafka bus share: feeds and listeners that note what they are told."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import deferLater

from components.bus.kafka import KafkaBusReader, KafkaBusWriter, KafkaLimits
from components.bus.kafka.candidacy import CandidacyLimits
from components.core.batch import Batch, Standing
from components.core.kafka_address import KafkaAddress
from components.core.symbol_choice import NO_CHOICE, SymbolChoice
from components.router.feed_symbols.ways import FeedsOnKafka
from tests.harness.kafka import KafkaBroker

PATIENT = KafkaLimits(fetch_wait_ms=5)
"""As in use, but that the mock cluster answers a fetch when its time is over, not when something comes."""

LIMITS = replace(
    PATIENT,
    candidacy=CandidacyLimits(probe_every_s=0.1, quiet_s=0.4),
    heartbeat_every_s=0.1,
    snapshot_every_s=0.1,
    answer_within_s=0.5,
    retry_after_s=0.1,
)
"""In more of a hurry."""


async def until(met: Callable[[], Any], within_s: float = 10.0) -> None:
    """Wait until ``met()`` is true."""
    give_up = time.monotonic() + within_s
    while not met():
        assert time.monotonic() < give_up, "it did not come to that"
        await deferLater(reactor, 0.005)  # type: ignore[arg-type]


_NUMBERS = itertools.count()


def let_topics_be_made(address: KafkaAddress) -> None:
    """Ask for the topics, which brokers make that are set so, with as many partitions as they please."""
    producer = Producer({"bootstrap.servers": address.brokers, "log_level": 0})
    for topic in (address.log_topic, address.standing_topic):
        producer.list_topics(topic, timeout=5)


class NotingFeed:
    """A ``LeadableFeed`` that numbers batches as the real one does."""

    def __init__(self, writer: KafkaBusWriter) -> None:
        self.writer = writer
        self.said: list[str] = []
        self.leading = False
        self.ready = True
        self.choice = NO_CHOICE
        self.led: list[Standing | None] = []
        self.epoch = self.number = self.seq = 0

    def choose(self, choice: SymbolChoice) -> None:
        self.choice = choice

    def lead(self, since: Standing | None) -> None:
        self.led.append(since)
        self.said.append("lead")
        if since is None:
            self.epoch = max(int(time.time() * 1000), self.epoch + 1)
            self.number = self.seq = 0
        else:
            self.epoch, self.number = since.epoch, since.number
            self.seq = since.newest["market.BTCUSDT"][0]
        self.leading = True

    def follow(self, because: str) -> None:
        self.said.append(f"follow: {because}")
        self.leading = False

    def pause(self) -> None:
        self.said.append("pause")

    def resume(self) -> None:
        self.said.append("resume")

    def write(self, batches: int = 1) -> None:
        for _ in range(batches):
            self.number += 1
            self.seq += 1
            self.writer.write(Batch(self.epoch, self.number, [("market.BTCUSDT", self.seq, b'{"seq":%d}' % self.seq)]))


class NotingListener:
    """A ``BusListener``."""

    def __init__(self) -> None:
        self.standings: list[Standing] = []
        self.history: list[Batch] = []
        self.batches: list[Batch] = []
        self.statuses: list[bytes] = []
        self.order: list[str] = []

    def take_standing(self, standing: Standing) -> None:
        self.standings.append(standing)
        self.order.append("standing")

    def take_history(self, batch: Batch) -> None:
        self.history.append(batch)
        self.order.append("history")

    def take_batch(self, batch: Batch) -> None:
        self.batches.append(batch)
        self.order.append("batch")

    def take_status(self, status: bytes) -> None:
        self.statuses.append(status)

    def numbers(self) -> list[int]:
        return [batch.number for batch in self.batches]


class Parts:
    """Writers and readers of one log, each stopped at the end."""

    def __init__(self, broker: KafkaBroker) -> None:
        self.broker = broker
        self.address = KafkaAddress(broker.address, prefix=f"log{next(_NUMBERS)}")
        let_topics_be_made(self.address)
        self.writers: list[KafkaBusWriter] = []
        self.readers: list[KafkaBusReader] = []

    def feed(self, limits: KafkaLimits = LIMITS, *, ready: bool = True, knows: SymbolChoice = NO_CHOICE) -> NotingFeed:
        writer = KafkaBusWriter(self.address, reactor=reactor, limits=limits)
        self.writers.append(writer)
        feed = NotingFeed(writer)
        feed.ready, feed.choice = ready, knows
        writer.start(feed)
        return feed

    def way(self) -> FeedsOnKafka:
        return FeedsOnKafka(reactor, f"kafka://{self.address.brokers}/{self.address.prefix}", PATIENT)

    async def leading_feed(self, limits: KafkaLimits = LIMITS) -> NotingFeed:
        feed = self.feed(limits)
        await until(lambda: feed.leading)
        return feed

    async def listener(self, limits: KafkaLimits = LIMITS) -> NotingListener:
        listener = NotingListener()
        await self.reader(listener, limits)
        return listener

    async def reader(self, listener: Any, limits: KafkaLimits = LIMITS) -> KafkaBusReader:
        reader = await self.starting_reader(listener, limits)
        # Where history ends is settled then: what is written from here on comes as batches.
        await until(lambda: reader._reading is not None)
        return reader

    async def starting_reader(self, listener: Any, limits: KafkaLimits = LIMITS) -> KafkaBusReader:
        """Return one that may have found nothing to read yet."""
        reader = KafkaBusReader(self.address, reactor=reactor, limits=limits)
        self.readers.append(reader)
        await reader.start(listener)
        return reader

    async def listener_told_of(self, number: int, limits: KafkaLimits = LIMITS) -> NotingListener:
        """Return a listener whose standing, when it began, was that batch: for a feed that writes nothing meanwhile."""
        while True:
            listener = await self.listener(limits)
            await until(lambda told=listener: told.order)  # type: ignore[misc]
            if listener.standings and listener.standings[0].number == number:
                return listener

    def write_raw(self, value: bytes, topic: str = "") -> None:
        producer = Producer({"bootstrap.servers": self.address.brokers, "log_level": 0})
        producer.produce(topic or self.address.log_topic, value, partition=0)
        assert producer.flush(5) == 0

    def end_of_log(self, topic: str = "") -> int:
        consumer = Consumer({"bootstrap.servers": self.address.brokers, "group.id": "none", "log_level": 0})
        try:
            bounds = consumer.get_watermark_offsets(TopicPartition(topic or self.address.log_topic, 0), timeout=5)
        finally:
            consumer.close()
        assert bounds is not None
        return bounds[1]

    async def stop(self) -> None:
        stops = [ensureDeferred(part.stop()) for part in [*self.readers, *self.writers]]
        for stopped in stops:
            await stopped
