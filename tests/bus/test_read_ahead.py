"""What has come on a connection of the bus can be taken before the reactor comes round to it."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import globalLogPublisher

from components.bus.read_ahead import read_ahead
from components.bus.redis import RedisBusReader, RedisLink
from components.core.batch import Batch, encode_batch
from components.core.redis_address import parse_redis_url
from tests.bus.brokers import HeardBatches, RedisBroker, WritingFeed
from tests.harness.client import until


class Taking(Protocol):
    """Keeps what comes, and fails at what it cannot take."""

    def __init__(self) -> None:
        self.taken = b""
        self.made: Deferred[None] = Deferred()
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.made.callback(None)

    def dataReceived(self, data: bytes) -> None:
        self.taken += data
        if b"!" in data:
            raise ValueError("not this")

    def connectionLost(self, reason: Any = None) -> None:
        self.gone.callback(None)


class Line:
    """A connection over a unix socket: the bus's end, and the other one, which blocks."""

    def __init__(self, directory: Path) -> None:
        self.protocol = Taking()
        factory = Factory.forProtocol(lambda: self.protocol)  # type: ignore[arg-type]
        factory.noisy = False
        self.port = reactor.listenUNIX(str(directory / "bus.sock"), factory)  # type: ignore[attr-defined]
        self.peer = socket.socket(socket.AF_UNIX)
        self.peer.connect(str(directory / "bus.sock"))

    async def close(self) -> None:
        self.peer.close()
        await self.port.stopListening()
        await self.protocol.gone


@pytest_twisted.async_yield_fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    line = Line(tmp_path)
    await line.protocol.made
    yield line
    await line.close()


@pytest_twisted.ensureDeferred
async def test_what_is_there_is_taken_at_once_and_nothing_twice(line: Line) -> None:
    read_ahead(line.protocol.transport)
    assert line.protocol.taken == b""
    line.peer.sendall(b"one")
    read_ahead(line.protocol.transport)
    assert line.protocol.taken == b"one"
    read_ahead(line.protocol.transport)
    line.peer.sendall(b"two")
    await until(reactor, lambda: line.protocol.taken == b"onetwo")


@pytest_twisted.ensureDeferred
async def test_that_a_connection_has_ended_is_told_by_the_reactor(line: Line) -> None:
    line.peer.sendall(b"last")
    line.peer.close()
    read_ahead(line.protocol.transport)
    read_ahead(line.protocol.transport)
    assert line.protocol.taken == b"last"
    assert not line.protocol.gone.called
    await until(reactor, lambda: line.protocol.gone.called)
    read_ahead(line.protocol.transport)


@pytest_twisted.ensureDeferred
async def test_a_protocol_that_fails_is_dropped_and_who_asked_goes_on(line: Line) -> None:
    logged: list[dict[str, Any]] = []
    globalLogPublisher.addObserver(logged.append)
    try:
        line.peer.sendall(b"!")
        read_ahead(line.protocol.transport)
    finally:
        globalLogPublisher.removeObserver(logged.append)
    assert [str(event["log_failure"].value) for event in logged if "log_failure" in event] == ["not this"]
    await until(reactor, lambda: line.protocol.gone.called)


@pytest_twisted.ensureDeferred
async def test_a_batch_that_redis_has_sent_is_taken_without_the_reactor(tmp_path: Path) -> None:
    bus = RedisBroker(tmp_path / "redis")
    await bus.open()
    # Without the broker's lines, which are in this reactor.
    reader = RedisBusReader(reactor, RedisLink(reactor, parse_redis_url(bus.server.url)))
    heard = HeardBatches()
    try:
        await reader.start(heard)
        feed = WritingFeed(await bus.make_writer())
        feed.bus.start(feed)
        await until(reactor, lambda: feed.leads)
        feed.write()
        await until(reactor, lambda: heard.numbers == [1])
        # Its next read waits in Redis before this is written.
        await until(reactor, lambda: b"cmd=xread" in bus.server.command("CLIENT", "LIST"))
        data = encode_batch(Batch(feed.epoch, 2, [("market.BTCUSDT", 2, b'{"seq":2}')]))
        (_, fields), *_ = bus.server.command("XRANGE", "{crosstick}:batches", "-", "+")
        bus.server.command("XADD", "{crosstick}:batches", f"{feed.epoch}-2", *fields[:-1], data)
        time.sleep(0.05)  # noqa: ASYNC251 - the reactor shall not turn meanwhile
        reader.read_ahead()
        assert heard.numbers == [1, 2]
    finally:
        await reader.stop()
        await bus.close()


@pytest.mark.parametrize("transport", [object(), None])
def test_what_is_no_bare_socket_is_left_alone(transport: object) -> None:
    read_ahead(transport)
