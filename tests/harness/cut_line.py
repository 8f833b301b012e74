"""A TCP line to a server that a test may cut, mend, and hold: what is held arrives later, whatever became of its sender.

With a certificate it speaks TLS to those who connect, also for servers that cannot.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from OpenSSL.SSL import TLS_SERVER_METHOD
from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.python.failure import Failure


class CutLine:
    """Listens on a port of the loopback and passes on to another."""

    def __init__(self, reactor: Any, port: int, certificate: Path | None = None) -> None:
        self.port = 0
        self._reactor = reactor
        self._target = port
        self._listening: Any = None
        self._pairs: list[_Near] = []
        self._held = False
        self._certificate = certificate

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        endpoint: Any = TCP4ServerEndpoint(self._reactor, self.port, interface="127.0.0.1")
        if self._certificate is not None:
            options = DefaultOpenSSLContextFactory(str(self._certificate), str(self._certificate), TLS_SERVER_METHOD)
            endpoint = SSL4ServerEndpoint(self._reactor, self.port, options, interface="127.0.0.1")
        factory = Factory.forProtocol(lambda: _Near(self))  # type: ignore[arg-type]
        factory.noisy = False
        self._listening = await endpoint.listen(factory)
        self.port = self._listening.getHost().port

    async def cut(self) -> None:
        """Break all connections and refuse others until ``start``; what is held stays so."""
        listening, self._listening = self._listening, None
        if listening is not None:
            await listening.stopListening()
        for pair in self._pairs:
            pair.abort()

    def hold(self) -> None:
        """Pass on nothing that clients send."""
        self._held = True

    def release(self) -> None:
        """Pass on what was held, also of clients that have gone."""
        self._held = False
        for pair in self._pairs:
            pair.flush()

    async def stop(self) -> None:
        """End everything."""
        await self.cut()
        for pair in self._pairs:
            if pair.far is not None:
                pair.far.transport.abortConnection()


class _Near(Protocol):
    def __init__(self, line: CutLine) -> None:
        self.line = line
        self.far: _Far | None = None
        self._held = b""
        self.gone = False
        line._pairs.append(self)

    def connectionMade(self) -> None:
        endpoint = TCP4ClientEndpoint(self.line._reactor, "127.0.0.1", self.line._target)
        factory = Factory.forProtocol(lambda: _Far(self))  # type: ignore[arg-type]
        factory.noisy = False
        endpoint.connect(factory).addCallbacks(self._connected, lambda _: self.abort())

    def dataReceived(self, data: bytes) -> None:
        self._held += data
        self.flush()

    def flush(self) -> None:
        if self.far is not None and not self.line._held:
            held, self._held = self._held, b""
            self.far.transport.write(held)

    def abort(self) -> None:
        if not self.gone:
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure) -> None:
        self.gone = True
        if self.far is not None and not self.line._held:
            self.far.transport.loseConnection()

    def _connected(self, far: Any) -> None:
        self.far = far
        self.flush()


class _Far(Protocol):
    def __init__(self, near: _Near) -> None:
        self.near = near

    def dataReceived(self, data: bytes) -> None:
        if not self.near.gone:
            self.near.transport.write(data)

    def connectionLost(self, reason: Failure) -> None:
        self.near.abort()
