"""A whole node on the Kafka bus: what clients, balancers and operators notice when the brokers go and come back."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from components.core.kafka_address import parse_kafka_url
from tests.bus.kafka_parts import let_topics_be_made
from tests.harness.client import Clients, first_answer, follows, until
from tests.harness.kafka import KafkaProcess
from tests.harness.node import Node

WELL = {"ready": True, "because": [], "degraded": []}


@pytest.fixture
def kafka() -> Iterator[KafkaProcess]:
    process = KafkaProcess()
    yield process
    process.stop()


def readyz(node: Node) -> dict[str, Any]:
    return json.loads(node.get("/readyz")[2])


@pytest_twisted.ensureDeferred
async def test_brokers_that_go_and_come_back_are_a_pause_that_is_told(
    make_node: Callable[..., Node], clients: Clients, kafka: KafkaProcess
) -> None:
    url = f"kafka://{kafka.address}/eu.ticks"
    let_topics_be_made(parse_kafka_url(url))
    node = make_node(CROSSTICK_BUS=url, CROSSTICK_RATE="1000")
    await deferToThread(node.start)
    client = await clients.join(node.ws_url, authid="v", ticket=node.token("v"))
    events = await client.events("market.BTCUSDT")
    await until(reactor, lambda: len(events) > 20)
    assert readyz(node) == WELL
    epoch = (await client.call("market.status"))["epoch"]

    kafka.go_down()
    await until(reactor, lambda: bool(readyz(node)["degraded"]))
    said = readyz(node)
    assert said["ready"]
    assert said["degraded"][0].startswith(f"bus: Kafka at {kafka.address} cannot be used: ")
    before = len(events)
    kafka.come_up()
    await until(reactor, lambda: len(events) > before + 50 and readyz(node) == WELL)
    # What operators want the feeds to follow.
    olga = await clients.join(node.ws_url, authid="olga", ticket=node.token("olga", "operator", "ops"), realm="ops")
    wanted = ["BTCUSDT", "ETHUSDT", "XRPUSDT"]
    chosen = await olga.call("feed.set_symbols", wanted, if_version=0)

    async def is_told() -> bool:
        version: int = (await client.call("market.status"))["symbols_version"]
        return version == chosen["version"]

    await first_answer(reactor, is_told)
    said = await olga.call("feed.symbols")
    assert (said["symbols"], said["version"], said["by"]) == (wanted, chosen["version"], "olga")
    assert await olga.refusal(olga.call("feed.reset_symbols", if_version=0)) == "crosstick.error.changed_meanwhile"
    before = len(events)
    await until(reactor, lambda: len(events) > before + 10)
    ticks = [tick for _, tick, _ in events]
    assert all(follows(after, before["seq"]) for before, after in itertools.pairwise(ticks))
    status = await client.call("market.status")
    assert (status["epoch"], status["state"], status["missed_batches"]) == (epoch, "live", 0)
    metrics = node.metrics()
    assert metrics[("crosstick_bus_reconnects_total",)] == 1
    assert metrics[("crosstick_bus_missed_batches_total",)] == 0
    assert "Traceback" not in node.log
