"""Stock Crossbar as the oracle of every reply: bursts of raw requests, plain, special and wrong, are answered alike by both."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from typing import Any

import cbor2
import msgpack
import pytest
import pytest_twisted
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint

from components.free_ports import free_port
from tests.harness.client import until
from tests.harness.node import Node
from tests.node.test_stock_oracle import without_gateway

SESSIONS = 3
BURSTS = 40
TOPICS = [(f"services.x.{name}", "exact") for name in ("a", "b.c", "ü", "d.1")]
PATTERNS = [("services.x.", "prefix"), ("services.x.b.", "prefix"), ("services.x..c", "wildcard")]
NOWHERE = 123_456_789
LAST_WORDS: list[Any] = [
    [32, -1, {}, "services.x.a"],
    [32, 1, {"match": "regex"}, "services.x.a"],
    [32, 1, {}, "services x"],
    [34, 2**53 + 1, 1],
    [16, 1, {}, "services.x..a", [1]],
    [16, 1, [], "services.x.a", [1]],
    [99, 1],
    [36, 1],
    {},
    [6, {}, "wamp.close.normal"],
]


def json_bytes(message: Any) -> bytes:
    """Return JSON as clients send it."""
    return json.dumps(message).encode()


class RawSession(WebSocketClientProtocol):
    """Sends lists, and keeps the lists that come."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[Any] = []
        self.subscriptions: dict[Any, int] = {}
        self.expected: dict[int, Any] = {}
        self.joined: Deferred[None] = Deferred()
        self.answered: Deferred[None] = Deferred()
        self.closed: Deferred[Any] = Deferred()

    def send(self, message: Any) -> None:
        packed = {"json": json_bytes, "msgpack": msgpack.packb, "cbor": cbor2.dumps}[self.factory.serializer](message)
        self.sendMessage(packed, self.factory.serializer != "json")

    def onOpen(self) -> None:
        roles = {"subscriber": {}, "publisher": {}, "caller": {}}
        self.send([1, "market", {"roles": roles, "authmethods": ["ticket"], "authid": "x"}])

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        message = {"json": json.loads, "msgpack": msgpack.unpackb, "cbor": cbor2.loads}[self.factory.serializer](
            payload
        )
        if message[0] == 4:
            self.send([5, self.factory.ticket, {}])
        elif message[0] == 2:
            self.joined.callback(None)
        else:
            if message[0] == 33:
                self.subscriptions[self.expected[message[1]]] = message[2]
                self.factory.names[message[2]] = self.expected[message[1]]
            self.received.append(message)
            if message[:2] == [8, 48] or message[0] == 6:
                self.answered.callback(None)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        super().onClose(wasClean, code, reason)
        self.closed.callback((wasClean, code, reason))


def burst(chance: random.Random, request: int) -> list[Any]:
    """Return a request of any kind; an unsubscription names a subscription."""
    topic, match = chance.choice(TOPICS)
    kind = chance.randrange(14)
    if kind < 4:
        topic, match = chance.choice(TOPICS + PATTERNS)
        options: dict[str, Any] = {} if match == "exact" else {"match": match}
        if kind == 0:
            options |= chance.choice([{"match": match}, {"get_retained": True}, {"get_retained": False}, {"_own": 1}])
        return [32, request, options, topic]
    if kind == 4:
        return [
            32,
            request,
            {},
            chance.choice(["other.topic", "services.y.a", "services.x..a", "", "wamp.x", "services."]),
        ]
    if kind < 7:
        return [34, request, chance.choice([*TOPICS, *PATTERNS, NOWHERE])]
    if kind < 11:
        return [16, request, {}, topic, [chance.choice([1, "ü", None, {"n": request, "price": 0.25}, [1, [2]]])]]
    if kind == 11:
        options = chance.choice(
            [{"acknowledge": True}, {"exclude_me": False}, {"acknowledge": True, "exclude_me": False}]
        )
        return [16, request, options, topic, [request]]
    if kind == 12:
        return [16, request, {"acknowledge": True}, chance.choice(["other.topic", "wamp.x"]), [1]]
    return [16, request, {}, topic, *chance.choice([[], [[1, 2]], [[1], {"k": 2}], [[]]])]


async def connected(node: Node, ticket: str, serializer: str, names: dict[int, Any]) -> RawSession:
    factory = WebSocketClientFactory(node.ws_url, protocols=[f"wamp.2.{serializer}"])
    factory.protocol = RawSession
    factory.serializer, factory.ticket, factory.names = serializer, ticket, names
    session: RawSession = await TCP4ClientEndpoint(reactor, "127.0.0.1", node.port).connect(factory)
    await session.joined
    return session


def comparable(message: Any, names: dict[int, Any]) -> Any:
    """Return a message with names in place of random ids."""
    if message[0] == 33:
        return [33, message[1], names[message[2]]]
    if message[0] == 36:
        return [36, names[message[1]], *message[3:]]
    if message[0] == 17:
        return message[:2]
    return json.loads(re.sub(r"\d{7,}", "0", json.dumps(message)))


def as_here(closed: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return how a connection ends here that stock Crossbar ends so: a URI that is none is the client's mistake, not ours."""
    clean, code, reason = closed
    if code == 1011:
        return clean, 1002, reason.replace("Internal", "Protocol")
    return closed


async def played(node: Node, ticket: str, serializer: str, seed: int) -> list[Any]:
    """Return what each session received in each burst, and how each connection ended."""
    chance = random.Random(seed)
    names: dict[int, Any] = {}
    sessions = [await connected(node, ticket, serializer, names) for _ in range(SESSIONS)]
    outcome: list[Any] = []
    request = 0

    async def all_answered(sender: Any) -> None:
        # What comes to a session before this answer was caused by what was sent before: the sender's comes first, since
        # messages of different connections have no order.
        for session in sorted(sessions, key=lambda session: session is not sender):
            session.answered = Deferred()
            session.send([48, request, {}, "services.x.nothing"])
            await session.answered
        for who, session in enumerate(sessions):
            outcome.append((who, [comparable(message, names) for message in session.received]))
            session.received.clear()

    for _ in range(BURSTS):
        session = chance.choice(sessions)
        for _ in range(chance.choice([1, 3, 20])):
            request += 1
            message = burst(chance, request)
            if message[0] == 32:
                session.expected[request] = (message[3], message[2].get("match", "exact"))
            elif message[0] == 34:
                message[2] = session.subscriptions.get(message[2], NOWHERE)
            session.send(message)
        request += 1
        await all_answered(session)
    for session in sessions:
        last = chance.choice(LAST_WORDS)
        request += 1
        session.expected[request] = TOPICS[0]
        session.answered = Deferred()
        session.send([32, request, {}, TOPICS[0][0]])
        session.send(last)
        session.send([32, request, {}, TOPICS[0][0]])
        if last == [6, {}, "wamp.close.normal"]:
            await session.answered
            session.sendClose()
        closed = await session.closed
        outcome.append(([comparable(message, names) for message in session.received], closed))
    return outcome


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Node]]:
    """Return a stock node, starting, and one of ours; shared by this module alone, since clients' faults go to their logs."""
    stock = Node(tmp_path_factory.mktemp("stock"), {}, change_config=without_gateway)
    ours = Node(tmp_path_factory.mktemp("ours"), {"CROSSTICK_SIMULATOR_PORT": str(free_port())})
    stock.spawn()
    ours.start()
    yield stock, ours
    stock.stop()
    ours.stop()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
async def test_every_request_is_answered_as_at_stock_crossbar(nodes: tuple[Node, Node], serializer: str) -> None:
    stock, ours = nodes
    await until(reactor, lambda: "NODE_BOOT_COMPLETE" in stock.log, timeout_s=30)
    kinds: set[int] = set()
    for seed in range(6):
        expected = await played(stock, "stock", serializer, seed)
        got = await played(ours, ours.token("x", "service"), serializer, seed)
        expected = [
            (told, as_here(closed)) if isinstance(closed, tuple) else (told, closed) for told, closed in expected
        ]
        differing = [(theirs, ours) for theirs, ours in zip(expected, got, strict=True) if theirs != ours]
        assert differing[:1] == []
        kinds |= {message[0] for _, messages in expected[: BURSTS * SESSIONS] for message in messages}
    assert kinds == {8, 17, 33, 35, 36}
