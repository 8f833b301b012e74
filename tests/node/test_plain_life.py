"""How plain sessions go on and end: another token, coming back, not reading, a token's end, the node's leaving; and streams."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest

from components.free_ports import free_port
from tests.harness.node import Node, component, with_limits
from tests.harness.plain import Closed, Object, PlainClient, is_event

SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]


TIERS = {
    "alone": {"max_sessions_per_authid": 1},
    "none": {"max_sessions": 1},
    "one": {"max_subscriptions": 1},
}


def shape(config: dict[str, Any]) -> None:
    component(config, "gateway")["extra"] = {
        "fanout": {"stall_timeout": 1, "send_buffer_bytes": 16_384, "replay": {"max_events_per_symbol": 300}}
    }
    with_limits(expiry_grace=0, tiers=TIERS)(config)


@pytest.fixture(scope="module")
def trading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    environ = {
        "CROSSTICK_SIMULATOR_PORT": str(free_port()),
        "CROSSTICK_SYMBOLS": ",".join(SYMBOLS),
        "CROSSTICK_RATE": "1000",
    }
    node = Node(tmp_path_factory.mktemp("plain"), environ, change_config=shape)
    node.start()
    yield node
    node.stop()


@contextmanager
def connected(node: Node, authid: str = "alice", query: str = "", **claims: Any) -> Iterator[PlainClient]:
    with PlainClient(node) as client:
        client.open(f"token={node.token(authid, **claims)}{query}")
        assert client.status == 101
        yield client


def of(objects: list[Object], symbol: str) -> list[Object]:
    return [each for each in objects if is_event(each) and each["symbol"] == symbol]


def assert_whole(ticks: list[Object], after_seq: int) -> None:
    """See to it that every number behind one is there, once."""
    for tick in ticks:
        assert tick["seq"] == after_seq + tick.get("merged", 1)
        after_seq = tick["seq"]


def test_another_token_goes_on_with_its_rights(trading: Node) -> None:
    with connected(trading, symbols=["BTC*", "ETH*"]) as client:
        assert client.reply("subscribe", id=1, symbols="*")["symbols"] == ["BTCUSDT", "ETHUSDT"]
        client.until(is_event)
        narrow = client.reply("renew", id=2, token=trading.token("alice", symbols=["BTC*"]))
        assert (narrow["type"], narrow["ended"]) == ("renewed", ["ETHUSDT"])
        assert narrow["expires"] > time.time()
        assert {client.next()["symbol"] for _ in range(30)} == {"BTCUSDT"}
        # Of all that is granted, what another token grants besides is followed from then on.
        wide = client.reply("renew", id=3, token=trading.token("alice"))
        assert "ended" not in wide
        assert {client.next()["symbol"] for _ in range(60)} == set(SYMBOLS)
        assert (
            client.reply("renew", id=4, token=trading.token("bob"))["code"] == "crosstick.error.authentication_failed"
        )


def test_a_gateway_that_is_a_moment_behind_catches_up_first(trading: Node) -> None:
    with connected(trading, "first") as first, connected(trading, "second") as second:
        epoch = first.reply("status", id=1)["epoch"]
        first.ask("subscribe", symbols=["BTCUSDT"])
        ahead = first.until(is_event)[-1]["seq"] + 40
        second.ask("resume", epoch=epoch, last={"BTCUSDT": ahead})
        assert second.next()["type"] == "resumed"
        assert_whole([second.next() for _ in range(20)], ahead)


@pytest.mark.parametrize("query", ["", "&batched=1"])
def test_who_comes_back_gets_what_was_missed_and_nothing_twice(trading: Node, query: str) -> None:
    with connected(trading, query=query) as client:
        client.ask("subscribe", symbols=SYMBOLS)
        seen = [client.next() for _ in range(100)]
        epoch = client.reply("status", id=1)["epoch"]
        last = {symbol: of(seen, symbol)[-1]["seq"] for symbol in SYMBOLS}
    time.sleep(0.3)
    with connected(trading, query=query) as client:
        client.ask("resume", id=7, epoch=epoch, last=last)
        assert client.next() == {"type": "resumed", "id": 7, "symbols": SYMBOLS, "epoch": epoch}
        got = [client.next() for _ in range(600)]
        for symbol in SYMBOLS:
            assert_whole(of(got, symbol), last[symbol])
        error = client.reply("resume", id=8, epoch=epoch, last=last)
        assert error["code"] == "wamp.error.invalid_argument"


def test_what_cannot_be_had_any_more_is_a_gap_in_its_place(trading: Node) -> None:
    with connected(trading) as client:
        epoch = client.reply("status", id=1)["epoch"]
        client.ask("subscribe", symbols=["BTCUSDT"])
        client.until(lambda each: is_event(each) and each["seq"] > 400)
    with connected(trading) as client:
        client.ask("resume", epoch=epoch, last={"BTCUSDT": 0})
        got = [client.next() for _ in range(400)]
        assert (got[0]["type"], got[1]["type"], got[1]["from_seq"]) == ("resumed", "gap", 1)
        assert got[1]["reason"] == "gone"
        assert_whole(of(got, "BTCUSDT"), got[1]["to_seq"])
    with connected(trading) as client:
        client.ask("resume", epoch=epoch - 1, last={"BTCUSDT": 41})
        got = [client.next() for _ in range(40)]
        assert got[1] == {"type": "gap", "symbol": "BTCUSDT", "from_seq": 42, "to_seq": None, "reason": "epoch"}
        assert_whole(of(got, "BTCUSDT")[1:], of(got, "BTCUSDT")[0]["seq"])


def test_who_is_ahead_of_the_gateway_begins_with_the_newest_and_other_symbols_go_on(trading: Node) -> None:
    with connected(trading) as client:
        epoch = client.reply("status", id=1)["epoch"]
        client.ask("subscribe", symbols=["ETHUSDT"])
        last = client.until(is_event)[-1]["seq"]
    ahead = 2**40
    gap = {"type": "gap", "symbol": "BTCUSDT", "from_seq": ahead + 1, "to_seq": None, "reason": "ahead"}
    with connected(trading) as client:
        client.ask("resume", epoch=epoch, last={"BTCUSDT": ahead, "ETHUSDT": last})
        got = [client.next() for _ in range(100)]
    query = f"symbols=BTCUSDT,ETHUSDT&resume={epoch}:BTCUSDT={ahead},ETHUSDT={last}&token={trading.token('alice')}"
    with EventStream(trading, query) as stream:
        streamed = [event[1] for _ in range(100) if (event := stream.next())]
    assert len(streamed) == 100
    for objects in (got, streamed):
        assert (objects[0]["type"], objects[1]) == ("resumed", gap)
        assert of(objects, "BTCUSDT")
        assert_whole(of(objects, "ETHUSDT"), last)


def test_a_session_ends_with_its_token(trading: Node) -> None:
    with connected(trading, ttl_s=2) as client:
        closing = client.next()
        assert (closing["type"], closing["code"]) == ("closing", "crosstick.close.token_expired")
        with pytest.raises(Closed) as closed:
            client.next()
    assert (closed.value.code, closed.value.reason) == (4004, "crosstick.close.token_expired")


def deaf(node: Node, request: bytes) -> socket.socket:
    """Return a connection that has sent a request and reads nothing."""
    quiet = socket.socket()
    # The kernel would else take megabytes for a client that does not read.
    quiet.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    quiet.connect(("127.0.0.1", node.port))
    quiet.sendall(request)
    return quiet


def cuts_become(node: Node, number: int) -> bool:
    for _ in range(200):
        if node.log.count("session closed: crosstick.close.stalled") >= number:
            return True
        time.sleep(0.1)
    return False


def test_who_does_not_read_is_cut_as_a_wamp_client_is(trading: Node) -> None:
    before = trading.log.count("session closed: crosstick.close.stalled")
    stream = f"GET /api/stream?symbols=*&streams=tick,book&token={trading.token('deaf')} HTTP/1.1\r\nHost: x\r\n\r\n"
    with connected(trading) as client, connected(trading, "quiet", "&batched=1") as batched:
        with deaf(trading, stream.encode()):
            for each in (client, batched):
                each._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
                each.ask("subscribe", symbols="*", streams=["tick", "book"])
            assert cuts_become(trading, before + 3)
        assert "Traceback" not in trading.log


# Server-sent events


class EventStream:
    """An answer of ``/api/stream``."""

    def __init__(self, node: Node, query: str, **headers: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=10)
        self._connection.request("GET", f"/api/stream?{query}", headers=headers)
        self.answer = self._connection.getresponse()

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def next(self) -> tuple[str, Object] | None:
        """Return the next event, its name and data; ``None`` at the end."""
        name = "message"
        while line := self.answer.readline():
            if line.startswith(b"event: "):
                name = line[7:-1].decode()
            elif line.startswith(b"data: "):
                return name, json.loads(line[6:], parse_float=str)
        return None


def test_a_stream_has_the_same_events(trading: Node) -> None:
    token = trading.token("alice")
    for query, headers in (
        (f"symbols=BTCUSDT,ETHUSDT&token={token}", {}),
        ("symbols=*", {"Authorization": f"Bearer {token}"}),
    ):
        with EventStream(trading, query, **headers) as stream:
            assert stream.answer.status == 200
            assert stream.answer.headers["Content-Type"] == "text/event-stream"
            first = stream.next()
            assert first is not None
            assert first[0] == "subscribed"
            events = [event for _ in range(100) if (event := stream.next())]
            assert {name for name, _ in events} == {"message"}
            for symbol in first[1]["symbols"]:
                ticks = of([each for _, each in events], symbol)
                assert all(after["seq"] == before["seq"] + after.get("merged", 1) for before, after in pairwise(ticks))


def test_a_stream_may_be_of_the_status_alone_or_beside_symbols(trading: Node) -> None:
    token = trading.token("alice")
    for query, symbols in (("streams=status", []), ("symbols=BTCUSDT&streams=tick,status", ["BTCUSDT"])):
        with EventStream(trading, f"{query}&token={token}") as stream:
            assert stream.answer.status == 200
            first = stream.next()
            assert first is not None
            assert (first[0], first[1]["symbols"]) == ("subscribed", symbols)
            found = stream.next()
            while found is not None and found[0] == "message":
                found = stream.next()
            assert found is not None
            assert (found[0], found[1]["type"], found[1]["epoch"]) == ("status", "status", first[1]["epoch"])


def test_a_stream_goes_on_where_one_was(trading: Node) -> None:
    token = trading.token("alice")
    with connected(trading) as client:
        epoch = client.reply("status", id=1)["epoch"]
    with EventStream(trading, f"symbols=BTCUSDT&token={token}") as stream:
        events = [event for _ in range(20) if (event := stream.next())]
    last = events[-1][1]["seq"]
    with EventStream(trading, f"symbols=BTCUSDT,ETHUSDT&resume={epoch}:BTCUSDT={last}&token={token}") as stream:
        events = [event for _ in range(200) if (event := stream.next())]
        assert [name for name, _ in events if name != "message"] == ["resumed", "subscribed"]
        assert_whole(of([each for _, each in events], "BTCUSDT"), last)


@pytest.mark.parametrize(
    ("query", "status", "kind"),
    [
        ("symbols=BTCUSDT", 401, "crosstick.error.authentication_failed"),
        ("symbols=BTCUSDT&token=x", 401, "crosstick.error.authentication_failed"),
        ("symbols=NONE&token={}", 404, "crosstick.error.unknown_symbol"),
        ("token={}", 400, "wamp.error.invalid_argument"),
        ("symbols=BTCUSDT&every_ms=7&token={}", 400, "wamp.error.invalid_argument"),
        ("symbols=BTCUSDT&every_ms=x&token={}", 400, "wamp.error.invalid_argument"),
        ("symbols=BTCUSDT&streams=x&token={}", 400, "wamp.error.invalid_argument"),
        ("symbols=&token={}", 400, "wamp.error.invalid_argument"),
        ("symbols=&streams=book&token={}", 400, "wamp.error.invalid_argument"),
        ("symbols=BTCUSDT&resume=x&token={}", 400, "wamp.error.invalid_argument"),
        ("symbols=BTCUSDT&resume=1:ETHUSDT=1&token={}", 400, "wamp.error.invalid_argument"),
        ("symbols=BTCUSDT&other=1&token={}", 400, "wamp.error.invalid_argument"),
    ],
)
def test_what_is_no_stream_is_a_problem(trading: Node, query: str, status: int, kind: str) -> None:
    with EventStream(trading, query.format(trading.token("alice"))) as stream:
        assert (stream.answer.status, json.loads(stream.answer.read())["type"]) == (status, kind)


def test_a_stream_brings_the_days_figures_too(trading: Node) -> None:
    with EventStream(trading, f"symbols=BTCUSDT&streams=book,day&token={trading.token('alice')}") as stream:
        assert stream.answer.status == 200
        while (event := stream.next()) is not None and "quote_volume" not in event[1]:
            assert "price" not in event[1]
    assert event is not None
    assert event[1]["symbol"] == "BTCUSDT"


def test_a_full_realm_has_no_streams(trading: Node) -> None:
    for tier, status in (("alone", 429), ("none", 503)):
        query = f"symbols=*&token={trading.token('full', tier=tier)}"
        with EventStream(trading, query) as first, EventStream(trading, query) as second:
            assert first.answer.status == 200
            assert (second.answer.status, second.answer.headers["Retry-After"]) == (status, "5")


def test_an_error_in_a_stream_is_no_event_that_browsers_take_for_a_lost_line(trading: Node) -> None:
    with EventStream(trading, f"symbols=*&token={trading.token('alice', tier='one')}") as stream:
        problem = stream.next()
        assert problem is not None
        assert (problem[0], problem[1]["type"], problem[1]["limit"]) == ("problem", "error", "max_subscriptions")
        assert stream.next() is None


def test_a_stream_ends_with_its_token_and_says_so(trading: Node) -> None:
    with EventStream(trading, f"symbols=BTCUSDT&every_ms=1000&token={trading.token('alice', ttl_s=2)}") as stream:
        events = []
        while (event := stream.next()) is not None:
            events.append(event)
    assert (events[-1][0], events[-1][1]["code"]) == ("closing", "crosstick.close.token_expired")


def test_no_session_is_left_of_those_that_have_gone(trading: Node) -> None:
    for _ in range(100):
        left = trading.metrics()["crosstick_sessions", "market"]
        if not left:
            break
        time.sleep(0.1)
    assert not left
    assert trading.metrics()["crosstick_active_connections", "public"] == 0
    assert "eyJ" not in trading.log
    assert "Traceback" not in trading.log
    assert "failure" not in trading.log.lower()


def test_a_node_that_leaves_says_so(trading: Node) -> None:
    """The last of this module: the node ends."""
    with (
        connected(trading) as client,
        EventStream(trading, f"symbols=BTCUSDT&token={trading.token('bob')}") as stream,
    ):
        client.ask("subscribe", symbols=["BTCUSDT"])
        client.until(is_event)
        trading.stop()
        with pytest.raises((Closed, AssertionError)):
            client.until(lambda each: False)
        while stream.next() is not None:
            pass
