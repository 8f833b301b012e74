"""A listener on a real socket, in this process, on a clock that the test turns."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread

from components.router.listeners.connection import ListenerFactory
from components.router.listeners.listener import Listener
from components.router.listeners.settings import ListenerSettings
from tests.harness.reactor import ReactorOnClock


class Echo(Protocol):
    """Tells each connection what it takes its client for, and sends back what it reads."""

    def connectionMade(self) -> None:
        peer: Any = self.transport.getPeer()
        self.transport.write(f"{peer.host}:{peer.port} ".encode())
        self.factory.made.append(self)

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)


class Server:
    """A listener whose protocol is ``Echo``."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.clock = ReactorOnClock()
        self.listener = Listener("public", ListenerSettings(**settings), self.clock.seconds)
        self.echoes = Factory.forProtocol(Echo)
        self.echoes.noisy = False
        self.echoes.made = []
        self.factory = ListenerFactory(self.listener, self.echoes, self.clock)
        self.idle: Deferred[None] = Deferred()
        self._unregister = self.factory.unregisterProtocol
        self.factory.unregisterProtocol = self._gone  # type: ignore[method-assign]
        self.port = reactor.listenTCP(0, self.factory, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.sockets: list[socket.socket] = []

    def _gone(self, protocol: Any) -> None:
        self._unregister(protocol)
        reactor.callLater(0, self._look)  # type: ignore[attr-defined]

    def _look(self) -> None:
        if not self.factory.protocols and not self.idle.called:
            self.idle.callback(None)

    async def connect(self, *pieces: bytes, source: str = "127.0.0.1") -> socket.socket:
        """Return a connection from an address of the loopback, on which these pieces have been sent one by one."""

        def connect() -> socket.socket:
            client = socket.create_connection(
                ("127.0.0.1", self.port.getHost().port), timeout=5, source_address=(source, 0)
            )
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
            for piece in pieces:
                client.sendall(piece)
            return client

        client = await deferToThread(connect)
        self.sockets.append(client)
        return client

    async def read(self, client: socket.socket, size: int) -> bytes:
        """Return so many bytes of what a connection is sent, or less where it is closed before."""

        def read() -> bytes:
            got = b""
            try:
                while len(got) < size and (more := client.recv(size - len(got))):
                    got += more
            except ConnectionResetError:
                pass
            return got

        return await deferToThread(read)

    async def stop(self) -> None:
        """Close everything."""
        for client in self.sockets:
            client.close()
        await self.port.stopListening()
        if self.factory.protocols:
            await self.idle


@pytest_twisted.async_yield_fixture
async def serve() -> AsyncIterator[Callable[..., Server]]:
    """Return a function that starts listeners with settings; each is stopped at the test's end, and then counts nobody."""
    servers: list[Server] = []

    def start(**settings: Any) -> Server:
        server = Server(settings)
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.stop()
        assert (server.listener.sockets.number, server.listener.connections.number) == (0, 0)
        assert server.clock.getDelayedCalls() == []
