"""A line between clients and a node that tests can cut and mend: a TCP forwarder with a port of its own."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.protocols.portforward import ProxyFactory, ProxyServer


class _Forwarded(ProxyServer):
    def connectionMade(self) -> None:
        self.factory.connections.add(self)
        super().connectionMade()

    def connectionLost(self, reason: Any) -> None:
        self.factory.connections.discard(self)
        super().connectionLost(reason)
        if not self.factory.connections and self.factory.emptied is not None:
            emptied, self.factory.emptied = self.factory.emptied, None
            emptied.callback(None)


class Line:
    """Listens on a free port, and on the same one again after it has been cut."""

    def __init__(self, reactor: Any, node_port: int) -> None:
        self._reactor = reactor
        self._factory = ProxyFactory("127.0.0.1", node_port)
        self._factory.protocol = _Forwarded
        self._factory.noisy = False
        self._factory.connections = set()
        self._factory.emptied = None
        self._listening: Any = None
        self.port = 0
        self.mend()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def mend(self) -> None:
        """Let connections through."""
        self._listening = self._reactor.listenTCP(self.port, self._factory, interface="127.0.0.1")
        self.port = self._listening.getHost().port

    async def cut(self) -> None:
        """End every connection and refuse new ones. A line that is cut may be cut again."""
        if self._listening is not None:
            listening, self._listening = self._listening, None
            await listening.stopListening()
        if self._factory.connections:
            self._factory.emptied = Deferred()
            for connection in list(self._factory.connections):
                connection.transport.abortConnection()
            await self._factory.emptied
