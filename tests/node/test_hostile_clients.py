"""What one client does wrong costs that client only: everybody else gets every tick, once and in order."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest_twisted
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from tests.harness.client import Clients, follows, until
from tests.harness.node import Node, component

STALLED = "session closed: crosstick.close.stalled"


class Publisher(WebSocketClientProtocol):
    """Joins as a service by hand, so that it can publish any text; the factory's ``says`` is what."""

    def onOpen(self) -> None:
        self._say([1, "market", {"roles": {"publisher": {}}, "authmethods": ["ticket"], "authid": "evil"}])

    def _say(self, message: list[Any]) -> None:
        self.sendMessage(json.dumps(message).encode())

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        kind = json.loads(payload)[0]
        if kind == 4:
            self._say([5, self.factory.ticket, {}])
        elif kind == 2:
            self.sendMessage(self.factory.says)


async def assert_ticks_go_on(node: Node, ticks: list[tuple[str, dict[str, Any], bool]], how_many: int = 100) -> None:
    begin = len(ticks)
    await until(reactor, lambda: len(ticks) > begin + how_many)
    assert all(follows(after, before["seq"]) for (_, before, _), (_, after, _) in pairwise(ticks))
    assert await deferToThread(node.ready) == (True, [])


def with_deflate(config: dict[str, Any]) -> None:
    config["workers"][0]["transports"][1]["paths"]["ws"]["paths"]["/"]["options"]["compression"] = {"deflate": {}}


@pytest_twisted.ensureDeferred
async def test_a_number_that_no_decimal_can_be(make_node: Callable[..., Node], clients: Clients) -> None:
    node = make_node()
    await deferToThread(node.start)
    watcher = await clients.join(node.ws_url, authid="w", ticket=node.token("w"))
    ticks = await watcher.events("market.BTCUSDT")
    ticket = node.token("evil", role="service")
    receiver = await clients.join(node.ws_url, authid="evil", ticket=ticket, serializer="msgpack")
    received = await receiver.events("services.evil.x")
    factory = WebSocketClientFactory(node.ws_url, protocols=["wamp.2.json"])
    factory.protocol, factory.ticket = Publisher, ticket
    factory.says = b'[16,1,{},"services.evil.x",[1e1000000000000000000]]'
    await clients._connect(node.ws_url, factory)
    await until(reactor, lambda: bool(received))
    assert received[0][1] == "1e1000000000000000000"
    await assert_ticks_go_on(node, ticks)


@pytest_twisted.ensureDeferred
async def test_a_violation_on_a_compressed_connection(make_node: Callable[..., Node], clients: Clients) -> None:
    node = make_node(change_config=with_deflate)
    await deferToThread(node.start)
    watcher = await clients.join(node.ws_url, authid="w", ticket=node.token("w"))
    ticks = await watcher.events("market.BTCUSDT")
    hostile = await clients.join(node.ws_url, authid="h", ticket=node.token("h"), compressed=True)
    await hostile.events("market.BTCUSDT")
    transport = hostile._transport.transport
    transport.pauseProducing()
    transport.write(b"\xf1\x82abcdxx")
    await assert_ticks_go_on(node, ticks)
    assert "Disconnected" not in node.log


@pytest_twisted.ensureDeferred
async def test_a_client_that_closes_without_reading_is_dropped(
    make_node: Callable[..., Node], clients: Clients
) -> None:
    def impatient(config: dict[str, Any]) -> None:
        component(config, "gateway")["extra"] = {"fanout": {"stall_timeout": 2, "send_buffer_bytes": 16_384}}
        # Nothing but the stall is to end it.
        config["workers"][0]["transports"][1]["paths"]["ws"]["paths"]["/"]["options"] |= {
            "auto_ping_interval": 0,
            "close_handshake_timeout": 0,
        }

    node = make_node(change_config=impatient, CROSSTICK_RATE="3000")
    await deferToThread(node.start)
    watcher = await clients.join(node.ws_url, authid="w", ticket=node.token("w"))
    ticks = await watcher.events("market.BTCUSDT")
    hostile = await clients.join(node.ws_url, authid="h", ticket=node.token("h"))
    transport = hostile._transport.transport
    transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    await hostile.events("market.", "prefix")
    transport.pauseProducing()
    router = node.worker("router")
    port = transport.getHost().port
    await until(reactor, lambda: len(ticks) > 100)
    transport.write(b"\x88\x82\0\0\0\0\x03\xe8")  # Close 1000, masked with zeros

    def connected() -> bool:
        return any(connection.raddr and connection.raddr.port == port for connection in router.net_connections())

    assert connected()
    await until(reactor, lambda: not connected())
    await assert_ticks_go_on(node, ticks)
    assert "Disconnected" not in node.log


@pytest_twisted.ensureDeferred
async def test_a_message_nested_deeper_than_a_stack_ends_its_connection_only(
    make_node: Callable[..., Node], clients: Clients
) -> None:
    node = make_node()
    await deferToThread(node.start)
    watcher = await clients.join(node.ws_url, authid="w", ticket=node.token("w"))
    ticks = await watcher.events("market.BTCUSDT")
    hostile = await clients.peer(node.ws_url)
    await hostile.join("h", node.token("h"))
    hostile.sendMessage(b"[" * 30_000 + b"]" * 30_000)
    code, _ = await hostile.closed
    assert code == 1002
    await assert_ticks_go_on(node, ticks)
