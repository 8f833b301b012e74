"""The buses that the contract's tests run on, each with the faults that it can have; and stand-ins for feed and gateway."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Protocol

from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, succeed

from components.bus import BusReader, BusWriter
from components.bus.kafka import KafkaBusReader, KafkaBusWriter
from components.bus.redis import RedisBusReader, RedisBusWriter, RedisLink
from components.bus.redis.limits import RedisWriterLimits
from components.bus.wamp import WampBusReader, WampBusWriter
from components.core.batch import Batch, Standing
from components.core.kafka_address import KafkaAddress
from components.core.redis_address import parse_redis_url
from components.core.symbol_choice import NO_CHOICE, SymbolChoice
from components.router.feed_symbols.ways import FeedsOnKafka, WayToFeeds, way_to_feeds
from components.settings import BusSettings
from tests.bus.kafka_parts import PATIENT, let_topics_be_made
from tests.harness.cut_line import CutLine
from tests.harness.kafka import KafkaProcess
from tests.harness.redis import RedisServer

KEEPS = "keeps what was written for readers that come later"
MANY = "serves several feeds, of which one leads"
FAULTS = "is a process of its own, which may fail"
CHOOSES = "keeps what operators want the feeds to follow, and tells all of them"
FORGETS = "may lose all that it had, and is told again"


class HeardBatches:
    """A gateway's listener that keeps everything that it hears."""

    def __init__(self) -> None:
        self.standings: list[Standing] = []
        self.history: list[Batch] = []
        self.batches: list[Batch] = []
        self.statuses: list[bytes] = []
        self.order: list[str] = []
        self.fails_at: int | None = None
        self.reader: BusReader | None = None
        """Whose listener this is."""

        self.was_reading_history: dict[str, set[bool]] = {}
        """What the reader said of that, by what it told meanwhile."""

    def _note(self, what: str) -> None:
        self.order.append(what)
        if self.reader is not None:
            self.was_reading_history.setdefault(what, set()).add(self.reader.reading_history)

    @property
    def numbers(self) -> list[int]:
        return [batch.number for batch in self.batches]

    def take_standing(self, standing: Standing) -> None:
        self._note("standing")
        self.standings.append(standing)

    def take_history(self, batch: Batch) -> None:
        self._note("history")
        self.history.append(batch)

    def take_batch(self, batch: Batch) -> None:
        self._note("batch")
        self.batches.append(batch)
        if batch.number == self.fails_at:
            raise RuntimeError("the listener cannot take this")

    def take_status(self, status: bytes) -> None:
        self._note("status")
        self.statuses.append(status)


class WritingFeed:
    """A feed that numbers what it is told to write, and keeps what its bus says."""

    def __init__(self, bus: BusWriter, epoch: int = 1_000) -> None:
        self.bus = bus
        self.epoch = epoch
        self.number = 0
        self.leads = False
        self.told: list[Standing | str | None] = []
        self.paused = 0
        self.ready = True
        self.choice = NO_CHOICE
        self.led_with: list[SymbolChoice] = []
        """What it knew when it was told to lead."""

    def choose(self, choice: SymbolChoice) -> None:
        if choice.version > self.choice.version:
            self.choice = choice

    def lead(self, since: Standing | None) -> None:
        self.told.append(since)
        self.led_with.append(self.choice)
        self.leads = True
        if since is None:
            self.epoch, self.number = self.epoch + 1, 0
        else:
            self.epoch, self.number = since.epoch, since.number

    def follow(self, because: str) -> None:
        self.told.append(because)
        self.leads = False

    def pause(self) -> None:
        self.paused += 1

    def resume(self) -> None:
        self.paused -= 1

    def write(self, batches: int = 1, *, topic: str = "market.BTCUSDT", padding: int = 0) -> None:
        """Write so many batches of an event each, whose ``seq`` is the batch's number."""
        for _ in range(batches):
            self.number += 1
            payload = b'{"seq":%d,"pad":"%b"}' % (self.number, b"x" * padding)
            self.bus.write(Batch(self.epoch, self.number, [(topic, self.number, payload)]))


class Broker(Protocol):
    """A bus under test. What it made, ``close`` ends."""

    capabilities: frozenset[str]

    async def open(self) -> None: ...
    async def make_writer(self) -> BusWriter:
        """Return a feed's side, not yet started."""

    def make_reader(self) -> BusReader: ...
    def make_way(self) -> WayToFeeds:
        """Return the way of a gateway's operators to the feeds (``CHOOSES``)."""

    async def lose(self, writer: BusWriter) -> None:
        """Let the feed of a writer be gone without a word, as after ``kill -9`` (``MANY``)."""

    def stop(self) -> None:
        """Take the bus away, with all that it had in memory (``FAULTS``)."""

    def start(self) -> None: ...
    def flush(self) -> None:
        """Let the running bus forget everything (``FORGETS``)."""

    def pause(self) -> None:
        """Let the bus stand still, its connections open (``FAULTS``)."""

    def resume(self) -> None: ...
    async def close(self) -> None: ...


class _Router:
    """As much of a router and its sessions as the embedded bus uses."""

    def __init__(self) -> None:
        self.procedures: dict[str, Any] = {}

    def call(self, uri: str, argument: bytes) -> Deferred[None]:
        self.procedures[uri](argument)
        return succeed(None)

    async def register(self, endpoint: Any, uri: str, options: Any = None) -> Any:
        self.procedures[uri] = endpoint
        router = self

        class Registration:
            async def unregister(self) -> None:
                del router.procedures[uri]

        return Registration()

    def is_attached(self) -> bool:
        return True


class EmbeddedBroker:
    """The bus of a single node."""

    capabilities: frozenset[str] = frozenset()

    def __init__(self, _directory: Path) -> None:
        self._router = _Router()
        self.lost: list[Any] = []

    async def open(self) -> None: ...

    async def make_writer(self) -> BusWriter:
        return WampBusWriter(reactor, self._router, on_lost=self.lost.append)

    def make_reader(self) -> BusReader:
        return WampBusReader(self._router)

    def make_way(self) -> WayToFeeds:
        raise NotImplementedError

    async def lose(self, writer: BusWriter) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def start(self) -> None:
        raise NotImplementedError

    def flush(self) -> None:
        raise NotImplementedError

    def pause(self) -> None:
        raise NotImplementedError

    def resume(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        assert not self.lost


class RedisBroker:
    """A real Redis; each writer has a line of its own to it."""

    capabilities = frozenset({KEEPS, MANY, FAULTS, CHOOSES, FORGETS})

    def __init__(self, directory: Path, *options: str) -> None:
        self.server = RedisServer(directory, *options)
        self.lines: dict[Any, CutLine] = {}
        """By whose they are."""

        self._stops: list[Any] = []

    @property
    def link(self) -> RedisLink:
        return RedisLink(reactor, parse_redis_url(self.server.url))

    async def open(self) -> None:
        self.server.start()

    async def make_writer(self, **limits: Any) -> RedisBusWriter:
        line, link = await self._line()
        writer = RedisBusWriter(reactor, link, RedisWriterLimits(**{"stop_timeout_s": 10.0, **limits}))
        self.lines[writer] = line
        self._stops.append(writer)
        return writer

    async def make_cut_reader(self) -> tuple[RedisBusReader, CutLine]:
        """Return a gateway's side with a line of its own."""
        line, link = await self._line()
        reader = RedisBusReader(reactor, link)
        self.lines[reader] = line
        self._stops.append(reader)
        return reader, line

    async def _line(self) -> tuple[CutLine, RedisLink]:
        line = CutLine(reactor, self.server.port)
        await line.start()
        return line, RedisLink(reactor, parse_redis_url(f"redis://127.0.0.1:{line.port}"))

    def make_reader(self) -> RedisBusReader:
        reader = RedisBusReader(reactor, self.link)
        self._stops.append(reader)
        return reader

    def make_way(self) -> WayToFeeds:
        return way_to_feeds(BusSettings("redis", self.server.url), reactor, None)

    async def lose(self, writer: BusWriter) -> None:
        await self.lines[writer].cut()

    def stop(self) -> None:
        self.server.kill()

    def start(self) -> None:
        self.server.start()

    def flush(self) -> None:
        self.server.command("FLUSHALL")

    def pause(self) -> None:
        self.server.pause()

    def resume(self) -> None:
        self.server.resume()

    async def close(self) -> None:
        self.server.kill()
        stopping: list[Awaitable[None]] = [ensureDeferred(side.stop()) for side in self._stops]
        for stopped in stopping:
            await stopped
        for line in self.lines.values():
            await line.stop()


class KafkaBroker:
    """Brokers that speak Kafka's protocol; what they took, they keep."""

    capabilities = frozenset({KEEPS, MANY, FAULTS, CHOOSES})

    def __init__(self, _directory: Path) -> None:
        self._stops: list[KafkaBusWriter | KafkaBusReader] = []

    async def open(self) -> None:
        self._process = KafkaProcess()
        self._address = KafkaAddress(self._process.address, prefix="contract")
        let_topics_be_made(self._address)

    async def make_writer(self) -> KafkaBusWriter:
        writer = KafkaBusWriter(self._address, reactor=reactor, limits=PATIENT)
        self._stops.append(writer)
        return writer

    def make_reader(self) -> KafkaBusReader:
        reader = KafkaBusReader(self._address, reactor=reactor, limits=PATIENT)
        self._stops.append(reader)
        return reader

    def make_way(self) -> WayToFeeds:
        url = f"kafka://{self._address.brokers}/{self._address.prefix}"
        return FeedsOnKafka(reactor, url, PATIENT)

    async def lose(self, writer: BusWriter) -> None:
        assert isinstance(writer, KafkaBusWriter)
        assert writer._heartbeat is not None
        assert writer._tail is not None
        writer._heartbeat.stop()
        writer._tail.stand_back()
        writer._feed = writer._token = None

    def stop(self) -> None:
        self._process.go_down()

    def start(self) -> None:
        self._process.come_up()

    def flush(self) -> None:
        raise NotImplementedError

    def pause(self) -> None:
        self._process.stand_still()

    def resume(self) -> None:
        self._process.go_on()

    async def close(self) -> None:
        stopping = [ensureDeferred(side.stop()) for side in self._stops]
        for stopped in stopping:
            await stopped
        self._process.stop()
