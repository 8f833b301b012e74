"""What stands before a listener's protocols on each connection: counts it, and takes its PROXY protocol header off.

Not a layer: the protocol behind gets the real transport, and writes to it; each read passes by with one call, as through
Crossbar's own counter, whose place this takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, ILoggingContext
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure

from components.core.admission import Refused
from components.core.client_address import LOCAL, network_key
from components.core.proxy_protocol import InvalidProxyHeader, ProxyHeader, parse_proxy_header
from components.router.listeners.listener import PROXY_PROTOCOL, Listener


class HeaderReader:
    """What a connection is handed to until its PROXY protocol header has come, or the time for it is up."""

    def __init__(self, connection: ListenerConnection, reactor: Any) -> None:
        self._connection = connection
        self._received = b""
        """At most what one read brings beyond the longest header."""
        timeout_s = connection.listener.settings.handshake_timeout
        self._deadline: Any = reactor.callLater(timeout_s, self._expired)

    def dataReceived(self, data: bytes) -> None:
        """Take what was read; what comes after a connection has been given up is dropped."""
        if self._deadline is None:
            return
        self._received += data
        try:
            header = parse_proxy_header(self._received)
        except InvalidProxyHeader:
            self._stop()
            self._connection.refuse(PROXY_PROTOCOL)
            return
        if header is not None:
            self._stop()
            self._connection.take_header(header, self._received[header.size :])

    def connectionLost(self, _reason: Failure) -> None:
        """Wait no longer."""
        self._stop()

    def _expired(self) -> None:
        self._deadline = None
        self._connection.refuse(PROXY_PROTOCOL)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class ListenerConnection(ProtocolWrapper):
    """One connection of a listener."""

    look: ClassVar[Callable[[], None]] = staticmethod(lambda: None)
    """Called before a connection gets the worker's time; set by ``install_transports``, to let what cannot wait go first."""

    wrappedProtocol: Any
    factory: ListenerFactory
    transport: Any

    def __init__(self, factory: ListenerFactory, address: str) -> None:
        super().__init__(factory, None)  # type: ignore[arg-type]  # what is wrapped is made when the connection is
        self.listener = factory.listener
        self.address = address
        """Where the connection comes from, as the PROXY protocol's header says if there is one; ``LOCAL`` if no IP."""
        self._counted_socket = False
        self._socket_key: str | None = None
        self._client_key: str | None = None

    def logPrefix(self) -> str:
        """Return the prefix of the listener's protocol."""
        return self.factory.logPrefix()

    def makeConnection(self, transport: Any) -> None:
        ListenerConnection.look()
        Protocol.makeConnection(self, transport)
        self.factory.registerProtocol(self)  # type: ignore[no-untyped-call]  # Twisted has no types here
        self._count_socket()
        if self.listener.settings.proxy_protocol:
            self.wrappedProtocol = HeaderReader(self, self.factory.reactor)
        else:
            self._begin(transport.getPeer())

    def dataReceived(self, data: bytes) -> None:
        ListenerConnection.look()
        super().dataReceived(data)  # type: ignore[no-untyped-call]  # Twisted has no types here

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        ListenerConnection.look()
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

    def refuse(self, cause: str) -> None:
        """Count why, and drop the connection."""
        self.listener.count_refusal(cause)
        self.transport.abortConnection()

    def take_header(self, header: ProxyHeader, rest: bytes) -> None:
        """Be the connection of whom its PROXY protocol header names; ``rest`` is what has come behind it."""
        peer: Any = self.transport.getPeer()
        if header.client is not None:
            host, port = header.client
            key = self.listener.socket_key(host)
            refused = self.listener.sockets.full_of(key)
            if refused is not None:
                self.refuse(refused.limit.name)
                return
            peer = IPv6Address("TCP", host, port) if ":" in host else IPv4Address("TCP", host, port)
            # So that everybody behind is told the client's address, whomever they ask.
            self.transport.getPeer = lambda: peer
            self.address = host
            self.listener.sockets.release(self._socket_key)
            self._count_socket()
        self._begin(peer)
        if rest and self.wrappedProtocol is not None:
            self.wrappedProtocol.dataReceived(rest)

    def _count_socket(self) -> None:
        self._socket_key = self.listener.socket_key(self.address)
        # Whether there is room has been looked at before.
        self._counted_socket = self.listener.sockets.take(self._socket_key, self.listener.seconds()) is None

    def _begin(self, peer: IAddress) -> None:
        self.wrappedProtocol = self.factory.wrappedFactory.buildProtocol(peer)
        if self.wrappedProtocol is None:
            self.transport.abortConnection()
        else:
            self.wrappedProtocol.makeConnection(self.transport)


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


def listener_of(transport: Any) -> Listener | None:
    """Return the listener by which a protocol's transport came; ``None`` where it is none of ours."""
    connection = connection_of(transport)
    return None if connection is None else connection.listener
