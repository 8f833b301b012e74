"""What stands before a listener's protocols, on real sockets."""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import ip_address
from struct import pack
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from components.router.engine.sockets import writer
from components.router.listeners import listener as listener_module
from components.router.listeners.connection import connection_of
from tests.harness.client import until
from tests.router.listeners.conftest import Server

V2 = b"\r\n\r\n\x00\r\nQUIT\n"
BALANCER = {"proxy_protocol": True, "trusted_proxies": ("127.0.0.1",)}


def v1(host: str, port: int = 4711) -> bytes:
    return f"PROXY TCP{6 if ':' in host else 4} {host} {host} {port} 443\r\n".encode()


def v2(host: str, port: int = 4711) -> bytes:
    addresses = ip_address(host).packed * 2 + pack("!HH", port, 443)
    return V2 + pack("!BBH", 0x21, 0x21 if ":" in host else 0x11, len(addresses)) + addresses


async def refused(server: Server, number: int) -> None:
    await until(reactor, lambda: server.listener.refused.total() == number)


@pytest_twisted.ensureDeferred
async def test_a_connection_gets_its_socket_itself(serve: Callable[..., Server]) -> None:
    server = serve()
    client = await server.connect(b"hello")
    host, port = client.getsockname()
    expected = f"{host}:{port} hello".encode()
    assert await server.read(client, len(expected)) == expected
    [echo] = server.echoes.made  # type: ignore[attr-defined]
    connection = connection_of(echo.transport)
    assert connection is not None
    assert connection.wrappedProtocol is echo
    # The fan-out writes past everything.
    assert writer(echo.transport).__qualname__.startswith("writer.")
    assert (server.listener.sockets["127.0.0.1"], server.listener.connections.number) == (1, 0)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (v1("203.0.113.7"), b"203.0.113.7:4711 "),
        (v2("203.0.113.7"), b"203.0.113.7:4711 "),
        (v1("2001:db8::17"), b"2001:db8::17:4711 "),
        (v2("2001:db8::17"), b"2001:db8::17:4711 "),
    ],
)
@pytest.mark.parametrize("how", ["in one read with what follows", "byte by byte"])
@pytest_twisted.ensureDeferred
async def test_a_proxys_header_says_whose_connection_it_is(
    serve: Callable[..., Server], header: bytes, told: bytes, how: str
) -> None:
    server = serve(**BALANCER)
    data = header + b"hello"
    pieces = [data] if how.startswith("in one") else [data[place : place + 1] for place in range(len(data))]
    client = await server.connect(*pieces)
    assert await server.read(client, len(told) + 5) == told + b"hello"
    [echo] = server.echoes.made  # type: ignore[attr-defined]
    connection = connection_of(echo.transport)
    assert connection is not None
    assert connection.address == told.decode().rpartition(":")[0]
    assert writer(echo.transport).__qualname__.startswith("writer.")


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", V2 + b"\x20\x00\x00\x00", V2 + b"\x21\x00\x00\x00"])
@pytest_twisted.ensureDeferred
async def test_a_proxys_own_connection_counts_for_nobody(serve: Callable[..., Server], header: bytes) -> None:
    server = serve(**BALANCER, max_connections_per_address=1)
    client = await server.connect(header)
    assert (await server.read(client, 10)).startswith(b"127.0.0.1:")
    assert (server.listener.sockets.number, server.listener.sockets.keys_known) == (1, 0)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\x7f\xf1\x00\x00", b"PROXY TCP4 a b c d\r\n"])
@pytest_twisted.ensureDeferred
async def test_what_begins_without_a_header_is_dropped(serve: Callable[..., Server], data: bytes) -> None:
    server = serve(**BALANCER)
    client = await server.connect(data)
    assert await server.read(client, 1) == b""
    assert server.listener.refused == {"proxy_protocol": 1}
    assert server.echoes.made == []  # type: ignore[attr-defined]


@pytest_twisted.ensureDeferred
async def test_a_header_that_does_not_come_in_time_is_not_waited_for(serve: Callable[..., Server]) -> None:
    server = serve(**BALANCER, handshake_timeout=5.0)
    client = await server.connect(b"PROXY TCP4 203.0")
    await until(reactor, lambda: server.listener.sockets.number == 1)
    server.clock.advance(4.9)
    assert server.listener.refused == {}
    server.clock.advance(0.2)
    assert await server.read(client, 1) == b""
    assert server.listener.refused == {"proxy_protocol": 1}


@pytest_twisted.ensureDeferred
async def test_a_header_from_who_is_no_trusted_proxy_is_dropped_with_its_connection(
    serve: Callable[..., Server],
) -> None:
    server = serve(**BALANCER)
    client = await server.connect(source="127.0.0.2")
    await refused(server, 1)
    assert await server.read(client, 1) == b""
    assert server.listener.refused == {"proxy_protocol": 1}


@pytest_twisted.ensureDeferred
async def test_a_header_where_none_is_expected_is_the_protocols_to_refuse(serve: Callable[..., Server]) -> None:
    server = serve(trusted_proxies=("127.0.0.1",))
    client = await server.connect(v1("203.0.113.7"))
    assert (await server.read(client, 10)).startswith(b"127.0.0.1:")


@pytest_twisted.ensureDeferred
async def test_one_address_has_so_many_sockets_and_others_have_theirs(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "SPARE_SOCKETS_PER_ADDRESS", 1)
    server = serve(max_connections_per_address=1)
    first, second = [await server.connect() for _ in range(2)]
    for client in (first, second):
        assert await server.read(client, 1) == b"1"
    third = await server.connect()
    assert await server.read(third, 1) == b""
    assert server.listener.refused == {"max_connections_per_address": 1}
    other = await server.connect(source="127.0.0.2")
    assert await server.read(other, 1) == b"1"
    first.close()
    await until(reactor, lambda: server.listener.sockets["127.0.0.1"] == 1)
    assert await server.read(await server.connect(), 1) == b"1"


@pytest_twisted.ensureDeferred
async def test_behind_a_proxy_sockets_count_for_its_clients(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "SPARE_SOCKETS_PER_ADDRESS", 0)
    server = serve(**BALANCER, max_connections_per_address=1)
    for host in ("203.0.113.7", "203.0.113.8", "2001:db8:0:1::1", "2001:db8:0:2::1"):
        assert await server.read(await server.connect(v2(host)), 1) == host[:1].encode()
    for host in ("203.0.113.7", "2001:db8:0:1::2"):
        assert await server.read(await server.connect(v2(host)), 1) == b""
    assert server.listener.refused == {"max_connections_per_address": 2}
    assert server.listener.sockets.number == 4


@pytest_twisted.ensureDeferred
async def test_there_is_an_end_to_sockets_whosever_they_are(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "SPARE_SOCKETS", 1)
    server = serve(max_connections=1, trusted_proxies=("127.0.0.1",))
    for _ in range(2):
        assert await server.read(await server.connect(), 1) == b"1"
    assert await server.read(await server.connect(), 1) == b""
    assert server.listener.refused == {"max_connections": 1}


@pytest_twisted.ensureDeferred
async def test_a_connection_that_was_let_in_counts_until_it_ends(serve: Callable[..., Server]) -> None:
    server = serve(max_connections_per_address=1)
    client = await server.connect()
    assert await server.read(client, 1) == b"1"
    connection: Any = connection_of(server.echoes.made[0].transport)  # type: ignore[attr-defined]
    assert connection.admit("203.0.113.7") is None
    assert connection.listener.connections["203.0.113.7"] == 1
    client.shutdown(socket.SHUT_RDWR)
    await until(reactor, lambda: server.listener.connections.number == 0)


def test_a_transport_that_no_listener_made_has_no_connection() -> None:
    assert connection_of(object()) is None
