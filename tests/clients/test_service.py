"""`clients/service/quotes.py`: a backend service, and who may use it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable

import pytest_twisted
from autobahn.wamp.types import PublishOptions
from twisted.internet import reactor

from tests.clients.command import QUOTES, Command
from tests.clients.line import Line
from tests.harness.client import Client, Clients, until
from tests.harness.node import Node

NOT_AUTHORIZED = "wamp.error.not_authorized"


@pytest_twisted.async_yield_fixture
async def quotes(node: Node, line: Line, run: Callable[..., Command]) -> AsyncIterator[Command]:
    """Return the service, running at the end of a line that may be cut."""
    service = run(QUOTES, url=line.ws_url, token=node.token("quotes", role="service"))
    await service.until(lambda: "live" in service.said)
    yield service


async def viewer(node: Node, clients: Clients, **claims: list[str]) -> Client:
    return await clients.join(node.ws_url, authid="alice", ticket=node.token("alice", **claims))


@pytest_twisted.ensureDeferred
async def test_a_viewer_with_the_right_calls_the_service_and_receives_its_events(
    node: Node, quotes: Command, clients: Clients
) -> None:
    client = await viewer(node, clients, services=["quotes"])
    received = await client.events("services.quotes.vwap.BTCUSDT")
    await until(reactor, lambda: len(received) >= 2)
    assert set(received[0][1]) == {"symbol", "vwap", "volume", "ticks"}
    answer = await client.call("services.quotes.vwap", "BTCUSDT")
    snapshot = await client.call("market.snapshot", ["BTCUSDT"])
    price = snapshot["symbols"]["BTCUSDT"]["tick"]["price"]
    assert answer["symbol"] == "BTCUSDT"
    assert abs(float(answer["vwap"]) - price) < price * 0.05
    # The exchange's eight decimals are all there, behind the router too.
    assert re.fullmatch(r"\d+\.\d{8}", answer["vwap"])
    assert re.fullmatch(r"\d+\.\d{8}", answer["volume"])
    assert 1 <= answer["ticks"] <= 200


@pytest_twisted.ensureDeferred
async def test_a_viewer_without_the_right_is_refused(node: Node, quotes: Command, clients: Clients) -> None:
    for claims in ({}, {"services": ["orders"]}):
        client = await viewer(node, clients, **claims)
        assert await client.refusal(client.call("services.quotes.vwap", "BTCUSDT")) == NOT_AUTHORIZED
        assert await client.refusal(client.events("services.quotes.vwap.BTCUSDT")) == NOT_AUTHORIZED
        assert await client.refusal(client.events("services.quotes.", "prefix")) == NOT_AUTHORIZED


@pytest_twisted.ensureDeferred
async def test_a_viewer_can_neither_register_nor_publish_as_a_service(node: Node, clients: Clients) -> None:
    client = await viewer(node, clients, services=["*"])
    assert await client.refusal(client.register(lambda: None, "services.alice.vwap")) == NOT_AUTHORIZED
    acknowledged = PublishOptions(acknowledge=True)
    publication = client.publish("services.quotes.vwap.BTCUSDT", {}, options=acknowledged)
    assert await client.refusal(publication) == NOT_AUTHORIZED


@pytest_twisted.ensureDeferred
async def test_a_service_can_neither_register_nor_publish_under_another_name(node: Node, clients: Clients) -> None:
    orders = await clients.join(node.ws_url, authid="orders", ticket=node.token("orders", role="service"))
    assert await orders.refusal(orders.register(lambda: None, "services.quotes.vwap")) == NOT_AUTHORIZED
    acknowledged = PublishOptions(acknowledge=True)
    publication = orders.publish("services.quotes.vwap.BTCUSDT", {}, options=acknowledged)
    assert await orders.refusal(publication) == NOT_AUTHORIZED


@pytest_twisted.ensureDeferred
async def test_the_service_says_what_is_wrong_with_a_call(node: Node, quotes: Command, clients: Clients) -> None:
    client = await viewer(node, clients, services=["quotes"])
    name = "services.quotes.vwap"
    assert await client.refusal(client.call(name, "NOSUCH")) == "services.quotes.error.unknown_symbol"
    for arguments, keywords in (((), {}), ((5,), {}), (("BTCUSDT", "ETHUSDT"), {}), ((), {"symbol": "BTCUSDT"})):
        assert await client.refusal(client.call(name, *arguments, **keywords)) == "wamp.error.invalid_argument"
    assert quotes.said.split() == ["connecting", "live"]


@pytest_twisted.ensureDeferred
async def test_the_service_is_back_after_a_cut(node: Node, line: Line, quotes: Command, clients: Clients) -> None:
    client = await viewer(node, clients, services=["quotes"])
    received = await client.events("services.quotes.vwap.BTCUSDT")
    await until(reactor, lambda: len(received) >= 1)
    await line.cut()
    await quotes.until(lambda: "lost: " in quotes.said)
    line.mend()
    await quotes.until(lambda: quotes.said.count("live") == 2)
    received.clear()
    await until(reactor, lambda: len(received) >= 1)
    assert (await client.call("services.quotes.vwap", "BTCUSDT"))["ticks"] >= 1


@pytest_twisted.ensureDeferred
async def test_a_token_without_the_role_ends_the_service_with_one_clear_line(
    node: Node, run: Callable[..., Command]
) -> None:
    service = run(QUOTES, url=node.ws_url, token=node.token("quotes", role="viewer"))
    assert await service.ended == 2
    assert service.said.splitlines()[-1].startswith("refused: wamp.error.not_authorized")
