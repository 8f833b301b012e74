"""``/ws/trade`` at a real node: what is asked for and what comes, who is let in, and that no token gets into the log."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from components.free_ports import free_port
from tests.harness.node import Node, component
from tests.harness.plain import Closed, PlainClient, is_event
from tests.harness.wire import frame

SYMBOLS = "BTCUSDT,ETHUSDT,SOLUSDT"


def shape(config: dict[str, Any]) -> None:
    component(config, "market-gatekeeper")["extra"] = {
        "limits": {
            "tiers": {
                "small": {"max_subscriptions": 2, "messages_per_s": 1, "messages_burst": 8, "refusals_burst": 5},
                "alone": {"max_sessions_per_authid": 1},
                "none": {"max_sessions": 1},
                "two": {"max_subscriptions": 2},
            }
        }
    }
    config["workers"][0]["transports"][1]["paths"]["ws"]["paths"]["trade"]["extra"]["options"]["compression"] = {
        "deflate": {}
    }


@pytest.fixture(scope="module")
def trading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    environ = {"CROSSTICK_SIMULATOR_PORT": str(free_port()), "CROSSTICK_SYMBOLS": SYMBOLS}
    node = Node(tmp_path_factory.mktemp("plain"), environ, change_config=shape)
    node.start()
    yield node
    node.stop()


@pytest.fixture
def client(trading: Node) -> Iterator[PlainClient]:
    with PlainClient(trading) as opened:
        opened.open(f"token={trading.token('alice')}")
        assert opened.status == 101
        yield opened


def test_the_program_of_a_browser_gets_its_prices(client: PlainClient) -> None:
    client.ask("subscribe", symbols=["BTCUSDT", "ETHUSDT"])
    subscribed = client.next()
    epoch = subscribed.pop("epoch")
    assert subscribed == {"type": "subscribed", "symbols": ["BTCUSDT", "ETHUSDT"], "streams": ["tick"]}
    ticks = [client.next() for _ in range(40)]
    assert {tick["symbol"] for tick in ticks} == {"BTCUSDT", "ETHUSDT"}
    for symbol in ("BTCUSDT", "ETHUSDT"):
        of_symbol = [tick for tick in ticks if tick["symbol"] == symbol]
        assert all(after["seq"] == before["seq"] + after.get("merged", 1) for before, after in pairwise(of_symbol))
        # The exchange's digits, with their zeros.
        assert all(len(tick["price"].partition(".")[2]) == 8 for tick in of_symbol)
    assert client.reply("status", id=1)["epoch"] == epoch


def test_events_are_the_bytes_that_wamp_clients_get(trading: Node, client: PlainClient) -> None:
    client.ask("subscribe", symbols=["SOLUSDT"])
    client.until(is_event)
    _, _, snapshot = trading.get("/api/ticks/SOLUSDT?token=" + trading.token("bob"))
    found = client.next_frame()
    assert found is not None
    tick, other = json.loads(found[1]), json.loads(snapshot)
    assert list(tick) == list(other.get("tick", other))


def test_streams_and_rates_are_told_apart(client: PlainClient) -> None:
    reply = client.reply("subscribe", id=1, symbols=["BTCUSDT"], streams=["book"])
    assert reply.pop("epoch") > 0
    assert reply == {"type": "subscribed", "id": 1, "symbols": ["BTCUSDT"], "streams": ["book"]}
    assert all("bid" in client.next() for _ in range(3))
    assert client.reply("unsubscribe", id="2", symbols="*")["symbols"] == ["BTCUSDT"]
    reply = client.reply("subscribe", id="2a", symbols=["BTCUSDT"], streams=["tick", "book", "day"])
    assert reply["streams"] == ["tick", "book", "day"]
    days = [client.until(lambda each: "quote_volume" in each)[-1] for _ in range(2)]
    assert days[1]["seq"] == days[0]["seq"] + 1
    assert all(len(days[1][name].partition(".")[2]) == 8 for name in ("last", "open", "high", "low", "volume"))
    assert client.reply("unsubscribe", id="2b", symbols=["BTCUSDT"])["streams"] == ["tick", "book", "day"]
    reply = client.reply("subscribe", id=3, symbols=["BTCUSDT"], every_ms=100)
    assert reply["every_ms"] == 100
    slow = [client.next() for _ in range(3)]
    assert all(after["seq"] == before["seq"] + after.get("merged", 1) for before, after in pairwise(slow))
    assert client.reply("subscribe", id=4, symbols=["BTCUSDT"], every_ms=7)["code"] == "wamp.error.invalid_argument"
    client.ask("subscribe", id=5, symbols=["BTCUSDT"], streams=["book"], every_ms=100)
    assert client.until(lambda each: each.get("id") == 5)[-1]["code"] == "wamp.error.invalid_argument"


def test_another_rate_replaces_the_one_before(trading: Node) -> None:
    with PlainClient(trading) as client:
        # There is room for two subscriptions.
        client.open(f"token={trading.token('alice', tier='two')}")
        client.reply("subscribe", id=1, symbols=["BTCUSDT", "ETHUSDT"], every_ms=1000)
        client.reply("subscribe", id=2, symbols=["BTCUSDT"])
        merged = [each for each in (client.next() for _ in range(60)) if each["symbol"] == "BTCUSDT"]
        assert all(after["seq"] == before["seq"] + after.get("merged", 1) for before, after in pairwise(merged))
        assert client.reply("subscribe", id=3, symbols=["BTCUSDT", "ETHUSDT"], every_ms=100)["every_ms"] == 100
        ticks = [client.next() for _ in range(20)]
        for symbol in ("BTCUSDT", "ETHUSDT"):
            of_symbol = [tick for tick in ticks if tick["symbol"] == symbol]
            assert len(of_symbol) > 2
            assert all(after["seq"] == before["seq"] + after.get("merged", 1) for before, after in pairwise(of_symbol))
        assert client.reply("unsubscribe", id=4, symbols="*", every_ms=1000)["symbols"] == []
        assert client.reply("unsubscribe", id=5, symbols="*")["symbols"] == ["BTCUSDT", "ETHUSDT"]


def test_what_is_followed_twice_comes_once(client: PlainClient) -> None:
    client.reply("subscribe", id=1, symbols=["ETHUSDT"])
    client.reply("subscribe", id=2, symbols="*")
    client.reply("subscribe", id=3, symbols=["ETHUSDT"])
    ticks = [each for each in (client.next() for _ in range(60)) if each["symbol"] == "ETHUSDT"]
    assert ticks
    assert all(after["seq"] == before["seq"] + after.get("merged", 1) for before, after in pairwise(ticks))


def test_nothing_comes_of_what_is_not_followed_any_more(client: PlainClient) -> None:
    client.reply("subscribe", id=1, symbols="*", streams=["tick", "book"])
    client.until(is_event)
    reply = client.reply("unsubscribe", id=2, symbols=["BTCUSDT", "SOLUSDT"])
    assert reply == {
        "type": "unsubscribed",
        "id": 2,
        "symbols": ["BTCUSDT", "SOLUSDT"],
        "streams": ["tick", "book", "day"],
    }
    assert {client.next()["symbol"] for _ in range(40)} == {"ETHUSDT"}
    assert client.reply("unsubscribe", id=3, symbols="*")["symbols"] == ["ETHUSDT"]
    # What had been published before comes before the reply, and behind it nothing.
    client.ask("ping")
    assert client.next()["type"] == "pong"


def test_list_status_and_ping_are_answered(client: PlainClient) -> None:
    assert client.reply("list", id=1) == {"type": "symbols", "id": 1, "symbols": SYMBOLS.split(",")}
    status = client.reply("status", id="x" * 64)
    assert (status["type"], status["state"], status["symbols"]) == ("status", "live", 3)
    assert set(client.reply("ping", id=-5)) == {"type", "id", "time"}


@pytest.mark.parametrize("query", ["", "&batched=1"])
def test_the_status_may_be_followed(trading: Node, query: str) -> None:
    with PlainClient(trading) as client:
        client.open(f"token={trading.token('alice')}{query}")
        client.ask("subscribe", id=1, symbols=[], streams=["status"])
        subscribed = client.next()
        assert (subscribed["type"], subscribed["symbols"], subscribed["streams"]) == ("subscribed", [], ["status"])
        now = client.next()
        assert (now["type"], now["state"], now["epoch"]) == ("status", "live", subscribed["epoch"])
        trading.make_fault("cut")
        states = [client.next()["state"] for _ in range(2)]
        assert states[0] != "live"
        client.reply("subscribe", id=2, symbols=["BTCUSDT"])
        assert client.reply("unsubscribe", id=3, symbols="*")["symbols"] == ["BTCUSDT"]
        trading.make_fault("cut")
        client.until(lambda each: each["type"] == "status" and each["state"] == "live")
        assert client.reply("unsubscribe", id=4, symbols=[], streams=["status"])["streams"] == ["status"]


@pytest.mark.parametrize(
    ("text", "code", "request_id"),
    [
        ("{", "crosstick.error.invalid_message", None),
        ("[]", "crosstick.error.invalid_message", None),
        ("[" * 60_000, "crosstick.error.invalid_message", None),
        ('{"type":"buy","id":1}', "crosstick.error.invalid_message", 1),
        ('{"type":"ping","id":2,"extra":0}', "crosstick.error.invalid_message", 2),
        ('{"type":"list","id":null,"extra":0}', "crosstick.error.invalid_message", None),
        ('{"type":"ping","id":"%s"}' % ("x" * 65), "crosstick.error.invalid_message", None),
        ('{"type":"subscribe","symbols":[],"id":3}', "crosstick.error.invalid_message", 3),
        ('{"type":"subscribe","symbols":["BTC USDT"],"id":4}', "crosstick.error.invalid_message", 4),
        ('{"type":"subscribe","symbols":["NONE"],"id":5}', "crosstick.error.unknown_symbol", 5),
        ('{"type":"unsubscribe","symbols":["NONE"],"id":6}', "crosstick.error.unknown_symbol", 6),
        ('{"type":"renew","token":"x","id":7}', "crosstick.error.authentication_failed", 7),
        ('{"type":"ping","id":"\\ud800"}', "crosstick.error.invalid_message", None),
    ],
)
def test_what_is_no_request_is_an_error_and_the_session_goes_on(
    client: PlainClient, text: str, code: str, request_id: object
) -> None:
    client.text(text)
    error = client.next()
    assert (error["type"], error["code"], error.get("id")) == ("error", code, request_id)
    assert len(error["message"]) <= 301
    assert client.reply("ping", id=9)["type"] == "pong"


def test_a_binary_frame_is_an_error(client: PlainClient) -> None:
    client.send(frame(0x82, b'{"type":"ping"}'))
    assert client.next()["code"] == "crosstick.error.invalid_message"


def test_requests_in_fragments_and_many_in_one_read_are_done_in_order(client: PlainClient) -> None:
    pings = [json.dumps({"type": "ping", "id": number}).encode() for number in range(50)]
    client.send(b"".join([frame(0x01, pings[0][:5]), frame(0x80, pings[0][5:])] + [frame(0x81, p) for p in pings[1:]]))
    assert [client.next()["id"] for _ in pings] == list(range(50))


def test_batched_frames_are_arrays(trading: Node) -> None:
    for query, headers, agreed in (
        (f"batched=1&token={trading.token('a')}", {}, None),
        (f"token={trading.token('a')}&batched=true", {}, None),
        (
            f"token={trading.token('a')}",
            {"Sec_WebSocket_Protocol": "x, crosstick.json.batched"},
            "crosstick.json.batched",
        ),
    ):
        with PlainClient(trading) as client:
            client.open(query, **headers)
            assert client.headers.get("sec-websocket-protocol") == agreed
            client.ask("subscribe", symbols="*", streams=["tick", "book"])
            first = client.messages()
            # The reply, and the newest of each behind it.
            assert first[0]["type"] == "subscribed"
            frames = [client.messages() for _ in range(20)]
            assert all(isinstance(each, list) and each for each in frames)
            assert max(map(len, frames)) > 1


def test_compressed_frames_are_there_for_who_offers_to_take_them(trading: Node) -> None:
    for batched in ("", "&batched=1"):
        with PlainClient(trading) as client:
            client.open(f"token={trading.token('a')}{batched}", Sec_WebSocket_Extensions="permessage-deflate")
            assert client.extensions.startswith("permessage-deflate")
            client.ask("subscribe", id=1, symbols="*")
            assert client.next()["type"] == "subscribed"
            assert {client.next()["symbol"] for _ in range(40)} == set(SYMBOLS.split(","))


def test_the_token_may_come_by_url_header_or_subprotocol(trading: Node) -> None:
    token = trading.token("alice")
    for query, headers, agreed in (
        ("", {"Authorization": f"Bearer {token}"}, None),
        ("", {"Sec_WebSocket_Protocol": f"bearer.{token}"}, f"bearer.{token}"),
        ("", {"Sec_WebSocket_Protocol": f"bearer.{token}, crosstick.json"}, "crosstick.json"),
    ):
        with PlainClient(trading) as client:
            client.open(query, **headers)
            assert (client.status, client.headers.get("sec-websocket-protocol")) == (101, agreed)
            assert client.reply("ping", id=1)["type"] == "pong"


def test_who_has_no_good_token_gets_a_401(trading: Node) -> None:
    good = trading.token("alice")
    for query, headers in (
        ("", {}),
        ("token=", {}),
        ("token=eyJhbGciOiJIUzI1NiJ9.e30.x", {}),
        (f"token={good}", {"Authorization": f"Bearer {good}"}),
        (f"token={trading.token('olga', 'operator', 'ops')}", {}),
        (f"token={good[:-2]}", {}),
        ("", {"Authorization": "Basic YTpi"}),
    ):
        with PlainClient(trading) as client:
            client.open(query, **headers)
            problem = json.loads(client.body)
            assert (client.status, problem["status"]) == (401, 401), query
            assert problem["type"] == "crosstick.error.authentication_failed"
            assert client.headers["content-type"] == "application/problem+json"
            assert client.headers["www-authenticate"].startswith("Bearer ")


def test_what_is_no_opening_is_a_problem_that_repeats_nothing_of_it(trading: Node) -> None:
    token = trading.token("alice")
    twice = f"bearer.{token}, bearer.{token}"
    invalid = "wamp.error.invalid_argument"
    for query, target, headers, status, kind in (
        (f"token={token}&secret=sesame", "GET /ws/trade", {}, 400, invalid),
        (f"token={token}&symbols=sesame", "GET /ws/trade", {}, 400, invalid),
        (f"token={token}&batched=sesame", "GET /ws/trade", {}, 400, invalid),
        (f"token={token}&batched=1&batched=1", "GET /ws/trade", {}, 400, invalid),
        (f"token={token}", "GET /ws/trade/sesame", {}, 404, "crosstick.error.not_found"),
        (f"token={token}", "POST /ws/trade", {}, 405, "crosstick.error.method_not_allowed"),
        ("", "GET /ws/trade", {"Sec_WebSocket_Protocol": twice}, 400, invalid),
        (f"token={token}", "GET /ws/trade", {"Sec_WebSocket_Protocol": "sesame, sesame"}, 400, invalid),
        (f"token={token}", "GET /ws/trade", {"Origin": "https://sesame.example"}, 403, "wamp.error.not_authorized"),
        (f"token={token}", "GET /ws/trade", {"Origin": "sesame"}, 400, invalid),
    ):
        with PlainClient(trading) as client:
            client.open(query, target=target, **headers)
            problem = json.loads(client.body)
            assert (client.status, problem["status"], problem["type"]) == (status, status, kind), (target, headers)
            assert client.headers["content-type"] == "application/problem+json"
            assert b"sesame" not in client.body
            assert b"eyJ" not in client.body


def test_a_full_realm_says_when_to_come_again(trading: Node) -> None:
    for tier, status in (("alone", 429), ("none", 503)):
        query = f"token={trading.token('alice', tier=tier)}"
        with PlainClient(trading) as first, PlainClient(trading) as second:
            assert first.open(query).status == 101
            second.open(query)
            assert (second.status, second.headers["retry-after"]) == (status, "5")
            assert json.loads(second.body)["type"] == "crosstick.error.limit_exceeded"


def test_entitlements_hold(trading: Node) -> None:
    with PlainClient(trading) as client:
        client.open(f"token={trading.token('alice', symbols=['BTC*'])}")
        assert client.reply("list", id=1)["symbols"] == ["BTCUSDT"]
        error = client.reply("subscribe", id=2, symbols=["BTCUSDT", "ETHUSDT"])
        assert (error["code"], error["message"]) == ("crosstick.error.unknown_symbol", "unknown symbol ETHUSDT")
        assert client.reply("subscribe", id=3, symbols="*")["symbols"] == ["BTCUSDT"]
        assert {client.next()["symbol"] for _ in range(20)} == {"BTCUSDT"}


def test_limits_hold_and_who_goes_on_past_them_is_closed(trading: Node) -> None:
    with PlainClient(trading) as client:
        client.open(f"token={trading.token('alice', tier='small')}")
        error = client.reply("subscribe", id=1, symbols="*")
        assert (error["code"], error["limit"], error["value"]) == (
            "crosstick.error.limit_exceeded",
            "max_subscriptions",
            2,
        )
        # Two symbols count as two messages.
        assert client.reply("subscribe", id=2, symbols=["BTCUSDT", "ETHUSDT"])["type"] == "subscribed"
        for number in range(30):
            client.ask("ping", id=number)
        said: list[dict[str, Any]] = []
        with pytest.raises(Closed) as closed:
            client.until(lambda each: bool(said.append(each)))
        assert (closed.value.code, closed.value.reason) == (4006, "crosstick.close.limit_exceeded")
        refused = [each for each in said if each.get("limit") == "messages_per_s"]
        assert refused
        assert refused[0]["id"] == len([each for each in said if each.get("type") == "pong"])
        assert (said[-1]["type"], said[-1]["code"]) == ("closing", "crosstick.close.limit_exceeded")


def test_garbage_without_end_is_closed(trading: Node) -> None:
    with PlainClient(trading) as client:
        client.open(f"token={trading.token('alice', tier='small')}")
        for _ in range(10):
            client.text("nonsense")
        with pytest.raises(Closed) as closed:
            client.until(lambda each: each["type"] not in ("error", "closing"))
        assert closed.value.code == 4006


def sessions_become(node: Node, number: int) -> bool:
    """Tell whether so many sessions are counted, within a while."""
    for _ in range(200):
        if node.metrics()["crosstick_sessions", "market"] == number:
            return True
        time.sleep(0.05)
    return False


def test_the_sessions_are_counted_and_gone_when_their_connections_are(trading: Node) -> None:
    assert sessions_become(trading, 0)
    with PlainClient(trading) as client:
        client.open(f"token={trading.token('alice')}")
        client.reply("ping", id=1)
        assert sessions_become(trading, 1)
        client.close_frame(1000)
        assert client.close_code() == 1000
        client.rest()
    assert sessions_become(trading, 0)


def test_nothing_is_below_but_what_is_there(trading: Node) -> None:
    assert trading.get("/ws")[0] == 426
    status, headers, body = trading.get("/ws/trade")
    assert (status, headers["content-type"]) == (426, "application/problem+json")
    assert json.loads(body)["status"] == 426
    assert trading.get("/ws/other")[0] == 404
    assert trading.get("/ws/trade/other")[0] == 404
    assert trading.get("/ws/trade/")[0] == 426


def test_no_token_is_in_the_log(trading: Node) -> None:
    assert "eyJ" not in trading.log
    assert "Traceback" not in trading.log
    assert "ticket refused" in trading.log
