"""A feed's side of the Redis bus: stands by until it is given the lead, then writes, and writes again what Redis loses.

Owns the lease, what is kept, and the connection's life. States: *apart* (no connection), *standing by* (another leads),
*leading*. A leader that loses the connection still holds itself to lead and keeps what the feed hands over: whether another was
given the lead, it hears when it is back, and a write of its own that comes too late is refused by its token.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from components.bus.interface import LeadableFeed, WriterFigures
from components.bus.redis.choice import PUT_CHOICE, ChoiceWatch
from components.bus.redis.eviction import EvictionWatch
from components.bus.redis.limits import RedisWriterLimits
from components.bus.redis.link import Connection, RedisLink, RedisTrouble
from components.bus.redis.outgoing import EpochTooOld, Outgoing, WriteRefused
from components.bus.redis.scripts import (
    BATCHES,
    OF_WRITER,
    RELEASE,
    RENEW,
    RESTORE,
    STANDBY,
    TAKE_LEAD,
    newest_arguments,
    parse_newest,
)
from components.bus.redis.trouble import RedisHealth
from components.core.backoff import Backoff
from components.core.batch import Batch, Standing
from components.core.lead import GoOn, Grant, go_on
from components.core.stream_age import StreamAge
from components.core.written_batches import WrittenBatches

_NOTHING = Standing(0, 0, {})


class RedisBusWriter:
    """See ``BusWriter``. The feed is never asked to read less: the exchange would cut it off, and what is kept bridges more."""

    log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        reactor: Any,
        link: RedisLink,
        limits: RedisWriterLimits | None = None,
        random: Callable[[], float] = random.random,
    ) -> None:
        self.figures = WriterFigures()
        self._reactor = reactor
        self._link = link
        self._limits = limits or RedisWriterLimits()
        self._random = random
        self._backoff = Backoff(random, initial_s=0.1, cap_s=1.0)
        self._owner = secrets.token_hex(8)
        self._feed: LeadableFeed
        """There is one from ``start`` on."""

        self._token = 0
        """Of the lead that this feed holds itself to have; 0 if none."""

        self._yields = False
        """Whether the lead is to be given up, which the feed has been told already."""

        self._told = False
        """Whether the feed has been told that it leads or follows."""

        self._kept: WrittenBatches | None = None
        self._gave_up = False
        """The epoch cannot be continued: what the feed writes is dropped until it has begun another."""

        self._epoch_before = 0
        """What stood when the feed was told to begin an epoch: its own has to be later."""

        self._connection: Connection | None = None
        self._outgoing: Outgoing | None = None
        self._status: bytes | None = None
        self._health = RedisHealth(reactor, link.address, self.log)
        self._eviction = EvictionWatch(reactor, link.address, self.log)
        self._choices = ChoiceWatch()
        self._was_connected = False
        self._stopping = False
        self._nap: Deferred[None] | None = None
        self._running: Deferred[None] | None = None
        self._age = StreamAge(self._limits.stream_age_s)
        self._trim_due_s = 0.0

    def start(self, feed: LeadableFeed) -> None:
        """See ``BusWriter.start``."""
        self._feed = feed
        self._running = ensureDeferred(self._run()).addErrback(self._ended)

    async def stop(self) -> None:
        """See ``BusWriter.stop``."""
        deadline_s = self._reactor.seconds() + self._limits.stop_timeout_s
        while self._kept is not None and self._kept.unconfirmed and self._reactor.seconds() < deadline_s:
            await deferLater(self._reactor, 0.01)
        self._stopping = True
        connection = self._connection
        if connection is not None and self._token:
            try:
                await connection.run(RELEASE, self._owner)
            except RedisTrouble as error:
                self.log.warn("the lead could not be given up, and lasts a while: {error}", error=str(error))
        self._token = 0
        if self._running is not None:
            self._running.cancel()

    def yield_lead(self, because: str) -> None:
        """See ``BusWriter.yield_lead``. Without a connection the lead goes by itself, or this feed learns that it has gone."""
        if self._token and self._outgoing is not None:
            self._yields = True
            self._follow(because)
            self._wake()

    def write(self, batch: Batch) -> None:
        """See ``BusWriter.write``."""
        if not self._token:
            self.figures.refused_batches += 1
            return
        if self._gave_up:
            self.figures.dropped_batches += 1
            return
        kept = self._kept
        if kept is None or batch.epoch != kept.epoch:
            if batch.epoch <= self._epoch_before:
                self._give_up_epoch()
                return
            kept = self._kept = WrittenBatches(Standing(batch.epoch, batch.number - 1, {}), self._limits.kept)
            if self._outgoing is not None:
                self._outgoing.send_after(kept, batch.number - 1)
        if not kept.add(batch, self._reactor.seconds()):
            self._overflow(kept)
        elif self._outgoing is not None:
            self._outgoing.send_waiting()

    def write_status(self, status: bytes) -> None:
        """See ``BusWriter.write_status``; of one that does not lead, nothing is sent."""
        self._status = status
        if self._outgoing is not None:
            self._outgoing.send_status(status)

    def troubles(self) -> list[str]:
        """See ``BusWriter.troubles``."""
        found = self._health.lines()
        if self._gave_up:
            found.append("batches are dropped until the feed has begun an epoch: Redis was away for too long")
        return found

    def warnings(self) -> list[str]:
        """See ``BusWriter.warnings``."""
        return self._eviction.warnings()

    # The life of the connection.

    async def _run(self) -> None:
        while not self._stopping:
            try:
                await self._serve()
            except RedisTrouble as error:
                self._health.troubled(str(error))
            except Exception:
                if self._stopping:
                    raise
                self.log.failure("the Redis bus met an error of its own, and tries again")
                self._health.troubled("an error of the bus itself, see the log")
            if not self._stopping:
                await self._sleep(self._backoff.next_delay_s())

    async def _serve(self) -> None:
        connection = await self._link.connect()
        self._connection = connection
        try:
            await connection.load((*OF_WRITER, PUT_CHOICE))
            await self._eviction.look(connection, at_once=True)
            # The leader was most likely cut off as well, its lease ran out, and what it has kept nobody else may have:
            # it comes first. Who never stood by on this Redis knows of no leader to wait for, and waits only until it has
            # something to write: that Redis is empty, and knows of none either, may be since it has just started anew.
            stood_by, self._was_connected = self._was_connected, True
            patient_until_s = 0.0 if self._token else self._reactor.seconds() + self._limits.patience_s
            while not self._stopping:
                # Before the lead is taken: who takes it over has the symbols of who had it.
                await self._choices.look(connection, self._feed)
                is_patient = stood_by or not self._feed.ready
                asks_patiently = is_patient and self._reactor.seconds() < patient_until_s
                answer = await self._ask(connection, patiently=asks_patiently)
                if answer[0] == b"lead":
                    self._yields = False
                    await self._lead(connection, answer)
                if self._yields:
                    self._yields, self._outgoing = False, None
                    await self._sleep(self._limits.yield_s)
                    continue
                if self._token or not self._told:
                    self._follow("another feed leads" if answer[0] == b"held" else "the lead is left to another feed")
                self._health.well()
                await self._eviction.look(connection)
                await self._sleep(self._limits.standby_interval_s * (0.75 + 0.5 * self._random()))
        finally:
            self._connection = None
            self._outgoing = None
            connection.close()

    async def _ask(self, connection: Connection, *, patiently: bool) -> list[Any]:
        limits = self._limits
        # Who still holds itself to lead has what nobody else may have: that counts for more.
        ready = bool(self._token) or self._feed.ready
        lease_ms, known_ms = int(1000 * limits.lease_s), int(1000 * limits.standby_known_s)
        answer: list[Any] = await connection.run(TAKE_LEAD, self._owner, lease_ms, int(patiently), int(ready), known_ms)
        return answer

    async def _lead(self, connection: Connection, answer: list[Any]) -> None:
        """Lead until something is wrong, which is raised."""
        token, token_before, same, epoch, number = (int(value) for value in answer[1:6])
        grant = Grant(token, token_before, bool(same), epoch, number)
        if self._token and grant.token_before > self._token:
            self._follow("another feed led while Redis could not be reached")
        how = go_on(grant, self._token, None if self._gave_up else self._kept)
        self.figures.leads += 1
        self.log.debug("this feed leads, with token {token}: {how}", token=token, how=how.value)
        outgoing = Outgoing(connection, token, self._limits.batches_in_flight, self._limits.stream_batches, self._wake)
        kept = self._kept
        if how is GoOn.RESTORE and kept is not None:
            before = kept.standing_before()
            if await connection.run(RESTORE, token, before.epoch, before.number, *newest_arguments(before)) != 1:
                raise WriteRefused("the lead was given to another feed meanwhile")
            number = before.number
        self._token = token
        self._outgoing = outgoing
        self._health.well()
        if how in (GoOn.REWRITE, GoOn.RESTORE) and kept is not None:
            kept.lost_after(number)
            kept.confirm(number)
            self.figures.rewritten_batches += kept.unconfirmed
            outgoing.send_after(kept, number)
        else:
            self._gave_up = False
            standing = Standing(epoch, number, parse_newest(answer[6])) if how is GoOn.CONTINUE else _NOTHING
            self._kept = WrittenBatches(standing, self._limits.kept)
            outgoing.send_after(self._kept, standing.number)
            self._told = True
            self._epoch_before = epoch if how is GoOn.BEGIN else 0
            self._feed.lead(standing if how is GoOn.CONTINUE else None)
        if self._status is not None:
            outgoing.send_status(self._status)
        await self._hold(connection, outgoing)

    async def _hold(self, connection: Connection, outgoing: Outgoing) -> None:
        looks_unready = 0
        while True:
            if outgoing.trouble is None and not self._stopping and not self._yields:
                await self._sleep(self._limits.lease_s / 3)
            if isinstance(outgoing.trouble, EpochTooOld):
                self._kept, self._gave_up = None, True
            if outgoing.trouble is not None:
                raise outgoing.trouble
            if self._stopping:
                return
            if self._yields:
                # Behind what is under way: that is written still.
                await connection.run(RELEASE, self._owner)
                outgoing.end(WriteRefused("the lead was yielded"))
                return
            if await connection.run(RENEW, self._owner, self._token, int(1000 * self._limits.lease_s)) != 1:
                raise WriteRefused("the lead was given to another feed, or Redis has lost it")
            self._backoff.succeeded()
            looks_unready = 0 if self._feed.ready else looks_unready + 1
            if looks_unready >= self._limits.looks_unready and await self._another_stands_by(connection):
                self.yield_lead("the exchange brings it nothing, and another feed stands by that gets something")
            await self._choices.look(connection, self._feed)
            await self._trim(connection)
            await self._eviction.look(connection)

    async def _another_stands_by(self, connection: Connection) -> bool:
        return await connection.command("GET", STANDBY) not in (None, self._owner.encode())

    async def _trim(self, connection: Connection) -> None:
        kept = self._kept
        if kept is None or not kept.epoch:
            return
        now_s = self._reactor.seconds()
        self._age.written(now_s, kept.epoch, kept.confirmed)
        old = self._age.too_old(now_s)
        if old is not None and now_s >= self._trim_due_s:
            self._trim_due_s = now_s + self._limits.trim_interval_s
            await connection.command("XTRIM", BATCHES, "MINID", "~", f"{old[0]}-{old[1]}")

    def _follow(self, because: str) -> None:
        self.log.debug("this feed follows: {because}", because=because)
        self._told = True
        self._token = 0
        self._kept = None
        self._gave_up = False
        self._feed.follow(because)

    def _give_up_epoch(self) -> None:
        # An epoch is the time at which it begins: with the next one this feed's clock has come further.
        self._kept, self._gave_up = None, True
        if self._outgoing is not None:
            self._outgoing.end(EpochTooOld("this feed's clock is behind: a later epoch stands in Redis"))

    def _overflow(self, kept: WrittenBatches) -> None:
        self.figures.overflows += 1
        self.figures.dropped_batches += kept.unconfirmed
        self.log.error(
            "{batches} batches wait for Redis, more than {limit} bytes: given up, and an epoch begins when Redis is back",
            batches=kept.unconfirmed,
            limit=self._limits.kept.max_bytes,
        )
        self._kept, self._gave_up = None, True
        if self._outgoing is not None:
            self._outgoing.end(WriteRefused("Redis takes less than the feed brings"))

    async def _sleep(self, seconds: float) -> None:
        nap = self._nap = deferLater(self._reactor, seconds)
        try:
            await nap
        except CancelledError:
            if self._stopping:
                raise
        finally:
            self._nap = None

    def _wake(self) -> None:
        if self._nap is not None:
            self._nap.cancel()

    def _ended(self, failure: Failure) -> None:
        failure.trap(CancelledError, ConnectingCancelledError)
