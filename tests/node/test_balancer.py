"""Whose connection it is, on a running node: directly, behind a balancer's headers and behind its PROXY protocol."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from components.free_ports import free_port
from tests.harness.client import Clients, until
from tests.harness.haproxy import haproxy
from tests.harness.node import Node

UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "wamp.2.json",
}
RELEASE_TIMEOUT_S = 5.0


def set_listeners(config: dict[str, Any], **listeners: dict[str, Any]) -> None:
    """Have the listeners of a node's configuration set up so."""
    [component] = [entry for entry in config["workers"][0]["components"] if entry["id"] == "listeners"]
    component["extra"] = {"listeners": listeners}


def refused_by(limit: str, value: float) -> dict[str, Any]:
    status = 503 if limit == "max_connections" else 429
    kind = "crosstick.error.limit_exceeded"
    return {"type": kind, "title": "Limit exceeded", "status": status, "limit": limit, "value": value}


def no_handshake(detail: str) -> dict[str, Any]:
    return {"type": "wamp.error.invalid_argument", "title": "Invalid argument", "status": 400, "detail": detail}


class Upgrades:
    """Asks for WebSocket connections, which stay open until the test's end or they are closed."""

    def __init__(self, stack: ExitStack, port: int, *, tls: bool = False) -> None:
        self._stack = stack
        self._port = port
        self._tls = ssl._create_unverified_context() if tls else None
        self.open: list[http.client.HTTPConnection] = []

    def __call__(self, source: str = "127.0.0.1", **headers: str) -> tuple[int, dict[str, Any] | None]:
        """Return status and body of the answer to an upgrade asked for from an address of the loopback."""
        options: dict[str, Any] = {"timeout": 5, "source_address": (source, 0)}
        if self._tls is None:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, **options)
        else:
            connection = http.client.HTTPSConnection("127.0.0.1", self._port, context=self._tls, **options)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", "/ws", headers={**UPGRADE, **names})
        answer = connection.getresponse()
        if answer.status == 101:
            self.open.append(connection)
            self._stack.callback(connection.close)
            self._stack.callback(answer.close)
            return 101, None
        with answer:
            body = json.loads(answer.read())
            assert answer.headers["Content-Type"] == "application/problem+json"
        connection.close()
        assert answer.reason == http.client.responses[answer.status]
        assert (answer.status in (429, 503)) == (int(answer.headers.get("Retry-After", "0")) > 0)
        return answer.status, body


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Return what is closed at the test's end."""
    with ExitStack() as closing:
        yield closing


TOO_MANY_OF_ONE = (429, refused_by("max_connections_per_address", 1))


@pytest.fixture(scope="module")
def direct_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, int]]:
    """Return a node, and the port of a second listener of its own; both have few connections to give."""
    second_port = free_port()

    def change(config: dict[str, Any]) -> None:
        transports = config["workers"][0]["transports"]
        endpoint = {"type": "tcp", "interface": "127.0.0.1", "port": second_port}
        transports.append({**transports[1], "id": "second", "endpoint": endpoint})
        set_listeners(
            config,
            public={"max_connections": 2, "max_connections_per_address": 1, "trusted_proxies": ["127.0.0.9"]},
            second={
                "connections_per_s_per_address": 0.01,
                "connections_burst_per_address": 1,
                "trusted_proxies": ["127.0.0.9"],
            },
        )

    environ = {"CROSSTICK_SIMULATOR_PORT": str(free_port())}
    node = Node(tmp_path_factory.mktemp("direct"), environ, change_config=change)
    node.start()
    yield node, second_port
    node.stop()


def test_who_comes_directly_is_counted_by_the_sockets_address(direct_node: tuple[Node, int], stack: ExitStack) -> None:
    node, _ = direct_node
    upgrade = Upgrades(stack, node.port)
    assert upgrade() == (101, None)
    assert upgrade(X_Forwarded_For="203.0.113.1") == TOO_MANY_OF_ONE
    assert upgrade(Forwarded="for=203.0.113.1") == TOO_MANY_OF_ONE
    # A proxy's word is taken.
    assert upgrade(source="127.0.0.9", X_Forwarded_For="127.0.0.1") == TOO_MANY_OF_ONE
    assert upgrade(source="127.0.0.9", Forwarded='for="[2001:db8::17]:4711"') == (101, None)
    assert upgrade(source="127.0.0.3") == (503, refused_by("max_connections", 2))
    # Pages are not counted.
    assert node.get("/healthz")[0] == 200
    assert "listener public has refused connections since its start: 1 by max_connections_per_address" in node.log


def test_a_header_hidden_in_anothers_value_is_none(direct_node: tuple[Node, int], stack: ExitStack) -> None:
    upgrade = Upgrades(stack, direct_node[1])
    # Python's lines, and so Autobahn's, end at such characters too: the client of a proxy could name its own address.
    hidden = [f"a\x85X-Forwarded-For: 203.0.113.{number}" for number in (6, 7)]
    assert upgrade(source="127.0.0.9", X_Forwarded_For="203.0.113.5", X_Other=hidden[0]) == (101, None)
    assert upgrade(source="127.0.0.9", X_Forwarded_For="203.0.113.5", X_Other=hidden[1])[0] == 429


def test_what_a_bad_handshake_says_is_neither_in_the_answer_nor_in_the_log(
    direct_node: tuple[Node, int], stack: ExitStack
) -> None:
    node, second_port = direct_node
    upgrade = Upgrades(stack, second_port)
    evil = "evil\x1b[31m, evil\x1b[31m"
    assert upgrade(Sec_WebSocket_Protocol=evil) == (
        400,
        no_handshake("duplicate protocol"),
    )
    assert upgrade(Sec_WebSocket_Version='"evil" evil') == (
        400,
        no_handshake("could not parse HTTP Sec-WebSocket-Version header"),
    )
    assert upgrade(Sec_WebSocket_Version="12")[0] == 400
    # Those did not count; the first that is let in does.
    assert upgrade() == (101, None)
    assert upgrade() == (429, refused_by("connections_per_s_per_address", 0.01))
    assert "listener second has refused connections since its start: " in node.log
    assert "evil" not in node.log


def with_proxied_transports(config: dict[str, Any], certificate: Path, tls_port: int, rawsocket_port: int) -> None:
    """Add to the public transport one with TLS and one that speaks RawSocket, both behind the PROXY protocol."""
    router = config["workers"][0]
    public = router["transports"][1]
    tls = {"key": str(certificate), "certificate": str(certificate)}
    secure = {
        **public,
        "id": "secure",
        "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": tls_port, "tls": tls},
    }
    rawsocket = {
        "type": "rawsocket",
        "id": "backend",
        "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": rawsocket_port},
        "serializers": ["json"],
        "auth": public["paths"]["ws"]["paths"]["/"]["auth"],
    }
    router["transports"] += [secure, rawsocket]
    behind = {"trusted_proxies": ["127.0.0.1"], "max_connections_per_address": 1}
    proxied = {**behind, "proxy_protocol": True}
    set_listeners(config, public=behind, secure=proxied, backend=proxied)


def raw_handshake(stack: ExitStack, port: int, source: str) -> bytes:
    """Return the answer to a RawSocket handshake; the connection stays open."""
    client = socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(source, 0))
    stack.callback(client.close)
    client.sendall(b"\x7f\xf1\x00\x00")
    answer = b""
    while len(answer) < 4 and (more := client.recv(4 - len(answer))):
        answer += more
    return answer


@pytest_twisted.ensureDeferred
async def test_behind_a_balancer_clients_are_counted_and_not_the_balancer(
    make_node: Callable[..., Node], stack: ExitStack, certificate: Path, tmp_path: Path, clients: Clients
) -> None:
    tls_port, rawsocket_port, *balanced = (free_port() for _ in range(5))
    node = make_node(
        change_config=lambda config: with_proxied_transports(config, certificate, tls_port, rawsocket_port)
    )
    await deferToThread(node.start)
    http_port, v2_port, v1_port = balanced
    proxies = f"""
listen http
  mode http
  option forwardfor
  bind 127.0.0.1:{http_port}
  server node 127.0.0.1:{node.port}
listen secure
  mode tcp
  bind 127.0.0.1:{v2_port}
  server node 127.0.0.1:{tls_port} send-proxy-v2
listen backend
  mode tcp
  bind 127.0.0.1:{v1_port}
  server node 127.0.0.1:{rawsocket_port} send-proxy
"""
    stack.enter_context(haproxy(tmp_path, proxies, balanced))

    # Two clients of one balancer are two; one of them twice is one too many; what it says of itself counts for nothing.
    for port, tls in ((http_port, False), (v2_port, True)):
        upgrade = Upgrades(stack, port, tls=tls)
        for source in ("127.0.0.2", "127.0.0.3"):
            assert await deferToThread(upgrade, source) == (101, None)
        assert await deferToThread(upgrade, "127.0.0.2") == TOO_MANY_OF_ONE
        assert await deferToThread(upgrade, "127.0.0.2", X_Forwarded_For="203.0.113.1") == TOO_MANY_OF_ONE
        upgrade.open[0].close()
        await until(reactor, lambda upgrade=upgrade: upgrade("127.0.0.2") == (101, None), timeout_s=RELEASE_TIMEOUT_S)

    for source, answer in (
        ("127.0.0.2", b"\x7f\xf1\x00\x00"),
        ("127.0.0.3", b"\x7f\xf1\x00\x00"),
        ("127.0.0.2", b"\x7f\x40\x00\x00"),
    ):
        assert await deferToThread(raw_handshake, stack, v1_port, source) == answer

    # A client that comes past the balancer has only its own address, or no connection.
    direct = Upgrades(stack, node.port)
    assert await deferToThread(direct, "127.0.0.4", X_Forwarded_For="203.0.113.1") == (101, None)
    assert await deferToThread(direct, "127.0.0.4", X_Forwarded_For="203.0.113.2") == TOO_MANY_OF_ONE
    with pytest.raises((ConnectionError, ssl.SSLError)):
        await deferToThread(Upgrades(stack, tls_port, tls=True), "127.0.0.4")

    # And who is let in gets what everybody gets.
    client = await clients.join(f"wss://127.0.0.1:{v2_port}/ws", authid="alice", ticket=node.token("alice"))
    ticks = await client.events("market.BTCUSDT")
    await until(reactor, lambda: len(ticks) > 2)


def test_settings_that_cannot_be_stop_the_start_with_one_line(make_node: Callable[..., Node]) -> None:
    node = make_node(change_config=lambda config: set_listeners(config, pubic={}))
    node.spawn()
    assert node.process.wait(40) != 0
    lines = [line for line in node.log.splitlines() if "refusing to start" in line]
    assert len(lines) == 1
    assert lines[0].endswith("refusing to start: listeners.pubic: no TCP transport has this id; there are public")
