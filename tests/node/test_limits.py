"""Each limit of a gatekeeper on a running node: what is just below passes, what is just above is refused by name, and
nobody else notices.

Each row has a tier of its own, so that one node serves them all. Rates are so low that only the burst counts.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import pytest_twisted
from autobahn.wamp import ApplicationError
from autobahn.wamp.types import PublishOptions
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.threads import deferToThread

from components.free_ports import free_port
from tests.harness.client import Client, Clients, Refused, follows, until
from tests.harness.node import Node, component, with_limits

LIMIT_EXCEEDED = "crosstick.error.limit_exceeded"
SELDOM = 0.001
"""A rate that brings nothing while a test lasts."""

TIERS: dict[str, dict[str, Any]] = {
    "sessions": {"max_sessions": 2},
    "authid": {"max_sessions_per_authid": 2},
    "address": {"max_sessions_per_address": 2},
    "subscriptions": {"max_subscriptions": 3},
    "patterns": {"max_pattern_subscriptions": 2},
    "registrations": {"max_registrations": 2},
    "messages": {"messages_per_s": SELDOM, "messages_burst": 4},
    "publishes": {"publishes_per_s": SELDOM, "publishes_burst": 3},
    "calls": {"calls_per_s": SELDOM, "calls_burst": 3},
    "concurrent": {"max_concurrent_calls": 2},
    "bytes": {"max_message_bytes": 2048},
    "slow_message": {"message_timeout": 0.5},
    "abuse": {"max_subscriptions": 1, "refusals_per_s": SELDOM, "refusals_burst": 3},
    "flood": {"messages_per_s": SELDOM, "messages_burst": 20, "refusals_per_s": SELDOM, "refusals_burst": 3},
}


def let_operators_subscribe(config: dict[str, Any]) -> None:
    """Let operators in realm ``ops`` subscribe, which by themselves they may not do, to what nobody publishes."""
    ops = config["workers"][0]["realms"][1]
    operator = next(role for role in ops["roles"] if role["name"] == "operator")
    allow = {"call": False, "register": False, "publish": False, "subscribe": True}
    operator["permissions"].append({"uri": "notes.", "match": "prefix", "allow": allow})


@pytest.fixture(scope="module")
def rawsocket_port() -> int:
    """Return the port of the node's RawSocket transport."""
    return free_port()


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, rawsocket_port: int) -> Iterator[Node]:
    """Return a running node with a tier for each limit."""

    def change(config: dict[str, Any]) -> None:
        with_limits(max_sessions=60, authenticate_timeout=1.0, tiers=TIERS)(config)
        with_limits("ops", max_sessions=2, max_subscriptions=2, calls_per_s=SELDOM, calls_burst=3)(config)
        let_operators_subscribe(config)
        component(config, "listeners")["extra"]["listeners"]["public"]["hello_timeout"] = 1
        transports = config["workers"][0]["transports"]
        rawsocket = {
            "id": "rawsocket",
            "type": "rawsocket",
            "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": rawsocket_port},
            "serializers": ["json"],
            "auth": transports[1]["paths"]["ws"]["paths"]["/"]["auth"],
        }
        transports.append(rawsocket)

    node = Node(
        tmp_path_factory.mktemp("limited"),
        {"CROSSTICK_SIMULATOR_PORT": str(free_port())},
        change_config=change,
    )
    node.start()
    yield node
    node.stop()


class Bystander:
    """A session that follows the market while others meet their limits."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.last_seq: dict[str, int] = {}
        self.holes: list[str] = []

    async def watch(self) -> None:
        await self.client.subscribe(self._tick, "market.BTCUSDT")
        await self.client.subscribe(self._tick, "market.ETHUSDT")

    def _tick(self, tick: dict[str, Any]) -> None:
        symbol = tick["symbol"]
        if symbol in self.last_seq and not follows(tick, self.last_seq[symbol]):
            self.holes.append(f"{symbol}: {tick['seq']} after {self.last_seq[symbol]}")
        self.last_seq[symbol] = tick["seq"]


@pytest_twisted.async_yield_fixture
async def bystander(limited: Node, clients: Clients) -> Any:
    """Return a session that at the test's end has missed nothing and gets ticks still."""
    client = await clients.join(limited.ws_url, authid="bystander", ticket=limited.token("bystander"))
    bystander = Bystander(client)
    await bystander.watch()
    yield bystander
    seen = dict(bystander.last_seq)
    await until(reactor, lambda: bystander.last_seq.get("BTCUSDT", 0) > seen.get("BTCUSDT", 0))
    assert not bystander.holes
    assert limited.ready() == (True, [])


Join = Callable[..., Awaitable[Client]]


@pytest.fixture
def join(limited: Node, clients: Clients, bystander: Bystander) -> Join:
    """Return a function that joins with a tier."""

    def joined(tier: str, authid: str | None = None, role: str = "viewer", **options: Any) -> Awaitable[Client]:
        authid = authid or tier
        ticket = limited.token(authid, role, tier=tier)
        return clients.join(limited.ws_url, authid=authid, ticket=ticket, **options)

    return joined


async def refused(action: Awaitable[Any]) -> tuple[str, dict[str, Any]]:
    """Return error URI and kwargs of a request that is refused."""
    try:
        await action
    except ApplicationError as error:
        return str(error.error), dict(error.kwargs)
    raise AssertionError("was not refused")


async def refused_join(action: Awaitable[Any]) -> tuple[str, str]:
    """Return reason and text of a join that is refused."""
    with pytest.raises(Refused) as refusal:
        await action
    return refusal.value.uri, refusal.value.message


def exceeded(limit: str, value: float) -> tuple[str, dict[str, Any]]:
    """Return what a client is told."""
    return LIMIT_EXCEEDED, {"limit": limit, "value": value}


def join_ops(limited: Node, clients: Clients, authid: str) -> Awaitable[Client]:
    """Join the realm of operators, which has no gateway, but limits as every realm."""
    ticket = limited.token(authid, "operator", "ops")
    return clients.join(limited.ws_url, authid=authid, ticket=ticket, realm="ops")


async def left(client: Client) -> None:
    """Leave, and return when the router has let go of the session."""
    client.leave()
    await client.left


@pytest_twisted.ensureDeferred
async def test_max_sessions_of_a_tier(join: Join) -> None:
    first, _ = [await join("sessions", name) for name in ("s1", "s2")]
    assert await refused_join(join("sessions", "s3")) == (LIMIT_EXCEEDED, "max_sessions is 2")
    await left(first)
    await join("sessions", "s3")


@pytest_twisted.ensureDeferred
async def test_max_sessions_of_a_realm(limited: Node, clients: Clients) -> None:
    first, _ = [await join_ops(limited, clients, name) for name in ("o1", "o2")]
    third = join_ops(limited, clients, "o3")
    assert await refused_join(third) == (LIMIT_EXCEEDED, "max_sessions is 2")
    await left(first)
    await join_ops(limited, clients, "o3")


@pytest_twisted.ensureDeferred
async def test_calls_per_s_of_a_realm_without_a_gateway(limited: Node, clients: Clients) -> None:
    operator = await join_ops(limited, clients, "caller")
    for _ in range(3):
        assert await operator.call("auth.revocations") is not None
    assert await refused(operator.call("auth.revocations")) == exceeded("calls_per_s", SELDOM)
    # Another session has a burst of its own.
    assert await (await join_ops(limited, clients, "other")).call("auth.revocations") is not None


@pytest_twisted.ensureDeferred
async def test_max_subscriptions_of_a_realm_without_a_gateway(limited: Node, clients: Clients) -> None:
    operator = await join_ops(limited, clients, "reader")
    first, _ = [await operator.subscribe(lambda: None, topic) for topic in ("notes.a", "notes.b")]
    third = operator.subscribe(lambda: None, "notes.c")
    assert await refused(third) == exceeded("max_subscriptions", 2)
    # One that it has already is none more.
    await operator.subscribe(lambda: None, "notes.b")
    await first.unsubscribe()
    await operator.subscribe(lambda: None, "notes.c")


@pytest_twisted.ensureDeferred
async def test_max_sessions_per_authid(join: Join) -> None:
    first, _ = [await join("authid", "dora") for _ in range(2)]
    assert await refused_join(join("authid", "dora")) == (LIMIT_EXCEEDED, "max_sessions_per_authid is 2")
    await join("authid", "emil")
    await left(first)
    await join("authid", "dora")


@pytest_twisted.ensureDeferred
async def test_max_sessions_per_address(join: Join) -> None:
    for name in ("a1", "a2"):
        await join("address", name, bind="127.0.0.2")
    third = join("address", "a3", bind="127.0.0.2")
    assert await refused_join(third) == (LIMIT_EXCEEDED, "max_sessions_per_address is 2")
    await join("address", "a3", bind="127.0.0.3")


@pytest_twisted.ensureDeferred
async def test_max_subscriptions(join: Join) -> None:
    client = await join("subscriptions")
    subscriptions = [await client.subscribe(lambda tick: None, f"market.{name}USDT") for name in ("BTC", "ETH", "BNB")]
    fourth = client.subscribe(lambda tick: None, "market.XRPUSDT")
    assert await refused(fourth) == exceeded("max_subscriptions", 3)
    # One that it has already is none more.
    await client.subscribe(lambda tick: None, "market.BTCUSDT")
    await subscriptions[1].unsubscribe()
    await client.subscribe(lambda tick: None, "market.XRPUSDT")


@pytest_twisted.ensureDeferred
async def test_max_subscriptions_where_others_have_the_subscription(join: Join, bystander: Bystander) -> None:
    # Such a subscription is made past Crossbar's code.
    client = await join("subscriptions")
    for name in ("BNB", "XRP", "SOL"):
        await client.subscribe(lambda tick: None, f"market.{name}USDT")
    fourth = client.subscribe(lambda tick: None, "market.BTCUSDT")
    assert await refused(fourth) == exceeded("max_subscriptions", 3)


@pytest_twisted.ensureDeferred
async def test_max_pattern_subscriptions(join: Join) -> None:
    client = await join("patterns")
    await client.events("market.", "prefix")
    await client.events("market..book", "wildcard")
    assert await refused(client.events("market.B", "prefix")) == exceeded("max_pattern_subscriptions", 2)
    await client.events("market.", "prefix")
    await client.subscribe(lambda tick: None, "market.BTCUSDT")


@pytest_twisted.ensureDeferred
async def test_max_registrations(join: Join) -> None:
    client = await join("registrations", "quotes", "service")
    for name in "ab":
        await client.register(lambda: None, f"services.quotes.{name}")
    third = client.register(lambda: None, "services.quotes.c")
    assert await refused(third) == exceeded("max_registrations", 2)


@pytest_twisted.ensureDeferred
async def test_messages_per_s(join: Join) -> None:
    client = await join("messages")
    for name in ("BTC", "ETH", "BNB", "XRP"):
        await client.subscribe(lambda tick: None, f"market.{name}USDT")
    assert await refused(client.call("market.status")) == exceeded("messages_per_s", SELDOM)
    fifth = client.subscribe(lambda tick: None, "market.SOLUSDT")
    assert await refused(fifth) == exceeded("messages_per_s", SELDOM)


@pytest_twisted.ensureDeferred
async def test_messages_per_s_of_one_write(limited: Node, clients: Clients, bystander: Bystander) -> None:
    peer = await clients.peer(limited.ws_url)
    await peer.join("messages", limited.token("messages", tier="messages"))
    for request in range(1, 7):
        peer.say(32, request, {}, "market.BTCUSDT")
    for _ in range(4):
        await peer.hear(33)
    assert [(await peer.hear(8))[2] for _ in range(2)] == [5, 6]


@pytest_twisted.ensureDeferred
async def test_answers_of_a_service_are_not_refused(limited: Node, clients: Clients, join: Join) -> None:
    service = await join("messages", "quotes", "service")
    for name in "abc":
        await service.register(lambda: "here", f"services.quotes.{name}")
    ticket = limited.token("caller", services=["quotes"])
    caller = await clients.join(limited.ws_url, authid="caller", ticket=ticket)
    assert [await caller.call(f"services.quotes.{name}") for name in "abcabc"] == ["here"] * 6
    assert await refused(service.call("market.status")) == exceeded("messages_per_s", SELDOM)


@pytest_twisted.ensureDeferred
async def test_publishes_per_s(join: Join) -> None:
    client = await join("publishes", "quotes", "service")
    acknowledged = PublishOptions(acknowledge=True)
    for number in range(3):
        await client.publish("services.quotes.x", number, options=acknowledged)
    fourth = client.publish("services.quotes.x", 3, options=acknowledged)
    assert await refused(fourth) == exceeded("publishes_per_s", SELDOM)


@pytest_twisted.ensureDeferred
async def test_publishes_per_s_without_acknowledgement(limited: Node, clients: Clients, join: Join) -> None:
    ticket = limited.token("reader", services=["quotes"])
    reader = await clients.join(limited.ws_url, authid="reader", ticket=ticket)
    events = await reader.events("services.quotes.x")
    client = await join("publishes", "quotes", "service")
    for number in range(5):
        client.publish("services.quotes.x", number)
    # What comes behind them says that they have been handled.
    await client.subscribe(lambda tick: None, "market.BTCUSDT")
    await reader.call("market.status")
    assert [argument for _, argument, _ in events] == [0, 1, 2]


@pytest_twisted.ensureDeferred
async def test_calls_per_s(join: Join) -> None:
    client = await join("calls")
    for _ in range(3):
        await client.call("market.symbols")
    assert await refused(client.call("market.symbols")) == exceeded("calls_per_s", SELDOM)


@pytest_twisted.ensureDeferred
async def test_max_concurrent_calls(limited: Node, clients: Clients, join: Join) -> None:
    service = await clients.join(limited.ws_url, authid="quotes", ticket=limited.token("quotes", "service"))
    answers: list[Deferred[int]] = []

    def think() -> Deferred[int]:
        answers.append(Deferred())
        return answers[-1]

    await service.register(think, "services.quotes.think")
    ticket = limited.token("concurrent", tier="concurrent", services=["quotes"])
    client = await clients.join(limited.ws_url, authid="concurrent", ticket=ticket)
    calls = [client.call("services.quotes.think") for _ in range(2)]
    await until(reactor, lambda: len(answers) == 2)
    assert await refused(client.call("services.quotes.think")) == exceeded("max_concurrent_calls", 2)
    answers[0].callback(7)
    assert await calls[0] == 7
    third = client.call("services.quotes.think")
    await until(reactor, lambda: len(answers) == 3)
    for answer in answers[1:]:
        answer.callback(8)
    assert [await calls[1], await third] == [8, 8]


@pytest_twisted.ensureDeferred
async def test_max_message_bytes(limited: Node, clients: Clients, bystander: Bystander) -> None:
    ticket = limited.token("bytes", tier="bytes")
    peer = await clients.peer(limited.ws_url)
    await peer.join("bytes", ticket)
    empty = '[48,1,{},"market.symbols",[],{"x":""}]'
    peer.sendMessage(empty.replace('""', f'"{"y" * (2048 - len(empty))}"').encode())
    assert (await peer.hear(8))[4] == "wamp.error.invalid_argument"
    peer.sendMessage(empty.replace('""', f'"{"y" * (2049 - len(empty))}"').encode())
    code, _ = await peer.closed
    assert code == 1009


@pytest_twisted.ensureDeferred
async def test_an_answer_may_be_longer_than_what_a_client_may_send(join: Join) -> None:
    client = await join("bytes")
    assert len(str(await client.call("market.snapshot"))) > 2048


@pytest_twisted.ensureDeferred
async def test_message_timeout(limited: Node, clients: Clients, bystander: Bystander) -> None:
    peer = await clients.peer(limited.ws_url)
    await peer.join("slow_message", limited.token("slow_message", tier="slow_message"))
    peer.beginMessage()
    peer.sendMessageFrame(b'[48,1,{},"market')
    assert await peer.closed == (4008, "crosstick.close.message_timeout")
    assert (await peer.hear(6))[2] == "crosstick.close.message_timeout"


@pytest_twisted.ensureDeferred
async def test_message_timeout_within_a_frame(limited: Node, clients: Clients, bystander: Bystander) -> None:
    peer = await clients.peer(limited.ws_url)
    await peer.join("slow_message", limited.token("slow_message", tier="slow_message"))
    peer.transport.write(b"\x81\xfe\x01\x00\0\0\0\0[48,1,{}")
    assert await peer.closed == (4008, "crosstick.close.message_timeout")


@pytest_twisted.ensureDeferred
async def test_hello_timeout(limited: Node, clients: Clients, bystander: Bystander) -> None:
    peer = await clients.peer(limited.ws_url)
    assert await peer.closed == (4007, "crosstick.close.not_joined")
    assert (await peer.hear(3))[2] == "crosstick.close.not_joined"


@pytest_twisted.ensureDeferred
async def test_who_leaves_without_closing_has_as_long_to_join_again(
    limited: Node, clients: Clients, bystander: Bystander
) -> None:
    peer = await clients.peer(limited.ws_url)
    await peer.join("again", limited.token("again"))
    peer.say(6, {}, "wamp.close.normal")
    await peer.hear(6)
    await peer.join("again", limited.token("again"))
    peer.say(6, {}, "wamp.close.normal")
    await peer.hear(6)
    assert await peer.closed == (4007, "crosstick.close.not_joined")


@pytest_twisted.ensureDeferred
async def test_a_further_join_of_a_connection_gives_no_new_start(
    limited: Node, clients: Clients, bystander: Bystander
) -> None:
    peer = await clients.peer(limited.ws_url)
    ticket = limited.token("calls", tier="calls")
    await peer.join("calls", ticket)
    for request in range(1, 4):
        peer.say(48, request, {}, "market.symbols")
        await peer.hear(50)
    peer.say(6, {}, "wamp.close.normal")
    await peer.hear(6)
    await peer.join("calls", ticket)
    peer.say(48, 1, {}, "market.symbols")
    assert (await peer.hear(8))[4:] == [LIMIT_EXCEEDED, ["calls_per_s is 0.001"], exceeded("calls_per_s", SELDOM)[1]]


@pytest_twisted.ensureDeferred
async def test_joining_and_leaving_in_turns_ends_a_connection(
    limited: Node, clients: Clients, bystander: Bystander
) -> None:
    peer = await clients.peer(limited.ws_url)
    ticket = limited.token("turns")
    for _ in range(20):
        try:
            await peer.join("turns", ticket)
            peer.say(6, {}, "wamp.close.normal")
            await peer.hear(6)
        except ConnectionError:
            break
    assert await peer.closed == (4007, "crosstick.close.not_joined")


@pytest_twisted.ensureDeferred
async def test_authenticate_timeout(limited: Node, clients: Clients, bystander: Bystander) -> None:
    peer = await clients.peer(limited.ws_url)
    peer.hello("late")
    await peer.hear(4)
    assert (await peer.hear(3))[2] == "crosstick.close.not_joined"
    assert await peer.closed == (4007, "crosstick.close.not_joined")


@pytest_twisted.ensureDeferred
async def test_a_second_hello_gives_no_more_time(limited: Node, clients: Clients, bystander: Bystander) -> None:
    peer = await clients.peer(limited.ws_url)
    greeting = [0]

    def greet() -> None:
        if peer.state == peer.STATE_OPEN and greeting[0] < 20:
            greeting[0] += 1
            peer.hello("late")
            reactor.callLater(0.7, greet)  # type: ignore[attr-defined]

    greet()
    assert await peer.closed == (4007, "crosstick.close.not_joined")
    assert greeting[0] <= 3


@pytest_twisted.ensureDeferred
async def test_before_the_join_messages_are_short_and_few(
    limited: Node, clients: Clients, bystander: Bystander
) -> None:
    long = await clients.peer(limited.ws_url)
    long.hello("x" * 17_000)
    assert (await long.closed)[0] == 1009
    many = await clients.peer(limited.ws_url)
    for _ in range(20):
        many.hello("many", "nowhere")
    assert await many.closed == (4006, "crosstick.close.limit_exceeded")


@pytest_twisted.ensureDeferred
async def test_a_client_that_keeps_being_refused_is_closed(limited: Node, clients: Clients, join: Join) -> None:
    client = await join("abuse")
    await client.subscribe(lambda tick: None, "market.BTCUSDT")
    for _ in range(3):
        refusal = await refused(client.subscribe(lambda tick: None, "market.ETHUSDT"))
        assert refusal == exceeded("max_subscriptions", 1)
    ensureDeferred(refused(client.subscribe(lambda tick: None, "market.ETHUSDT"))).addErrback(lambda failure: None)
    assert (await client.left).reason == "crosstick.close.limit_exceeded"


@pytest.mark.parametrize("kind", ["pings", "fragments", "publications"])
@pytest_twisted.ensureDeferred
async def test_a_flood_that_cannot_be_answered_ends_its_connection(
    limited: Node, clients: Clients, bystander: Bystander, kind: str
) -> None:
    peer = await clients.peer(limited.ws_url)
    await peer.join("flood", limited.token("flood", "service", tier="flood"))
    if kind == "fragments":
        peer.beginMessage()
    for number in range(50):
        if kind == "pings":
            peer.sendPing(b"x")
        elif kind == "fragments":
            peer.sendMessageFrame(b" ")
        else:
            peer.say(16, number + 1, {}, "services.flood.x", [1])
    assert await peer.closed == (4006, "crosstick.close.limit_exceeded")


@pytest_twisted.ensureDeferred
async def test_who_only_says_abort_now_and_then_has_no_more_time_to_join(
    limited: Node, clients: Clients, bystander: Bystander
) -> None:
    peer = await clients.peer(limited.ws_url)
    aborts = [0]

    def abort() -> None:
        if peer.state == peer.STATE_OPEN and aborts[0] < 10:
            aborts[0] += 1
            peer.say(3, {}, "x")
            reactor.callLater(0.4, abort)  # type: ignore[attr-defined]

    abort()
    assert await peer.closed == (4007, "crosstick.close.not_joined")
    # The first deadline is after 1 s; with a new one for each ABORT all ten would have been said.
    assert 1 < aborts[0] < 10


@pytest.mark.parametrize(
    "message",
    [(3, {}, "x"), (6, {}, "wamp.close.normal"), (70, 1, {}), (8, 68, 1, {}, "x.y")],
    ids=["abort", "goodbye", "yield", "error"],
)
@pytest_twisted.ensureDeferred
async def test_a_flood_of_what_asks_for_nothing_ends_a_connection_that_has_not_joined(
    limited: Node, clients: Clients, bystander: Bystander, message: tuple[Any, ...]
) -> None:
    peer = await clients.peer(limited.ws_url)
    for _ in range(20):
        peer.say(*message)
    assert await peer.closed == (4006, "crosstick.close.limit_exceeded")


@pytest.mark.parametrize("kind", ["yield", "error"])
@pytest_twisted.ensureDeferred
async def test_a_flood_of_answers_that_nobody_waits_for_ends_its_connection(
    limited: Node, clients: Clients, bystander: Bystander, kind: str
) -> None:
    peer = await clients.peer(limited.ws_url)
    await peer.join("flood", limited.token("flood", "service", tier="flood"))
    for invocation in range(1, 51):
        if kind == "yield":
            peer.say(70, invocation, {})
        else:
            peer.say(8, 68, invocation, {}, "x.y")
    # Those within the burst are no reason yet to close: who asked may have gone in the meantime.
    assert await peer.closed == (4006, "crosstick.close.limit_exceeded")


@pytest_twisted.ensureDeferred
async def test_progressive_results_beyond_the_rate_are_not_passed_on(
    limited: Node, clients: Clients, bystander: Bystander
) -> None:
    service = await clients.peer(limited.ws_url)
    await service.join("quotes", limited.token("quotes", "service", tier="flood"))
    service.say(64, 1, {}, "services.quotes.stream")
    await service.hear(65)
    caller = await clients.peer(limited.ws_url)
    await caller.join("caller", limited.token("caller", services=["quotes"]))
    caller.say(48, 1, {"receive_progress": True}, "services.quotes.stream")
    invocation = (await service.hear(68))[1]
    for number in range(50):
        service.say(70, invocation, {"progress": True}, [number])
    assert await service.closed == (4006, "crosstick.close.limit_exceeded")
    assert (await caller.hear(8))[1:3] == [48, 1]
    # One message of its burst was the registration.
    results = [message for message in caller.received if message[0] == 50]
    assert [message[3] for message in results] == [[number] for number in range(19)]


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
@pytest_twisted.ensureDeferred
async def test_a_batch_of_no_message_ends_its_connection(
    limited: Node, clients: Clients, bystander: Bystander, serializer: str
) -> None:
    peer = await clients.peer(limited.ws_url, subprotocol=f"wamp.2.{serializer}.batched")
    peer.sendMessage(b"", isBinary=serializer != "json")
    code, _ = await peer.closed
    assert code == 1002


class RawSocketPeer:
    """A RawSocket connection by hand, that speaks WAMP in JSON."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.sendall(b"\x7f\xf1\0\0")
        assert self._read(4)[:1] == b"\x7f"

    def say(self, *message: Any, size: int = 0) -> None:
        """Send a message, with spaces behind it up to a size in bytes."""
        text = json.dumps(message).encode().ljust(size)
        self.announce(len(text), text)

    def announce(self, size: int, text: bytes = b"") -> None:
        """Send the header of a message, and what of it there is."""
        self._socket.sendall(size.to_bytes(4, "big") + text)

    def hear(self) -> list[Any]:
        """Return the next message; an empty one when the connection has been closed."""
        header = self._read(4)
        message: list[Any] = json.loads(self._read(int.from_bytes(header, "big"))) if header else []
        return message

    def close(self) -> None:
        self._socket.close()

    def _read(self, size: int) -> bytes:
        data = b""
        try:
            while len(data) < size and (more := self._socket.recv(size - len(data))):
                data += more
        except ConnectionResetError:
            return b""
        return data


@pytest_twisted.ensureDeferred
async def test_max_message_bytes_of_rawsocket(limited: Node, rawsocket_port: int, bystander: Bystander) -> None:
    def refused_messages() -> float:
        return limited.metrics()["crosstick_refusals_total", "max_message_bytes", "market"]

    before = await deferToThread(refused_messages)
    ticket = limited.token("bytes", tier="bytes")

    def talk() -> None:
        with closing(RawSocketPeer(rawsocket_port)) as peer:
            details = {"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": "bytes"}
            peer.say(1, "market", details, size=16_384)
            assert peer.hear()[0] == 4
            peer.say(5, ticket, {})
            assert peer.hear()[0] == 2
            peer.say(48, 1, {}, "market.symbols", size=2048)
            assert peer.hear()[:2] == [50, 1]
            # Its length alone is enough: nothing of it is waited for.
            peer.announce(2049)
            assert peer.hear() == []

    await deferToThread(talk)
    await until(reactor, lambda: refused_messages() == before + 1)


@pytest_twisted.ensureDeferred
async def test_before_the_join_messages_of_rawsocket_are_short(
    limited: Node, rawsocket_port: int, bystander: Bystander
) -> None:
    def talk() -> list[Any]:
        with closing(RawSocketPeer(rawsocket_port)) as peer:
            peer.announce(16_385)
            return peer.hear()

    # The default of ``hello_timeout``, after which the connection would be told why it is closed, is longer.
    assert await deferToThread(talk) == []


@pytest_twisted.ensureDeferred
async def test_a_realm_without_a_gatekeeper_is_closed(make_node: Callable[..., Node], clients: Clients) -> None:
    def without(config: dict[str, Any]) -> None:
        worker = config["workers"][0]
        worker["components"] = [entry for entry in worker["components"] if entry["id"] != "ops-gatekeeper"]

    node = make_node(change_config=without)
    node.start()
    ticket = node.token("root", "operator", "ops")
    refusal = await refused_join(clients.join(node.ws_url, authid="root", ticket=ticket, realm="ops"))
    assert refusal == ("crosstick.error.not_ready", "this realm has no gatekeeper")
    await clients.join(node.ws_url, authid="alice", ticket=node.token("alice"))


@pytest_twisted.ensureDeferred
async def test_a_request_id_that_is_in_use_ends_its_connection(
    limited: Node, clients: Clients, bystander: Bystander
) -> None:
    peer = await clients.peer(limited.ws_url)
    await peer.join("quotes", limited.token("quotes", "service"))
    peer.say(64, 1, {}, "services.quotes.self")
    await peer.hear(65)
    # Neither is answered.
    peer.say(48, 12, {}, "services.quotes.self")
    peer.say(48, 12, {}, "services.quotes.self")
    assert (await peer.closed)[0] == 1002
    sessions = limited.metrics()["crosstick_sessions", "market"]
    await until(reactor, lambda: limited.metrics()["crosstick_sessions", "market"] < sessions or sessions == 1)
    assert "Failed to detach" not in limited.log
