"""A gateway's side of the Redis bus: what stands, what came before, then batch after batch, also across Redis' absence.

Owns the reader's place in the stream and the connection's life; what a batch means is the listener's business.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from components.bus.interface import BusListener, ReaderFigures
from components.bus.redis.eviction import EvictionWatch
from components.bus.redis.link import COMMAND_DEADLINE_S, Connection, RedisLink, RedisTrouble
from components.bus.redis.scripts import BATCHES, LOOK, OF_READER, STATE, STATUS, parse_newest
from components.bus.redis.trouble import RedisHealth
from components.core.backoff import Backoff
from components.core.batch import Batch, MalformedBatch, Standing, decode_batch
from components.core.batch_order import BatchOrder

BLOCK_S = 1.0
"""How long a read waits for something to come. What Redis has lost in between is noticed then."""

PORTION_BYTES = 256_000
"""Of history that is asked for at once, about: some milliseconds of the reactor's time."""

MAX_PORTION_BATCHES = 64
EARLIER_EPOCH_LOOKS = 3
"""So many looks in a row must find a feed writing in an earlier epoch than was read before it is believed."""


class RedisBusReader:
    """See ``BusReader``."""

    log: ClassVar[Logger] = Logger()
    shared: ClassVar[bool] = True

    def __init__(
        self,
        reactor: Any,
        link: RedisLink,
        random: Callable[[], float] = random.random,
        wall_clock_s: Callable[[], float] = time.time,
    ) -> None:
        self.figures = ReaderFigures()
        self._reactor = reactor
        self._link = link
        self._backoff = Backoff(random, initial_s=0.1, cap_s=1.0)
        self._wall_clock_s = wall_clock_s
        self._heard: BusListener
        """Told of everything; there is one from ``start`` on."""

        self._order = BatchOrder()
        self._began = False
        self._cursor = b"0-0"
        """The stream's id up to which batches have been read."""

        self._history_cursor = b"-"
        """Where in the stream history goes on, as a start of ``XRANGE``: kept across connections."""

        self._history_end: bytes | None = None
        """The stream's id of the last batch of history; ``None`` when there is none to be read any more."""

        self._status_cursor = b"0-0"
        self._awaited: Standing | None = None
        """To be told to the listener as soon as its last batch has been read."""

        self._connection: Connection | None = None
        self._must_look = False
        self._earlier_looks = 0
        self._earlier_seen = (0, 0)
        self._clock_offset_s = 0.0
        """What Redis' clock is ahead of this process's."""

        self._health = RedisHealth(reactor, link.address, self.log)
        self._eviction = EvictionWatch(reactor, link.address, self.log)
        self._running: Deferred[None] | None = None

    @property
    def reading_history(self) -> bool:
        """See ``BusReader.reading_history``."""
        return not self._began or self._history_end is not None

    async def start(self, listener: BusListener) -> None:
        """See ``BusReader.start``."""
        self._heard = listener
        self._running = ensureDeferred(self._run()).addErrback(self._ended)

    async def stop(self) -> None:
        """See ``BusReader.stop``."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()

    def read_ahead(self) -> None:
        """See ``BusReader.read_ahead``."""
        if self._connection is not None:
            self._connection.read_ahead()

    def troubles(self) -> list[str]:
        """See ``BusReader.troubles``."""
        return self._health.lines()

    def warnings(self) -> list[str]:
        """See ``BusReader.warnings``."""
        return self._eviction.warnings()

    def shortage(self) -> list[str]:
        """See ``BusReader.shortage``."""
        return self._eviction.shortage()

    async def _run(self) -> None:
        while True:
            try:
                await self._serve()
            except RedisTrouble as error:
                self._troubled(str(error))
            except (CancelledError, ConnectingCancelledError):
                raise
            except Exception:
                self.log.failure("reading from Redis met an error of its own, and begins again")
                self._troubled("an error of the bus itself, see the log")
            await deferLater(self._reactor, self._backoff.next_delay_s())

    async def _serve(self) -> None:
        self._connection = connection = await self._link.connect()
        try:
            await connection.load(OF_READER)
            standing, statuses = await self._look(connection)
            if not self._began:
                self._began = True
                self._begin(standing)
            self._take_statuses(statuses)
            await self._read_history(connection)
            self.figures.connected = True
            self.figures.reconnects += self._health.well()
            await self._eviction.look(connection, at_once=True)
            while True:
                came = await self._read(connection)
                # While nobody writes the reason may be Redis.
                await self._eviction.look(connection, at_once=not came)
                await self._read_history(connection)
                if self._must_look:
                    self._must_look = False
                    self._awaited, _ = await self._look(connection)
                    self._tell_awaited()
        finally:
            self._connection = None
            connection.close()

    def _begin(self, standing: Standing) -> None:
        self._order.begin_after(standing.epoch, standing.number)
        self._cursor = b"%d-%d" % (standing.epoch, standing.number)
        self._history_cursor, self._history_end = b"-", self._cursor if standing.epoch else None
        if standing.epoch:
            self._tell("what stands", self._heard.take_standing, standing)

    async def _look(self, connection: Connection) -> tuple[Standing, list[Any]]:
        """Return what stands, and the status's entry unless it has been read."""
        epoch, number, newest, statuses, now = await connection.run(LOOK)
        self._clock_offset_s = int(now[0]) + int(now[1]) / 1e6 - self._wall_clock_s()
        standing = Standing(int(epoch), int(number), parse_newest(newest))
        return standing, [entry for entry in statuses if entry[0] != self._status_cursor]

    async def _read_history(self, connection: Connection) -> None:
        """Hand over what is left of history; after a connection that ends meanwhile, the next one goes on from there."""
        count = 1
        while self._history_end is not None:
            entries = await connection.command(
                "XRANGE", BATCHES, self._history_cursor, self._history_end, "COUNT", count
            )
            size = 0
            for entry_id, fields in entries:
                # First, so that an entry that cannot be taken is not read for ever.
                self._history_cursor = b"(" + entry_id
                size += len(fields[-1])
                batch = self._decoded(entry_id, fields)
                if batch is not None:
                    self._tell("a batch of before", self._heard.take_history, batch)
            if len(entries) < count:
                self._history_end = None
            count = max(1, min(MAX_PORTION_BATCHES, count * 2, count * PORTION_BYTES // max(1, size)))

    async def _read(self, connection: Connection) -> bool:
        """Hand over what comes; return whether anything has."""
        answer = await connection.command(
            *("XREAD", "COUNT", MAX_PORTION_BATCHES, "BLOCK", int(1000 * BLOCK_S)),
            *("STREAMS", BATCHES, STATUS, self._cursor, self._status_cursor),
            deadline_s=BLOCK_S + COMMAND_DEADLINE_S,
        )
        self._backoff.succeeded()
        came = dict(answer or ())
        entries = came.get(BATCHES, ())
        for entry_id, fields in entries:
            self._cursor = entry_id
            batch = self._decoded(entry_id, fields)
            if batch is not None:
                self._take(batch)
        if entries:
            self._earlier_looks = 0
            written_s = int(entries[-1][1][1]) / 1000
            self.figures.lag_s = max(0.0, self._wall_clock_s() + self._clock_offset_s - written_s)
        else:
            await self._look_for_an_earlier_epoch(connection)
        self._take_statuses(came.get(STATUS, ()))
        return bool(came)

    def _take(self, batch: Batch) -> None:
        step = self._order.take(batch.epoch, batch.number)
        if not step.is_next:
            return
        if step.missing is not None:
            self.figures.missed_batches += step.missing.number
            self.log.error("batches {missing} can no longer be had", missing=str(step.missing))
            self._must_look = True
            self.figures.holes += 1
        self.figures.batches += 1
        self._tell("a batch", self._heard.take_batch, batch)
        if self._awaited is not None:
            self._tell_awaited()

    def _tell_awaited(self) -> None:
        """Tell what stands when its last batch is the one that was read last; look anew when it was passed unseen."""
        awaited, order = self._awaited, self._order
        if awaited is not None and order.is_at_least(awaited.epoch, awaited.number):
            self._awaited = None
            if (order.epoch, order.number) == (awaited.epoch, awaited.number):
                self._tell("what stands", self._heard.take_standing, awaited)
            else:
                self._must_look = True

    async def _look_for_an_earlier_epoch(self, connection: Connection) -> None:
        """Find out whether a feed goes on in an epoch before the one that was read, where no batch of it is ever the next.

        That is so when Redis has started empty, no feed is left that knows what it had, and the clock of the one that leads is
        behind. A server that has only lost its last writes shows an earlier epoch too, but nobody writes in it.
        """
        state = await connection.command("HMGET", STATE, "epoch", "number")
        seen = int(state[0] or 0), int(state[1] or 0)
        grows = seen[0] == self._earlier_seen[0] and seen[1] > self._earlier_seen[1]
        self._earlier_looks = self._earlier_looks + 1 if seen[0] < self._order.epoch and grows else 0
        self._earlier_seen = seen
        if self._earlier_looks >= EARLIER_EPOCH_LOOKS:
            self._earlier_looks = 0
            self.log.error(
                "Redis has lost epoch {lost}, and a feed goes on in {epoch}: so does this gateway",
                lost=self._order.epoch,
                epoch=seen[0],
            )
            self._awaited = None
            standing, _ = await self._look(connection)
            self._begin(standing)

    def _take_statuses(self, entries: Any) -> None:
        for entry_id, fields in entries:
            self._status_cursor = entry_id
            self._tell("a status", self._heard.take_status, fields[1])

    def _decoded(self, entry_id: bytes, fields: list[bytes]) -> Batch | None:
        try:
            return decode_batch(fields[3])
        except (MalformedBatch, IndexError):
            self.figures.malformed_records += 1
            self.log.failure("entry {id} is no batch", id=entry_id.decode())
            return None

    def _tell(self, what: str, take: Callable[[Any], None], argument: Any) -> None:
        try:
            take(argument)
        except Exception:
            number = getattr(argument, "number", None)
            self.log.failure("{what} could not be taken, number {number}", what=what, number=number)

    def _troubled(self, text: str) -> None:
        self.figures.connected = False
        self._health.troubled(text)

    def _ended(self, failure: Failure) -> None:
        failure.trap(CancelledError, ConnectingCancelledError)
