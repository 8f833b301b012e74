"""A whole node on the Redis bus: what clients, balancers and operators notice when Redis dies and comes back."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from components.bus.redis import RedisLink
from components.core.redis_address import parse_redis_url
from components.core.revocations import RevokedSubject
from components.router.access.redis_revocations import RedisRevocationStore
from components.router.access.revocation_store import FileRevocationStore
from tests.harness.client import Clients, follows, until
from tests.harness.node import Node
from tests.harness.redis import RedisServer


@pytest_twisted.async_yield_fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.kill()


def readyz(node: Node) -> tuple[int, dict[str, Any]]:
    status, _, body = node.get("/readyz")
    return status, json.loads(body)


def unbroken(events: list[tuple[str, dict[str, Any], bool]]) -> bool:
    """Tell whether the ticks of each topic follow one another within one epoch."""
    last: dict[str, int] = {}
    for topic, tick, _ in events:
        if topic != "market.status":
            if topic in last and not follows(tick, last[topic]):
                return False
            last[topic] = tick["seq"]
    return True


@pytest_twisted.ensureDeferred
async def test_a_redis_that_is_killed_and_comes_back_empty_is_a_pause_that_is_told(
    make_node: Callable[..., Node], clients: Clients, redis: RedisServer, tmp_path: Path
) -> None:
    node = make_node(CROSSTICK_BUS=redis.url, CROSSTICK_RATE="1000")
    await deferToThread(node.start)
    client = await clients.join(node.ws_url, authid="v", ticket=node.token("v"))
    events = await client.events("market.", "prefix")
    await until(reactor, lambda: len(events) > 200)
    assert readyz(node) == (200, {"ready": True, "because": [], "degraded": []})
    assert node.metrics()[("crosstick_bus_connected",)] == 1

    redis.kill()
    await until(reactor, lambda: bool(readyz(node)[1]["degraded"]))
    # Longer than a feed may be silent.
    await until(reactor, lambda: events[-1][0] == "market.status" and events[-1][1]["state"] == "feed_lost")
    status, said = readyz(node)
    assert (status, said["ready"], said["because"]) == (200, True, [])
    assert said["degraded"][0].startswith(f"bus: Redis at 127.0.0.1:{redis.port}, database 0: ")
    assert node.metrics()[("crosstick_bus_connected",)] == 0
    epoch = (await client.call("market.status"))["epoch"]
    olga = await clients.join(node.ws_url, authid="olga", ticket=node.token("olga", "operator", "ops"), realm="ops")
    wanted = ["BTCUSDT", "ETHUSDT", "XRPUSDT"]
    refused = await olga.refusal(olga.call("feed.set_symbols", wanted))
    assert refused == "crosstick.error.bus_unavailable"

    before = len(events)
    redis.start()
    await until(reactor, lambda: len(events) > before + 1000)
    await until(reactor, lambda: readyz(node) == (200, {"ready": True, "because": [], "degraded": []}))
    assert unbroken(events)
    await until(reactor, lambda: events[-1][0] != "market.status")
    status_now = await client.call("market.status")
    assert (status_now["epoch"], status_now["state"], status_now["missed_batches"]) == (epoch, "live", 0)
    metrics = node.metrics()
    assert metrics[("crosstick_bus_reconnects_total",)] == 1
    assert metrics[("crosstick_bus_missed_batches_total",)] == 0
    assert metrics[("crosstick_bus_batches_total",)] > 0
    assert 0 <= metrics[("crosstick_bus_lag_seconds",)] < 5

    # What operators want the feeds to follow.
    chosen = await olga.call("feed.set_symbols", wanted, if_version=0)
    await until(reactor, lambda: [event for topic, event, _ in events if topic == "market.status"][-1]["symbols"] == 3)
    said = await olga.call("feed.symbols")
    assert (said["symbols"], said["version"], said["by"]) == (wanted, chosen["version"], "olga")
    assert await olga.refusal(olga.call("feed.reset_symbols", if_version=0)) == "crosstick.error.changed_meanwhile"
    assert unbroken(events)

    # What another node revokes.
    elsewhere = RedisRevocationStore(
        reactor, RedisLink(reactor, parse_redis_url(redis.url)), FileRevocationStore(tmp_path), time.time
    )
    await elsewhere.open()
    try:
        await elsewhere.apply([RevokedSubject("v", int(time.time()))])
        await until(reactor, lambda: client.left.called, timeout_s=2.0)
    finally:
        elsewhere.stop()
    assert client.left.result.reason == "crosstick.close.token_revoked"
    assert "Traceback" not in node.log
