"""Ticks at a rate from a real node on the simulated exchange."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import pytest_twisted
from autobahn.wamp.types import SubscribeOptions
from twisted.internet import reactor

from tests.harness.client import Clients, follows, until
from tests.harness.node import Node

NOT_AUTHORIZED = "wamp.error.not_authorized"


def volume(ticks: list[dict[str, Any]]) -> Decimal:
    return sum((Decimal(str(tick["volume"])) for tick in ticks), Decimal(0))


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
async def test_volumes_at_a_rate_are_those_of_the_trades(node: Node, clients: Clients, serializer: str) -> None:
    client = await clients.join(node.ws_url, authid="v", ticket=node.token("v"), serializer=serializer)
    trades = await client.events("market.BTCUSDT")
    await until(reactor, lambda: len(trades) > 1)
    merged = await client.events("market.BTCUSDT.every_500ms", retained=True)
    await until(reactor, lambda: len(merged) >= 4 and trades[-1][1]["seq"] >= merged[-1][1]["seq"])
    by_seq = {tick["seq"]: tick for _, tick, _ in trades}
    assert [retained for _, _, retained in merged[:2]] == [True, False]
    last_seq = merged[0][1]["seq"]
    for _, tick, _ in merged[1:]:
        assert follows(tick, last_seq)
        stood_for = [by_seq[seq] for seq in range(last_seq + 1, tick["seq"] + 1)]
        assert volume([tick]) == volume(stood_for)
        last_seq = tick["seq"]
    assert any(tick.get("merged", 1) > 1 for _, tick, _ in merged)


@pytest_twisted.ensureDeferred
async def test_nothing_is_made_after_the_last_subscription_has_ended(node: Node, clients: Clients) -> None:
    client = await clients.join(node.ws_url, authid="v", ticket=node.token("v"))
    trades = await client.events("market.ETHUSDT")
    received: list[dict[str, Any]] = []
    subscription = await client.subscribe(received.append, "market.ETHUSDT.every_100ms")
    await until(reactor, lambda: len(received) > 0)
    await subscription.unsubscribe()
    last_made, seen = received[-1], len(trades)
    await until(reactor, lambda: len(trades) > seen + 2)
    # What was made would be what a late joiner is given; the newest trade is, where the topic begins anew.
    joined: list[dict[str, Any]] = []
    await client.subscribe(joined.append, "market.ETHUSDT.every_100ms", options=SubscribeOptions(get_retained=True))
    await until(reactor, lambda: len(joined) > 1)
    assert received[-1] == last_made
    assert joined[0]["seq"] > last_made["seq"]
    assert joined[0] in [tick for _, tick, _ in trades]
    assert follows(joined[1], joined[0]["seq"])


@pytest_twisted.ensureDeferred
async def test_patterns_get_ticks_at_a_rate_where_they_name_it(node: Node, clients: Clients) -> None:
    client = await clients.join(node.ws_url, authid="v", ticket=node.token("v"))
    everything = await client.events("market.", "prefix")
    wildcard = await client.events("market..every_1s", "wildcard")
    prefix = await client.events("market.SOLUSDT.every_", "prefix")
    await until(reactor, lambda: len({topic for topic, _, _ in wildcard}) > 50)
    await until(reactor, lambda: len({topic for topic, _, _ in prefix}) == 3)
    assert {topic.rpartition(".")[2] for topic, _, _ in wildcard} == {"every_1s"}
    assert {topic for topic, _, _ in prefix} == {f"market.SOLUSDT.every_{rate}" for rate in ("100ms", "500ms", "1s")}
    assert not [topic for topic, _, _ in everything if ".every_" in topic]


@pytest_twisted.ensureDeferred
async def test_a_rate_is_granted_for_the_symbols_of_the_ticket(node: Node, clients: Clients) -> None:
    client = await clients.join(node.ws_url, authid="v", ticket=node.token("v", symbols=["BTCUSDT", "ETH*"]))
    for topic, match in (
        ("market.SOLUSDT.every_1s", "exact"),
        ("market.BTCUSDTX.every_1s", "exact"),
        ("market.BTCUSDT.every_7ms", "exact"),
        ("market.BTCUSDT.every_", "prefix"),
        ("market..every_1s", "wildcard"),
    ):
        assert await client.refusal(client.events(topic, match)) == NOT_AUTHORIZED
    for topic in ("market.BTCUSDT.every_1s", "market.ETHUSDT.every_100ms"):
        received = await client.events(topic)
        await until(reactor, lambda received=received: len(received) > 0)


@pytest_twisted.ensureDeferred
async def test_a_rate_that_there_is_not_is_refused_to_all(node: Node, clients: Clients) -> None:
    client = await clients.join(node.ws_url, authid="o", ticket=node.token("o", "operator"))
    for topic, match in (
        ("market.BTCUSDT.every_7ms", "exact"),
        ("market..every_7ms", "wildcard"),
        ("market.BTCUSDT.every_7", "prefix"),
    ):
        assert await client.refusal(client.events(topic, match)) == NOT_AUTHORIZED
