"""Topics and procedures of a real node on the simulated exchange."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
import pytest_twisted
from autobahn.wamp.types import PublishOptions
from twisted.internet import reactor

from tests.harness.client import Client, Clients, first_answer, follows, until
from tests.harness.node import Node


async def viewer(node: Node, clients: Clients, **claims: Any) -> Client:
    return await clients.join(node.ws_url, authid="v", ticket=node.token("v", **claims))


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
async def test_a_hundred_symbols_tick_without_a_hole(node: Node, clients: Clients, serializer: str) -> None:
    client = await clients.join(node.ws_url, authid="v", ticket=node.token("v"), serializer=serializer)
    received = await client.events("market.", "prefix")
    ticks: dict[str, list[dict[str, Any]]] = {}
    books: dict[str, list[dict[str, Any]]] = {}
    days: dict[str, list[dict[str, Any]]] = {}
    taken = 0

    def enough() -> bool:
        nonlocal taken
        for topic, argument, _ in received[taken:]:
            if topic.endswith(".book"):
                books.setdefault(topic, []).append(argument)
            elif topic.endswith(".day"):
                days.setdefault(topic, []).append(argument)
            elif topic != "market.status":
                ticks.setdefault(topic, []).append(argument)
        taken = len(received)
        return len(ticks) >= 100 and len(books) >= 100 and bool(days)

    await until(reactor, enough)
    for stream in (ticks, books, days):
        for topic, arguments in stream.items():
            for before, argument in pairwise(arguments):
                assert follows(argument, before["seq"]), topic
    tick = next(iter(ticks.values()))[0]
    assert list(tick) == ["symbol", "price", "volume", "side", "ts", "id", "seq"]
    book = next(iter(books.values()))[0]
    assert list(book) == ["symbol", "bid", "bid_volume", "ask", "ask_volume", "received_ts", "id", "seq"]


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("serializer", ["json", "msgpack"])
async def test_the_days_figures_come_each_second_and_fit_together(
    node: Node, clients: Clients, serializer: str
) -> None:
    client = await clients.join(
        node.ws_url, authid="v", ticket=node.token("v", symbols=["BTC*"]), serializer=serializer
    )

    async def figures() -> Any:
        return (await client.call("market.snapshot", ["BTCUSDT"]))["symbols"]["BTCUSDT"]["day"]

    await first_answer(reactor, figures)
    received = await client.events("market.BTCUSDT.day", retained=True)
    await until(reactor, lambda: len(received) > 1)
    assert [retained for _, _, retained in received[:2]] == [True, False]
    before, day = received[0][1], received[1][1]
    assert list(day) == ["symbol", "last", "open", "high", "low", "volume", "quote_volume", "ts", "seq"]
    assert follows(day, before["seq"])
    assert day["ts"] > before["ts"]
    # Of MessagePack's numbers, those are text that no double prints.
    last, opened, high, low = (Decimal(str(day[name])) for name in ("last", "open", "high", "low"))
    assert low <= min(last, opened) <= max(last, opened) <= high
    for name in ("volume", "quote_volume"):
        assert Decimal(str(day[name])) > Decimal(str(before[name]))
    newest = (await client.call("market.snapshot", ["BTCUSDT"]))["symbols"]["BTCUSDT"]["day"]
    await until(reactor, lambda: newest in [argument for _, argument, _ in received])
    assert await client.refusal(client.events("market.SOLUSDT.day")) == "wamp.error.not_authorized"
    assert await client.refusal(client.events("market..day", "wildcard")) == "wamp.error.not_authorized"


@pytest_twisted.ensureDeferred
async def test_a_late_joiner_gets_the_last_tick_with_its_subscription(node: Node, clients: Clients) -> None:
    client = await viewer(node, clients)
    received = await client.events("market.BTCUSDT", retained=True)
    await until(reactor, lambda: len(received) > 1)
    assert received[0][2]
    assert not received[1][2]
    assert received[0][1]["symbol"] == "BTCUSDT"


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
async def test_a_retained_tick_and_the_stream_fit_together(node: Node, clients: Clients, serializer: str) -> None:
    client = await clients.join(node.ws_url, authid="v", ticket=node.token("v"), serializer=serializer)
    for _ in range(5):
        received = await client.events("market.BTCUSDT", retained=True)
        await until(reactor, lambda received=received: len(received) > 1)
        assert [retained for _, _, retained in received[:2]] == [True, False]
        assert follows(received[1][1], received[0][1]["seq"])


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
@pytest.mark.parametrize(
    ("uri", "match"), [("market.", "prefix"), ("market..book", "wildcard"), ("market..every_500ms", "wildcard")]
)
async def test_a_pattern_begins_with_the_newest_event_of_every_topic(
    node: Node, clients: Clients, serializer: str, uri: str, match: str
) -> None:
    client = await clients.join(node.ws_url, authid="v", ticket=node.token("v"), serializer=serializer)
    symbols = await client.call("market.symbols")
    await until_all_have_traded(client, symbols)
    received = await client.events(uri, match, retained=True)
    last_seq: dict[str, int] = {}
    await until(reactor, lambda: len(received) > 3 * len(symbols))
    snapshot = [topic for topic, _, retained in received if retained]
    assert len(set(snapshot)) == len(snapshot)
    assert len(snapshot) >= len(symbols)
    assert (f"market.{symbols[0]}.day" in snapshot) is (uri == "market.")
    assert ("market.status" in snapshot) is (uri == "market.")
    assert [retained for _, _, retained in received[: len(snapshot)]] == [True] * len(snapshot)
    for topic, argument, _ in received:
        if topic != "market.status":
            assert topic not in last_seq or follows(argument, last_seq[topic]), topic
            last_seq[topic] = argument["seq"]


async def until_all_have_traded(client: Client, symbols: list[str]) -> None:
    while True:
        snapshot = (await client.call("market.snapshot"))["symbols"]
        if all(all(snapshot[symbol].values()) for symbol in symbols):
            return


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
async def test_the_last_tick_comes_with_a_subscription_that_others_have_too_and_the_stream_follows_it(
    node: Node, clients: Clients, serializer: str
) -> None:
    before = await viewer(node, clients)
    await before.events("market.BTCUSDT", retained=True)
    client = await clients.join(node.ws_url, authid="v", ticket=node.token("v"), serializer=serializer)
    received = await client.events("market.BTCUSDT", retained=True)
    await until(reactor, lambda: len(received) > 2)
    assert [retained for _, _, retained in received[:3]] == [True, False, False]
    assert all(follows(after[1], before[1]["seq"]) for before, after in pairwise(received))


@pytest_twisted.ensureDeferred
async def test_a_snapshot_and_the_stream_fit_together(node: Node, clients: Clients) -> None:
    client = await viewer(node, clients)
    received = await client.events("market.BTCUSDT")
    await until(reactor, lambda: len(received) > 0)
    snapshot = await client.call("market.snapshot", ["BTCUSDT"])
    last = snapshot["symbols"]["BTCUSDT"]["tick"]
    await until(reactor, lambda: any(argument["seq"] > last["seq"] for _, argument, _ in received))
    assert last in [argument for _, argument, _ in received]
    assert snapshot["epoch"] == (await client.call("market.status"))["epoch"]


@pytest_twisted.ensureDeferred
async def test_the_market_names_its_symbols_and_its_state(node: Node, clients: Clients) -> None:
    client = await viewer(node, clients)
    symbols = await client.call("market.symbols")
    assert len(symbols) >= 100
    assert "BTCUSDT" in symbols
    status = await client.call("market.status")
    assert (status["state"], status["symbols"], status["stale"], status["stale_symbols"]) == (
        "live",
        len(symbols),
        0,
        [],
    )
    assert len((await client.call("market.snapshot"))["symbols"]) == len(symbols)


@pytest_twisted.ensureDeferred
async def test_the_status_is_there_for_who_subscribes_to_it(node: Node, clients: Clients) -> None:
    client = await viewer(node, clients)
    received = await client.events("market.status", retained=True)
    await until(reactor, lambda: len(received) > 0)
    assert received[0][1]["state"] == "live"


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    ("symbols", "uri"),
    [
        (["NOPE"], "crosstick.error.unknown_symbol"),
        (["BTCUSDT", "x" * 1000], "wamp.error.invalid_argument"),
        (["BTC.USDT"], "wamp.error.invalid_argument"),
        ("BTCUSDT", "wamp.error.invalid_argument"),
        ([1], "wamp.error.invalid_argument"),
        ({"BTCUSDT": 1}, "wamp.error.invalid_argument"),
        (["BTCUSDT"] * 2001, "wamp.error.invalid_argument"),
    ],
)
async def test_a_snapshot_of_nonsense_is_a_clear_error(node: Node, clients: Clients, symbols: object, uri: str) -> None:
    client = await viewer(node, clients)
    assert await client.refusal(client.call("market.snapshot", symbols)) == uri


@pytest_twisted.ensureDeferred
async def test_a_wrong_number_of_arguments_is_a_clear_error(node: Node, clients: Clients) -> None:
    client = await viewer(node, clients)
    invalid = "wamp.error.invalid_argument"
    assert await client.refusal(client.call("market.symbols", 1)) == invalid
    assert await client.refusal(client.call("market.status", now=True)) == invalid
    assert await client.refusal(client.call("market.snapshot", ["BTCUSDT"], 2)) == invalid
    assert await client.refusal(client.call("market.snapshot", symbol="BTCUSDT")) == invalid
    assert "Traceback" not in node.log


@pytest_twisted.ensureDeferred
async def test_a_service_may_not_leave_events_in_the_routers_memory(node: Node, clients: Clients) -> None:
    service = await clients.join(node.ws_url, authid="quotes", ticket=node.token("quotes", "service"))
    for options in ({"retain": True}, {"retain": True, "eligible_authid": ["x"]}):
        publishing = service.publish("services.quotes.x", 1, options=PublishOptions(acknowledge=True, **options))
        assert await service.refusal(publishing) == "wamp.error.not_authorized"


@pytest_twisted.ensureDeferred
async def test_a_viewer_can_neither_publish_nor_register(node: Node, clients: Clients) -> None:
    client = await viewer(node, clients)
    acknowledged = PublishOptions(acknowledge=True)
    not_authorized = "wamp.error.not_authorized"
    for topic in ("market.BTCUSDT", "services.v.news"):
        assert await client.refusal(client.publish(topic, {}, options=acknowledged)) == not_authorized
    for procedure in ("market.mine", "services.v.mine", "crosstick.mine"):
        assert await client.refusal(client.register(lambda: None, procedure)) == not_authorized
    assert await client.refusal(client.call("crosstick.bus.push", b"")) == not_authorized
    assert await client.refusal(client.call("wamp.session.list")) == not_authorized


@pytest_twisted.ensureDeferred
async def test_a_ticket_for_some_symbols_shows_no_others(node: Node, clients: Clients) -> None:
    client = await viewer(node, clients, symbols=["BTC*", "ETHUSDT"])
    symbols = await client.call("market.symbols")
    assert {"BTCUSDT", "ETHUSDT"} <= set(symbols)
    assert "SOLUSDT" not in symbols
    assert list((await client.call("market.snapshot"))["symbols"]) == symbols
    unknown = "crosstick.error.unknown_symbol"
    assert await client.refusal(client.call("market.snapshot", ["SOLUSDT"])) == unknown
    for topic, match in (
        ("market.SOLUSDT", "exact"),
        ("market.SOLUSDT.book", "exact"),
        ("market.", "prefix"),
        ("market..book", "wildcard"),
    ):
        assert await client.refusal(client.events(topic, match)) == "wamp.error.not_authorized"
    received = await client.events("market.BTCUSDT")
    await until(reactor, lambda: len(received) > 0)


@pytest_twisted.ensureDeferred
async def test_a_service_is_reached_by_who_has_the_right_only(node: Node, clients: Clients) -> None:
    service = await clients.join(node.ws_url, authid="quotes", ticket=node.token("quotes", "service"))
    entitled = await viewer(node, clients, services=["quotes"])
    other = await viewer(node, clients)
    await service.register(lambda symbol: f"vwap of {symbol}", "services.quotes.vwap")
    assert await entitled.call("services.quotes.vwap", "BTCUSDT") == "vwap of BTCUSDT"
    received = await entitled.events("services.quotes.vwap.BTCUSDT")
    await service.publish("services.quotes.vwap.BTCUSDT", {"vwap": 1}, options=PublishOptions(acknowledge=True))
    await until(reactor, lambda: len(received) > 0)
    not_authorized = "wamp.error.not_authorized"
    assert await other.refusal(other.call("services.quotes.vwap", "BTCUSDT")) == not_authorized
    assert await other.refusal(other.events("services.quotes.vwap.BTCUSDT")) == not_authorized
    assert await service.refusal(service.register(lambda: None, "services.risk.limit")) == not_authorized


def test_health_and_readiness_are_told_by_http(node: Node) -> None:
    status, headers, body = node.get("/healthz")
    assert (status, headers["content-type"], body) == (200, "application/json", b'{"alive": true}\n')
    assert node.ready() == (True, [])
