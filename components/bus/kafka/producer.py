"""A line to the brokers on which records go out in order, each once, or none from the first on that does not.

After a failure a line is of no more use: the writer takes another, under another token.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads

from components.bus.kafka.connection import PARTITION, Contact, KafkaLimits, producer_config
from components.core.kafka_address import KafkaAddress

_POLL_S = 0.2


class LineBroken(Exception):
    """The record cannot be sent on this line."""


class Line:
    """An idempotent producer and the thread that serves its callbacks."""

    def __init__(
        self,
        address: KafkaAddress,
        limits: KafkaLimits,
        contact: Contact,
        reactor: IReactorFromThreads,
        on_failed: Callable[[Line, str], None],
    ) -> None:
        """Connect in the background. ``on_failed`` is called once, in the reactor, when a record could not be sent."""
        self._reactor = reactor
        self._on_failed = on_failed
        self._contact = contact
        self._failed = False
        self._ending = threading.Event()
        self._flush_s = 0.0
        self.ended: Deferred[None] = Deferred()
        """Fires when nothing is sent any more."""

        self._producer: Producer | None
        try:
            self._producer = Producer(producer_config(address, limits) | {"error_cb": self._error})
        except KafkaException as error:
            raise LineBroken(str(error)) from error
        threading.Thread(target=self._serve, name="kafka-line", daemon=True).start()

    def send(self, topic: str, value: bytes) -> None:
        """Hand a record over; never blocks. From any thread.

        Raises:
            LineBroken: it was not taken.
        """
        producer = self._producer
        if producer is None:
            raise LineBroken("it has ended")
        try:
            producer.produce(topic, value, partition=PARTITION, on_delivery=self._delivered)
        except (BufferError, KafkaException) as error:
            raise LineBroken(str(error)) from error

    def end(self, flush_s: float = 0.0) -> Deferred[None]:
        """Send what waits for up to ``flush_s``, then nothing more; fires ``ended``."""
        self._flush_s = flush_s
        self._ending.set()
        return self.ended

    def _serve(self) -> None:
        try:
            self._serve_producer()
        finally:
            self._reactor.callFromThread(self.ended.callback, None)

    def _serve_producer(self) -> None:
        producer = self._producer
        if producer is None:
            return
        while not self._ending.is_set():
            producer.poll(_POLL_S)
        producer.flush(self._flush_s)
        self._failed = True  # What is left is given up on purpose.
        producer.purge()
        producer.poll(0)
        # With the last reference to it the producer ends its own threads, for which this one waits, and not the reactor.
        self._producer = None

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._fail(error.str())

    def _error(self, error: KafkaError) -> None:
        self._contact.on_error(error)
        if error.fatal():
            self._fail(error.str())

    def _fail(self, reason: str) -> None:
        if not self._failed:
            self._failed = True
            self._reactor.callFromThread(self._on_failed, self, reason)
