"""How librdkafka is to reach the brokers, what bounds it has, and whether they answer."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError

from components.bus.kafka.candidacy import CandidacyLimits
from components.core.backoff import Backoff
from components.core.kafka_address import KafkaAddress

PARTITION = 0
"""All is in one partition, so that all read it in one order; a topic's others stay empty."""

_TELLING = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._AUTHENTICATION,
        KafkaError._SSL,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
    }
)
"""What concerns more than one broker: that one is down is for librdkafka to deal with."""


@dataclass(frozen=True, slots=True)
class KafkaLimits:
    """Bounds of the bus, and how soon it notices."""

    candidacy: CandidacyLimits = field(default_factory=CandidacyLimits)
    heartbeat_every_s: float = 0.4
    """A feed that leads writes at least so often."""

    snapshot_every_s: float = 1.0
    """It writes down what stands so often."""

    batches_waiting: int = 50_000
    """Written and not yet read back; at this many the exchange is no longer read, at half of them it is again."""

    bytes_waiting: int = 64_000_000
    """The same in bytes."""

    give_up_after_s: float = 60.0
    """What the broker has not taken by then is given up."""

    goes_on_within_s: float = 20.0
    """Who gave up what he wrote longer ago begins an epoch when he leads again; a feed keeps trades for half as long again."""

    answer_within_s: float = 3.0
    """A broker that has not answered for so long is a trouble."""

    history_records: int = 10_000
    """Of the log before the newest snapshot that a reader is given as history."""

    yields_for_s: float = 1.5
    """Who has left the lead to others takes it again when none of them has for so long."""

    fetched_ahead_bytes: int = 16_000_000
    """Fetched and not yet handed to the reactor; at so much no more is fetched."""

    records_at_once: int = 64
    """Handed to the reactor in one call; the next are handed over when it has taken these."""

    fetch_wait_ms: int = 100
    """A fetch that finds nothing is answered after so long. A broker answers at once when something comes."""

    retry_after_s: float = 0.5
    """What failed as a whole is tried again after so long at most, at the first time; later after twice as long at most."""

    def backoff(self) -> Backoff:
        """Return the waits between such attempts, with full jitter."""
        return Backoff(random.random, initial_s=self.retry_after_s, cap_s=2 * self.retry_after_s)


def client_config(address: KafkaAddress) -> dict[str, Any]:
    """Return what every client is made with."""
    config: dict[str, Any] = {
        "bootstrap.servers": address.brokers,
        "client.id": "crosstick",
        "security.protocol": ("SASL_" if address.username else "") + ("SSL" if address.tls else "PLAINTEXT"),
        "allow.auto.create.topics": False,
        "topic.metadata.refresh.interval.ms": 10_000,
        "reconnect.backoff.ms": 50,
        # A feed that leads has to be connected again sooner than others take it for gone.
        "reconnect.backoff.max.ms": 500,
        "socket.keepalive.enable": True,
        "socket.nagle.disable": True,
        "socket.timeout.ms": 10_000,
        # What is wrong is said by `troubles`, not by librdkafka on stderr.
        "log_level": 2,
    }
    if address.ca_file:
        config["ssl.ca.location"] = address.ca_file
    if address.username:
        config |= {
            "sasl.mechanism": address.mechanism,
            "sasl.username": address.username,
            "sasl.password": address.password or "",
        }
    return config


def producer_config(address: KafkaAddress, limits: KafkaLimits) -> dict[str, Any]:
    """Return what a ``Producer`` is made with."""
    return client_config(address) | {
        "enable.idempotence": True,
        "acks": "all",
        "linger.ms": 0,
        "compression.type": "lz4",
        "message.timeout.ms": int(limits.give_up_after_s * 1000),
        # Twice what the writer lets wait: past that something is wrong with the writer.
        "queue.buffering.max.messages": 2 * limits.batches_waiting + 10_000,
        "queue.buffering.max.kbytes": 2 * limits.bytes_waiting // 1024 + 8192,
        "delivery.report.only.error": True,
    }


def consumer_config(address: KafkaAddress, limits: KafkaLimits) -> dict[str, Any]:
    """Return what a ``Consumer`` is made with; it is in no group and commits nothing."""
    return client_config(address) | {
        "group.id": f"{address.prefix}.unused",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        # There are no transactions; whose records count is what the log itself says.
        "isolation.level": "read_uncommitted",
        "check.crcs": True,
        "fetch.wait.max.ms": limits.fetch_wait_ms,
        "fetch.error.backoff.ms": 100,
        "queued.max.messages.kbytes": max(1, limits.fetched_ahead_bytes // 1000),
    }


class Contact:
    """Whether the brokers answer; told by one thread, asked by another."""

    def __init__(self, address: KafkaAddress) -> None:
        self.where = f"Kafka at {address.brokers}"
        self.answered = False
        """Whether a broker ever did."""

        self._failure: str | None = None
        self._worked_at = time.monotonic()

    def on_error(self, error: KafkaError) -> None:
        """Hear what librdkafka says of its connections."""
        if error.code() in _TELLING or error.fatal():
            self.failed(error.str())

    def failed(self, reason: str) -> None:
        """Note that something failed."""
        self._failure = reason

    def worked(self) -> None:
        """Note that a broker answered."""
        self._failure = None
        self.answered = True
        self._worked_at = time.monotonic()

    @property
    def quiet_for_s(self) -> float:
        """Since a broker answered."""
        return time.monotonic() - self._worked_at

    def troubles(self, answer_within_s: float) -> list[str]:
        """Return what is wrong, at most a line."""
        if self._failure is not None:
            return [f"{self.where} cannot be used: {self._failure}"]
        if (quiet := self.quiet_for_s) > answer_within_s:
            return [f"{self.where} has not answered for {quiet:.0f} s"]
        return []
