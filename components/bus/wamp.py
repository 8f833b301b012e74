"""The bus of a single node: batches travel as WAMP calls into the node's own router.

A call rather than a publication, because its result tells the writer that the relay has the batch: that is what bounds
the batches on their way. Owns that window; never looks into a batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from autobahn.wamp import ApplicationError
from autobahn.wamp.interfaces import ISession
from autobahn.wamp.types import RegisterOptions
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from components.bus.interface import BusListener, LeadableFeed, ReaderFigures, WriterFigures
from components.core.batch import Batch, MalformedBatch, decode_batch, encode_batch
from components.core.batch_order import BatchOrder
from components.uris import BUS_PUSH, BUS_STATUS, ERROR_INVALID_ARGUMENT


@dataclass(frozen=True, slots=True)
class WampBusLimits:
    """Bounds of a writer."""

    calls_in_flight: int = 8
    """Batches sent and not yet acknowledged. More hide a slow relay, fewer leave it idle between two."""

    events_in_flight: int = 2000
    """Events in those batches: what may lie before a status on its way. One batch is always under way, whatever its size."""

    batches_waiting: int = 64
    """Batches held back; at this many the exchange is no longer read, at half of them it is again."""

    stop_timeout_s: float = 2.0
    """How long the end waits for batches to be taken."""


class WampBusWriter:
    """A feed's side: at most ``calls_in_flight`` batches under way, the rest waiting in order.

    A node has one feed, which leads from the start and begins an epoch.
    """

    def __init__(
        self,
        reactor: Any,
        session: ISession,
        *,
        on_lost: Callable[[Failure], None],
        limits: WampBusLimits | None = None,
    ) -> None:
        """Write to the router that ``session`` joined.

        ``on_lost`` is called once, with the cause, when a batch or status could not be delivered; nothing is sent after it.
        """
        self.figures = WriterFigures()
        self._reactor = reactor
        self._session = session
        self._on_lost = on_lost
        self._limits = limits or WampBusLimits()
        self._feed: LeadableFeed | None = None
        self._in_flight: deque[int] = deque()
        """How many events each unacknowledged batch has; answers come in order."""
        self._waiting: deque[Batch] = deque()
        self._full = False
        self._lost: str | None = None
        self._status_in_flight = False
        self._status_waiting: bytes | None = None
        self._when_sent: Deferred[None] | None = None

    def start(self, feed: LeadableFeed) -> None:
        """See ``BusWriter.start``."""
        self._feed = feed
        self.figures.leads += 1
        feed.lead(None)

    async def stop(self) -> None:
        """See ``BusWriter.stop``; waits ``stop_timeout_s`` at most."""
        if self._in_flight and not self._lost:
            self._when_sent = Deferred()
            late = self._reactor.callLater(self._limits.stop_timeout_s, self._sent)
            await self._when_sent
            if late.active():
                late.cancel()
        self._feed = None

    def _sent(self) -> None:
        waiting, self._when_sent = self._when_sent, None
        if waiting is not None:
            waiting.callback(None)

    def yield_lead(self, because: str) -> None:
        """See ``BusWriter.yield_lead``: there is no other feed."""

    def troubles(self) -> list[str]:
        """See ``BusWriter.troubles``."""
        if self._lost is not None:
            return [f"the relay did not take what was sent: {self._lost}"]
        return ["the relay is slow, and the exchange is not read"] if self._full else []

    def warnings(self) -> list[str]:
        """See ``BusWriter.warnings``: nothing is known to do harm."""
        return []

    @property
    def batches_waiting(self) -> int:
        """Batches handed over and not yet sent."""
        return len(self._waiting)

    def write(self, batch: Batch) -> None:
        """See ``BusWriter.write``."""
        if self._lost:
            return
        self._waiting.append(batch)
        self._send_waiting()
        if len(self._waiting) >= self._limits.batches_waiting and not self._full:
            self._full = True
            self.figures.overflows += 1
            if self._feed is not None:
                self._feed.pause()

    def write_status(self, status: bytes) -> None:
        """See ``BusWriter.write_status``."""
        if self._lost:
            return
        if self._status_in_flight:
            self._status_waiting = status
            return
        self._status_in_flight = True
        self._session.call(BUS_STATUS, status).addCallbacks(self._status_arrived, self._failed)

    def _send_waiting(self) -> None:
        while self._waiting and self._has_room() and not self._lost:
            batch = self._waiting.popleft()
            self._in_flight.append(len(batch.events))
            self._session.call(BUS_PUSH, encode_batch(batch)).addCallbacks(self._arrived, self._failed)

    def _has_room(self) -> bool:
        return not self._in_flight or (
            len(self._in_flight) < self._limits.calls_in_flight
            and sum(self._in_flight) + len(self._waiting[0].events) <= self._limits.events_in_flight
        )

    def _arrived(self, _result: object) -> None:
        self._in_flight.popleft()
        self._send_waiting()
        if self._full and len(self._waiting) <= self._limits.batches_waiting // 2:
            self._full = False
            if self._feed is not None:
                self._feed.resume()
        if not self._in_flight:
            self._sent()

    def _status_arrived(self, _result: object) -> None:
        self._status_in_flight = False
        if self._status_waiting is not None:
            status, self._status_waiting = self._status_waiting, None
            self.write_status(status)

    def _failed(self, failure: Failure) -> None:
        if not self._lost:
            self._lost = failure.getErrorMessage()
            self.figures.dropped_batches += len(self._in_flight) + len(self._waiting)
            self._waiting.clear()
            self._sent()
            self._on_lost(failure)


class DirectCalls(Protocol):
    """A router's shorter way for calls."""

    def answer_directly(self, procedure: str, take: Callable[[bytes], None]) -> None:
        """Let calls of a procedure that is registered reach ``take`` at once."""

    def read_ahead(self) -> None:
        """Read what has come on the connection by which such calls come."""


class WampBusReader:
    """A router's side: registers the procedures that a feed calls."""

    log: ClassVar[Logger] = Logger()
    shared: ClassVar[bool] = False

    def __init__(self, session: ISession, direct_calls: DirectCalls | None = None) -> None:
        """Read what feeds write through the router that ``session`` joined, which may have a shorter way for batches."""
        self.figures = ReaderFigures()
        self.reading_history = False
        """See ``BusReader.reading_history``: the bus keeps nothing."""

        self._order = BatchOrder()
        self._session = session
        self._direct_calls = direct_calls
        self._registrations: list[Any] = []

    async def start(self, listener: BusListener) -> None:
        """See ``BusReader.start``; the feed is told by an error what the listener could not take."""

        def push(data: bytes) -> None:
            try:
                batch = decode_batch(data)
            except MalformedBatch as error:
                raise ApplicationError(ERROR_INVALID_ARGUMENT, str(error)) from error
            step = self._order.take(batch.epoch, batch.number)
            if step.is_next:
                self.figures.batches += 1
                self.figures.missed_batches += 0 if step.missing is None else step.missing.number
                try:
                    listener.take_batch(batch)
                except Exception:
                    self.log.failure("batch {number} could not be taken", number=batch.number)

        def tell_status(status: bytes) -> None:
            try:
                listener.take_status(status)
            except (ValueError, TypeError) as error:
                raise ApplicationError(ERROR_INVALID_ARGUMENT, str(error)) from error

        self._registrations = [
            await self._session.register(push, BUS_PUSH, options=RegisterOptions()),
            await self._session.register(tell_status, BUS_STATUS),
        ]
        if self._direct_calls is not None:
            self._direct_calls.answer_directly(BUS_PUSH, push)
        self.figures.connected = True

    async def stop(self) -> None:
        """See ``BusReader.stop``."""
        registrations, self._registrations = self._registrations, []
        for registration in registrations:
            # A session that has left has no registrations.
            if self._session.is_attached():
                await registration.unregister()
        self.figures.connected = False

    def read_ahead(self) -> None:
        """See ``BusReader.read_ahead``."""
        if self._direct_calls is not None:
            self._direct_calls.read_ahead()

    def troubles(self) -> list[str]:
        """See ``BusReader.troubles``: the bus is the node's own router."""
        return []

    def warnings(self) -> list[str]:
        """See ``BusReader.warnings``: nothing is known to do harm."""
        return []

    def shortage(self) -> list[str]:
        """See ``BusReader.shortage``: there is none."""
        return []
