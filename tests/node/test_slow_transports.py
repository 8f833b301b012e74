"""A client that does not read is cut, and costs nobody else anything, on every transport and in every serializer."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread

from components.free_ports import free_port
from tests.harness.client import Client, Clients, follows, until
from tests.harness.node import Node, component

STALL_TIMEOUT_S = 2
NOISE_BYTES = 2000
"""Published a hundred times a second to the compressed connection: ticks alone would take long to fill the buffers."""
STALLED = "session closed: crosstick.close.stalled"


def bare_socket(client: Client) -> socket.socket:
    transport = client._transport.transport
    handle = transport.getHandle()
    if isinstance(handle, socket.socket):
        return handle
    below: socket.socket = transport.transport.getHandle()  # under TLS
    return below


@pytest_twisted.ensureDeferred
async def test_on_every_transport_a_client_that_does_not_read_is_cut(
    make_node: Callable[..., Node], clients: Clients, certificate: Path
) -> None:
    tls_port, rawsocket_port = free_port(), free_port()

    def with_all_transports(config: dict[str, Any]) -> None:
        router = config["workers"][0]
        component(config, "gateway")["extra"] = {
            "fanout": {"stall_timeout": STALL_TIMEOUT_S, "send_buffer_bytes": 16_384}
        }
        public = router["transports"][1]
        tls = {"key": str(certificate), "certificate": str(certificate)}
        secure = {name: value for name, value in public.items() if name != "id"}
        secure["endpoint"] = {"type": "tcp", "interface": "127.0.0.1", "port": tls_port, "tls": tls}
        rawsocket = {
            "type": "rawsocket",
            "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": rawsocket_port},
            "serializers": ["json", "msgpack", "cbor"],
            "auth": public["paths"]["ws"]["paths"]["/"]["auth"],
        }
        public["paths"]["ws"]["paths"]["/"]["options"]["compression"] = {"deflate": {}}
        router["transports"] += [secure, rawsocket]

    node = make_node(
        change_config=with_all_transports, CROSSTICK_RATE="3000", CROSSTICK_SYMBOLS="BTCUSDT,ETHUSDT,SOLUSDT"
    )
    await deferToThread(node.start)
    secure_url = f"wss://127.0.0.1:{tls_port}/ws"
    by_kind: dict[str, Client] = {}
    for serializer in ("json", "msgpack", "cbor"):
        who = {"authid": serializer, "ticket": node.token(serializer), "serializer": serializer}
        by_kind[f"websocket {serializer}"] = await clients.join(node.ws_url, **who)
        by_kind[f"rawsocket {serializer}"] = await clients.join_rawsocket(rawsocket_port, **who)
    who = {"authid": "v", "ticket": node.token("v", services=("noise",))}
    by_kind["tls"] = await clients.join(secure_url, **who)
    by_kind["deflate"] = await clients.join(node.ws_url, **who, compressed=True)
    received = {}
    for kind, client in by_kind.items():
        # A small window, or the kernel would take megabytes for a client that does not read.
        bare_socket(client).setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        received[kind] = await client.events("market.BTCUSDT")
    await by_kind["deflate"].events("services.noise.x")
    noise = await clients.join(node.ws_url, authid="noise", ticket=node.token("noise", "service"))
    making_noise = LoopingCall(lambda: noise.publish("services.noise.x", os.urandom(NOISE_BYTES // 2).hex()))
    made_noise = making_noise.start(0.01)

    try:
        await stop_reading(node, by_kind, received)
    finally:
        making_noise.stop()
        await made_noise
    assert "Traceback" not in node.log


async def stop_reading(
    node: Node, by_kind: dict[str, Client], received: dict[str, list[tuple[str, dict[str, Any], bool]]]
) -> None:
    """Read for a while, then not at all."""
    await until(reactor, lambda: all(len(events) > 100 for events in received.values()))
    for kind, events in received.items():
        assert all(follows(after, before["seq"]) for (_, before, _), (_, after, _) in pairwise(events)), kind
    assert STALLED not in node.log
    for client in by_kind.values():
        client._transport.transport.pauseProducing()
    await until(reactor, lambda: node.log.count(STALLED) == len(by_kind), 40)
