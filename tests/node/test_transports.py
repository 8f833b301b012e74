"""Events by every kind of transport: compressed, RawSocket, TLS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from components.free_ports import free_port
from tests.harness.client import Client, Clients, first_answer, follows, until
from tests.harness.node import Node

EVENTS = 500


async def assert_events_arrive(client: Client) -> None:
    """Check that a session gets a snapshot and every event, and replies among them in order."""

    async def has_ticks() -> bool:
        return any(newest["tick"] for newest in (await client.call("market.snapshot"))["symbols"].values())

    await first_answer(reactor, has_ticks)
    events = await client.events("market.", "prefix", retained=True)
    while len(events) < EVENTS:
        seen = len(events)
        status = await client.call("market.status")
        assert status["state"] == "live"
        await until(reactor, lambda seen=seen: len(events) > seen)
    snapshot = [topic for topic, _, retained in events if retained]
    assert "market.status" in snapshot
    assert len(snapshot) > 1
    assert len(set(snapshot)) == len(snapshot)
    assert all(retained for _, _, retained in events[: len(snapshot)])
    last_seq: dict[str, int] = {}
    for topic, argument, _ in events:
        if topic != "market.status":
            assert topic not in last_seq or follows(argument, last_seq[topic]), topic
            last_seq[topic] = argument["seq"]


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("serializer", ["json", "msgpack"])
async def test_compressed_connections(make_node: Callable[..., Node], clients: Clients, serializer: str) -> None:
    def with_deflate(config: dict[str, Any]) -> None:
        public = config["workers"][0]["transports"][1]
        public["paths"]["ws"]["paths"]["/"]["options"]["compression"] = {"deflate": {}}

    node = make_node(change_config=with_deflate)
    await deferToThread(node.start)
    client = await clients.join(node.ws_url, authid="v", ticket=node.token("v"), serializer=serializer, compressed=True)
    assert client._transport.websocket_extensions_in_use
    await assert_events_arrive(client)


@pytest_twisted.ensureDeferred
async def test_rawsocket_connections(make_node: Callable[..., Node], clients: Clients) -> None:
    port = free_port()

    def with_rawsocket(config: dict[str, Any]) -> None:
        transports = config["workers"][0]["transports"]
        ticket = transports[1]["paths"]["ws"]["paths"]["/"]["auth"]
        endpoint = {"type": "tcp", "interface": "127.0.0.1", "port": port}
        transports.append(
            {"type": "rawsocket", "endpoint": endpoint, "serializers": ["json", "msgpack", "cbor"], "auth": ticket}
        )

    node = make_node(change_config=with_rawsocket)
    await deferToThread(node.start)
    for serializer in ("json", "msgpack", "cbor"):
        client = await clients.join_rawsocket(port, authid="v", ticket=node.token("v"), serializer=serializer)
        await assert_events_arrive(client)


@pytest_twisted.ensureDeferred
async def test_tls_connections(make_node: Callable[..., Node], clients: Clients, certificate: Path) -> None:
    port = free_port()

    def with_tls(config: dict[str, Any]) -> None:
        transports = config["workers"][0]["transports"]
        secure = {name: value for name, value in transports[1].items() if name != "id"}
        tls = {"key": str(certificate), "certificate": str(certificate)}
        secure["endpoint"] = {"type": "tcp", "interface": "127.0.0.1", "port": port, "tls": tls}
        transports.append(secure)

    node = make_node(change_config=with_tls)
    await deferToThread(node.start)
    client = await clients.join(f"wss://127.0.0.1:{port}/ws", authid="v", ticket=node.token("v"))
    await assert_events_arrive(client)
