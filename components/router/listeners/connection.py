"""What stands before a listener's protocols on each connection: counts it, and takes its PROXY protocol header off.

Not a layer: the protocol behind gets the real transport, and writes to it; each read passes by with one call, as through
Crossbar's own counter, whose place this takes.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, ILoggingContext
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure

from components.core.admission import Refused
from components.core.client_address import LOCAL, network_key
from components.core.proxy_protocol import InvalidProxyHeader, parse_proxy_header
from components.router.listeners.listener import PROXY_PROTOCOL, Listener


class ListenerConnection(ProtocolWrapper):
    """One connection of a listener."""

    wrappedProtocol: Any
    """``None`` until the connection's PROXY protocol header has come."""

    factory: ListenerFactory
    transport: Any

    def __init__(self, factory: ListenerFactory, address: str) -> None:
        super().__init__(factory, None)  # type: ignore[arg-type]  # one that waits for its header wraps nothing yet
        self.listener = factory.listener
        self.address = address
        """Where the connection comes from, as the PROXY protocol's header says if there is one; ``LOCAL`` if no IP."""
        self._counted_socket = False
        self._socket_key: str | None = None
        self._client_key: str | None = None
        self._header = b""
        self._deadline: Any = None

    def logPrefix(self) -> str:
        """Return the prefix of the listener's protocol."""
        return self.factory.logPrefix()

    def makeConnection(self, transport: Any) -> None:
        Protocol.makeConnection(self, transport)
        self.factory.registerProtocol(self)  # type: ignore[no-untyped-call]  # Twisted has no types here
        self._count_socket()
        if self.listener.settings.proxy_protocol:
            timeout_s = self.listener.settings.handshake_timeout
            self._deadline = self.factory.reactor.callLater(timeout_s, self._no_header)
        else:
            self._begin(transport.getPeer())

    def dataReceived(self, data: bytes) -> None:
        if self.wrappedProtocol is not None:
            self.wrappedProtocol.dataReceived(data)
        elif self._deadline is not None:
            self._take_header(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_deadline()
        self.factory.unregisterProtocol(self)  # type: ignore[no-untyped-call]
        if self._counted_socket:
            self.listener.sockets.release(self._socket_key)
        if self._client_key is not None:
            self.listener.connections.release(self._client_key)
        if self.wrappedProtocol is not None:
            self.wrappedProtocol.connectionLost(reason)
            self.wrappedProtocol = None

    def admit(self, address: str) -> Refused | None:
        """Let this connection in as one of a client, for as long as it lasts, or return what forbids it."""
        refused = self.listener.admit(address)
        if refused is None:
            self._client_key = network_key(address)
        return refused

    def _count_socket(self) -> None:
        self._socket_key = self.listener.socket_key(self.address)
        # Whether there is room has been looked at before.
        self._counted_socket = self.listener.sockets.take(self._socket_key, self.listener.seconds()) is None

    def _take_header(self, data: bytes) -> None:
        self._header += data
        try:
            header = parse_proxy_header(self._header)
        except InvalidProxyHeader:
            self._no_header()
            return
        if header is None:
            return
        self._stop_deadline()
        rest, self._header = self._header[header.size :], b""
        peer: Any = self.transport.getPeer()
        if header.client is not None:
            host, port = header.client
            peer = IPv6Address("TCP", host, port) if ":" in host else IPv4Address("TCP", host, port)
            # So that everybody behind is told the client's address, whomever they ask.
            self.transport.getPeer = lambda: peer
            self.address = host
            key = self.listener.socket_key(host)
            refused = self.listener.sockets.full_of(key)
            if refused is not None:
                self.listener.count_refusal(refused.limit.name)
                self.transport.abortConnection()
                return
            self.listener.sockets.release(self._socket_key)
            self._count_socket()
        self._begin(peer)
        if rest and self.wrappedProtocol is not None:
            self.wrappedProtocol.dataReceived(rest)

    def _begin(self, peer: IAddress) -> None:
        protocol = self.factory.wrappedFactory.buildProtocol(peer)
        if protocol is None:
            self.transport.abortConnection()
            return
        self.wrappedProtocol = protocol
        protocol.makeConnection(self.transport)

    def _no_header(self) -> None:
        self._stop_deadline()
        self._header = b""
        self.listener.count_refusal(PROXY_PROTOCOL)
        self.transport.abortConnection()

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            if self._deadline.active():
                self._deadline.cancel()
            self._deadline = None


class ListenerFactory(WrappingFactory[ListenerConnection]):
    """The outermost factory of a listener: has no room for what is beyond the listener's bounds on sockets."""

    noisy = False

    def __init__(self, listener: Listener, factory: Any, reactor: Any) -> None:
        super().__init__(factory)  # type: ignore[no-untyped-call]  # Twisted has no types here
        self.listener = listener
        self.reactor = reactor

    def logPrefix(self) -> str:
        """Return the prefix of the listener's protocol, so that log lines are what they are without this."""
        wrapped = self.wrappedFactory
        if ILoggingContext.providedBy(wrapped):
            return str(wrapped.logPrefix())
        return type(wrapped).__name__

    def buildProtocol(self, addr: Any) -> ListenerConnection | None:  # type: ignore[override]  # None: closed at once
        address = getattr(addr, "host", LOCAL)
        listener = self.listener
        key = listener.socket_key(address)
        refused = listener.sockets.full(key)
        if refused is not None:
            listener.count_refusal(refused.limit.name)
            return None
        if listener.settings.proxy_protocol and key is not None:
            # Whoever is no proxy could claim to be anybody.
            listener.count_refusal(PROXY_PROTOCOL)
            return None
        return ListenerConnection(self, address)


def connection_of(transport: Any) -> ListenerConnection | None:
    """Return the listener's connection below a protocol's transport; ``None`` where no listener of ours made it."""
    while isinstance(transport, ProtocolWrapper):
        # TLS
        transport = transport.transport
    protocol = getattr(transport, "protocol", None)
    return protocol if isinstance(protocol, ListenerConnection) else None
