"""A failover by a real Sentinel: feed and gateway find the new master, and what it lacks is written again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from components.bus.redis import RedisBusReader, RedisBusWriter, RedisLink
from components.bus.redis.choice import CHOICE
from components.core.redis_address import parse_redis_url
from components.router.feed_symbols.ways import FeedsOnRedis
from tests.bus.brokers import HeardBatches, WritingFeed
from tests.harness.client import until
from tests.harness.redis import RedisServer

VERSION = ("HGET", CHOICE.decode(), "version")


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[RedisServer, RedisServer, RedisServer]]:
    """Return a master, its replica, and the Sentinel that watches over them."""
    secret = ["requirepass secret", "masterauth secret"]
    master = RedisServer(tmp_path / "master", *secret)
    replica = RedisServer(tmp_path / "replica", *secret, f"replicaof 127.0.0.1 {master.port}")
    sentinel = RedisServer(
        tmp_path / "sentinel",
        f"sentinel monitor ticks 127.0.0.1 {master.port} 1",
        "sentinel auth-pass ticks secret",
        "sentinel down-after-milliseconds ticks 500",
        "sentinel failover-timeout ticks 3000",
        sentinel=True,
    )
    running = (master, replica, sentinel)
    master.start()
    replica.start()
    # A Sentinel asks a master for its replicas at the start, and then every ten seconds.
    replica.wait(lambda: b"master_link_status:up" in replica.command("INFO", "replication", password="secret"))
    sentinel.start()
    yield running
    for server in running:
        server.kill()


@pytest_twisted.ensureDeferred
async def test_after_a_failover_that_lost_writes_and_an_operators_choice_nothing_is_missing(
    servers: tuple[RedisServer, RedisServer, RedisServer],
) -> None:
    master, replica, sentinel = servers
    url = f"redis+sentinel://:secret@127.0.0.1:1,127.0.0.1:{sentinel.port}/ticks"
    address, operators = parse_redis_url(url), FeedsOnRedis(reactor, url)
    heard, reader = HeardBatches(), RedisBusReader(reactor, RedisLink(reactor, address))
    feed = WritingFeed(RedisBusWriter(reactor, RedisLink(reactor, address)))
    await reader.start(heard)
    feed.bus.start(feed)
    try:
        await until(reactor, lambda: feed.leads)
        feed.write(10)
        await until(reactor, lambda: len(heard.batches) == 10)
        await until(reactor, lambda: replica.command("XLEN", "{crosstick}:batches", password="secret") == 10)
        await until(reactor, lambda: sentinel.command("SENTINEL", "CKQUORUM", "ticks").startswith(b"OK"))
        await until(reactor, lambda: len(sentinel.command("SENTINEL", "REPLICAS", "ticks")) == 1)
        replica.pause()
        feed.write(10)
        chosen = await operators.choose(["BTCUSDT"], "olga", None)
        await until(reactor, lambda: len(heard.batches) == 20 and feed.choice == chosen)
        master.kill()
        replica.resume()
        feed.write(10)
        await until(reactor, lambda: len(heard.batches) == 30, timeout_s=25.0)
        assert heard.numbers == list(range(1, 31))
        assert replica.command("XLEN", "{crosstick}:batches", password="secret") == 30
        assert feed.told == [None]
        await until(reactor, lambda: replica.command(*VERSION, password="secret") == b"%d" % chosen.version)
        later = await operators.choose(None, "olga", chosen.version)
        await until(reactor, lambda: feed.choice == later)
    finally:
        await feed.bus.stop()
        await reader.stop()
