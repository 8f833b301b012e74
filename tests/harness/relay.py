"""A TCP relay that a test can cut and mend: what stands between two nodes."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol


class _Side(Protocol):
    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.other: _Side | None = None
        self.early = b""

    def connectionMade(self) -> None:
        self.relay.sides.append(self)

    def dataReceived(self, data: bytes) -> None:
        if self.other is None:
            self.early += data
        else:
            self.other.transport.write(data)

    def connectionLost(self, reason: Any) -> None:
        self.relay.sides.remove(self)
        if self.other is not None and self.other.transport.connected:
            self.other.transport.abortConnection()


class _Front(_Side):
    def connectionMade(self) -> None:
        super().connectionMade()
        if self.relay.is_cut:
            self.transport.abortConnection()
            return
        factory = Factory.forProtocol(lambda: _Side(self.relay))
        self.relay.target.connect(factory).addCallbacks(self._joined, lambda _: self.transport.abortConnection())

    def _joined(self, back: _Side) -> None:
        if not self.transport.connected:
            back.transport.abortConnection()
            return
        self.other, back.other = back, self
        back.transport.write(self.early)


class Relay:
    """Passes connections to a port of the loopback on, while it is not cut."""

    def __init__(self, reactor: Any, target_port: int) -> None:
        self.target = TCP4ClientEndpoint(reactor, "127.0.0.1", target_port)
        self.sides: list[_Side] = []
        self.is_cut = False
        self._reactor = reactor
        self._port: Any = None

    async def listen(self, port: int) -> None:
        """Begin to listen."""
        endpoint = TCP4ServerEndpoint(self._reactor, port, interface="127.0.0.1")
        self._port = await endpoint.listen(Factory.forProtocol(lambda: _Front(self)))

    def cut(self) -> None:
        """End all connections, and refuse further ones."""
        self.is_cut = True
        for side in tuple(self.sides):
            side.transport.abortConnection()

    def mend(self) -> None:
        """Pass connections on once more."""
        self.is_cut = False

    async def close(self) -> None:
        """End for good."""
        self.cut()
        await self._port.stopListening()
