"""Doors of a realm in this process, at real ports, and visitors who come, do something and go.

Behind them is the world of ``tests.fuzz``: what time it is, its clock says. It stands still, but for what is due at once,
unless it is told to ``hurry``.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
from pathlib import Path
from typing import Any

import txaio
from autobahn.twisted.resource import WebSocketResource
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from components.router.health import Healthz
from components.router.listeners.connection import ListenerFactory
from components.router.listeners.listener import Listener
from components.router.listeners.settings import ListenerSettings
from components.router.listeners.tls import tls_factory
from components.router.listeners.web import protect
from tests.fuzz.world import World, frame, mint
from tests.harness.certificates import write_pair
from tests.router.listeners.web.site import HardenedSite

PATIENCE_S = 20.0
AFTERWARDS_S = 30.0
"""By then what waits for a connection that has gone has been told."""

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Protocol: wamp.2.json\r\n"
)
RAWSOCKET = b"\x7f\xf1\x00\x00"
PROXY_HEADER = b"PROXY TCP4 203.0.113.7 203.0.113.7 4711 443\r\n"
PLENTY = {
    "max_connections_per_address": 10_000,
    "connections_burst_per_address": 10_000,
    "requests_burst_per_address": 10_000,
}


class Doors:
    """Ports for HTTP and WebSocket, plain, under TLS and behind a proxy, and for RawSocket."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self.hurry = False
        self._empty: Deferred[None] | None = None
        # Autobahn's timers too.
        self._loop, txaio.config.loop = txaio.config.loop, world.clock
        self._directory = directory
        self._factories: list[ListenerFactory] = []
        self._ports: list[Any] = []
        write_pair(directory / "pair.pem")
        (directory / "static").mkdir()
        hardened = HardenedSite(directory / "static")
        self._slow = hardened.slow
        site = hardened.site
        site.reactor = world.clock
        site.resource.putChild(b"healthz", Healthz({}))
        websockets = world._websocket_factory(
            auto_ping_interval=20_000,
            auto_ping_timeout=20_000,
            auto_ping_size=12,
            open_handshake_timeout=5_000,
            close_handshake_timeout=2_000,
            compression={"deflate": {}},
        )
        site.resource.putChild(b"ws", WebSocketResource(websockets))
        site.resource.putChild(b"trade", WebSocketResource(world._plain[False]))
        self.ports = {
            "http": self._listen(site),
            "https": self._listen(site, secure=True),
            "proxied": self._listen(site, proxy_protocol=True, trusted_proxies=("127.0.0.1",)),
            "rawsocket": self._listen(world._rawsockets),
            "secure rawsocket": self._listen(world._rawsockets, secure=True),
        }
        self._turning = LoopingCall(self._turn)
        self._turning.start(0.002)

    def _listen(self, factory: Any, *, secure: bool = False, **settings: Any) -> int:
        clock = self.world.clock
        listener = Listener("door", ListenerSettings(**PLENTY, **settings), clock.seconds)
        protect(factory, listener.http_policy)
        if secure:
            files = {"key": "pair.pem", "certificate": "pair.pem"}
            factory = tls_factory(files, self._directory, factory, clock)
        outermost = ListenerFactory(listener, factory, clock)
        port = reactor.listenTCP(0, outermost, interface="127.0.0.1")  # type: ignore[attr-defined]
        self._factories.append(outermost)
        self._ports.append(port)
        return int(port.getHost().port)

    def _turn(self) -> None:
        self.world.clock.advance(1.0 if self.hurry else 0.0)
        if self._empty is not None and not any(factory.protocols for factory in self._factories):
            empty, self._empty = self._empty, None
            empty.callback(None)

    async def all_gone(self) -> None:
        """Wait until no connection is open, and what waits for their end has been told."""
        self._empty = Deferred()
        await self._empty
        self.world.clock.advance(AFTERWARDS_S)
        self._slow.requests.clear()
        self.world.log.take_all()
        self.world.honest.transport.clear()

    async def close(self) -> None:
        """Listen no more."""
        self._turning.stop()
        txaio.config.loop = self._loop
        for port in self._ports:
            await port.stopListening()


class Visitor:
    """A client, in a thread of its own."""

    def __init__(self, doors: Doors, door: str) -> None:
        self._raw = "rawsocket" in door
        self._socket: Any = socket.create_connection(("127.0.0.1", doors.ports[door]), timeout=PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self._received = b""
        if door == "proxied":
            self.send(PROXY_HEADER)
        if door in ("https", "secure rawsocket"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self._socket = context.wrap_socket(self._socket)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._socket.sendall(data)

    def read_until(self, mark: bytes) -> bytes:
        """Return what comes, as far as a mark."""
        while mark not in self._received:
            more = self._socket.recv(65_536)
            assert more, f"the connection ended before {mark!r}, behind {self._received!r}"
            self._received += more
        head, _, self._received = self._received.partition(mark)
        return head + mark

    def read_to_end(self) -> bytes:
        """Return what comes until the connection is closed."""
        with contextlib.suppress(ConnectionResetError, ssl.SSLError):
            while more := self._socket.recv(65_536):
                self._received += more
        return self._received

    def read_close(self) -> None:
        """Read what comes until the connection is closed, or a WebSocket's close comes."""
        if self._raw:
            self.read_to_end()
        else:
            self.read_until(b"\x88")

    def close(self) -> None:
        """Go."""
        self._socket.close()

    def reset(self) -> None:
        """Go without a word."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def open(self, *headers: bytes) -> None:
        """Open a WebSocket, or a RawSocket."""
        if self._raw:
            self.send(RAWSOCKET)
            self.read_until(b"\x00\x00")
        else:
            self.send(UPGRADE + b"".join(header + b"\r\n" for header in headers) + b"\r\n")
            assert b" 101 " in self.read_until(b"\r\n\r\n")

    def ask_to_trade(self, token: str) -> bytes:
        """Ask for a WebSocket that speaks plain JSON; return the answer's head."""
        request = UPGRADE.replace(b"/ws ", b"/trade?token=%b " % token.encode())
        self.send(request.replace(b"wamp.2.json", b"crosstick.json") + b"\r\n")
        return self.read_until(b"\r\n\r\n")

    def say_plainly(self, **request: Any) -> None:
        """Send an object."""
        self.send(frame(0x81, json.dumps(request).encode()))

    def say(self, *message: Any) -> None:
        """Send a WAMP message."""
        data = json.dumps(message).encode()
        self.send(len(data).to_bytes(4, "big") + data if self._raw else frame(0x81, data))

    def hello(self) -> None:
        """Ask to join, and be asked for a ticket."""
        roles = {name: {} for name in ("subscriber", "publisher", "caller", "callee")}
        self.say(1, "market", {"roles": roles, "authmethods": ["ticket"], "authid": "alice"})
        self.read_until(b"[4,")

    def join(self, ticket: str | None = None) -> None:
        """Open and join."""
        self.open()
        self.rejoin(ticket)

    def rejoin(self, ticket: str | None = None) -> None:
        """Join once more, or be refused with a ticket that is none."""
        self.hello()
        self.say(5, mint("viewer", "alice") if ticket is None else ticket, {})
        self.read_until(b"[2," if ticket is None else b"[3,")

    def ask(self, kind: int, request: int, *more: Any) -> None:
        """Send a request and wait for its answer."""
        self.say(kind, request, *more)
        self.read_until(b",%d," % request if kind in (32, 48, 64) else b",%d]" % request)
