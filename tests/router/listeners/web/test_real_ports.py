"""Deadlines and refusals on real sockets, with and without TLS, where closing takes the reactor's turns."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from crossbar.common.twisted.endpoint import MaxConnectionsFactory
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from components.router.listeners.http_channel import TIMEOUT, TOO_LARGE, HttpLimits
from components.router.listeners.tls import tls_factory
from tests.harness.certificates import write_pair
from tests.router.listeners.web.site import HardenedSite, parse

PATIENCE_S = 20.0
"""After which a test fails that waits for a connection's end."""


class Door:
    """A hardened site at a port of the loopback, below Crossbar's own counter of connections."""

    def __init__(self, static: Path, secure: bool) -> None:
        self.secure = secure
        self.hardened = HardenedSite(static, limits=HttpLimits(request_timeout_s=0.2, max_body_bytes=1000))
        site = self.hardened.site
        site.reactor = reactor
        factory: Any = site
        if secure:
            write_pair(static.parent / "pair.pem")
            config = {"key": "pair.pem", "certificate": "pair.pem"}
            factory = tls_factory(config, static.parent, site, reactor)
        self.counted = MaxConnectionsFactory(factory, 10, "door", reactor, Logger())
        self.port = reactor.listenTCP(0, self.counted, interface="127.0.0.1")

    def connect(self, *, shake_hands: bool = True) -> socket.socket:
        """Return a client's connection, with TLS where the door has it and the client wants it."""
        connection = socket.create_connection(("127.0.0.1", self.port.getHost().port), timeout=PATIENCE_S)
        if not (self.secure and shake_hands):
            return connection
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context.wrap_socket(connection)


@pytest_twisted.async_yield_fixture(params=[False, True], ids=["plain", "tls"])
async def door(request: pytest.FixtureRequest, static: Path) -> AsyncIterator[Door]:
    """Return a door, closed at the test's end."""
    made = Door(static, request.param)
    yield made
    await made.port.stopListening()


def read_to_end(connection: socket.socket) -> bytes:
    """Return what comes until the other side ends the connection, in whatever way."""
    received = b""
    with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):
        while data := connection.recv(65536):
            received += data
    return received


@pytest_twisted.ensureDeferred
async def test_a_connection_that_sends_nothing_at_all_ends(door: Door) -> None:
    def wait() -> bytes:
        with door.connect(shake_hands=False) as connection:
            return read_to_end(connection)

    assert await deferToThread(wait) == b""
    assert door.hardened.policy.refused == {TIMEOUT: 1}
    assert not door.counted.protocols


@pytest_twisted.ensureDeferred
async def test_a_connection_that_trickles_ends_while_it_does(door: Door) -> None:
    def trickle() -> None:
        with door.connect() as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n")
            connection.settimeout(0.01)
            for _ in range(int(PATIENCE_S / 0.01)):
                try:
                    connection.sendall(b"X: y\r\n")
                    if connection.recv(1) == b"":
                        return
                except TimeoutError:
                    continue
                except OSError:
                    return
        raise AssertionError("the connection did not end")

    # A line every 10 ms reaches the largest number of headers only after a second.
    await deferToThread(trickle)
    assert door.hardened.policy.refused == {TIMEOUT: 1}


@pytest_twisted.ensureDeferred
async def test_a_client_that_sends_too_much_reads_why(door: Door) -> None:
    def send() -> bytes:
        with door.connect() as connection:
            connection.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000)
            return read_to_end(connection)

    assert parse(await deferToThread(send))[0] == 413
    assert door.hardened.policy.refused == {TOO_LARGE: 1}
    assert not door.counted.protocols
