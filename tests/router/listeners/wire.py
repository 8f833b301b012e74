"""A TLS client and a listener, wired together in memory."""

from __future__ import annotations

import contextlib
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

HERE = IPv4Address("TCP", "127.0.0.1", 50000)


class Transport(StringTransport):
    """A TCP connection's server side; like a real one it is lost after the call that ends it."""

    def __init__(self, clock: Clock, address: str = HERE.host) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", address, HERE.port))
        self.clock = clock
        self.protocol: Any = None
        self.aborted = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """There is nothing to delay."""

    def unregisterProducer(self) -> None:
        self.producer = None

    def loseConnection(self) -> None:
        if not self.disconnecting:
            self.disconnecting = True
            self.clock.callLater(0, self._lose)

    def abortConnection(self) -> None:
        self.aborted = True
        self.loseConnection()

    def _lose(self) -> None:
        self.connected = False
        self.protocol.connectionLost(Failure(ConnectionDone()))


def common_name(certificate: x509.Certificate) -> str:
    """Return whose certificate it is."""
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


class TlsClient:
    """A client of a TLS factory."""

    def __init__(
        self,
        factory: Any,
        *,
        version: int | None = None,
        alpn: list[bytes] | None = None,
    ) -> None:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if version is not None:
            context.set_min_proto_version(version)
            context.set_max_proto_version(version)
        if alpn:
            context.set_alpn_protos(alpn)
        self.connection = SSL.Connection(context, None)
        self.connection.set_connect_state()
        self.server = factory.buildProtocol(HERE)
        self.transport = Transport(factory._clock)
        self.transport.protocol = self.server
        self.server.makeConnection(self.transport)

    def pump(self) -> None:
        """Carry bytes in both directions until there are no more."""
        while True:
            moved = False
            try:
                sent = self.connection.bio_read(65536)
            except SSL.WantReadError:
                sent = b""
            if sent and self.transport.connected:
                self.server.dataReceived(sent)
                moved = True
            received = self.transport.value()
            self.transport.clear()
            if received:
                self.connection.bio_write(received)
                moved = True
            if not moved:
                return

    def handshake(self) -> None:
        """Shake hands; raises ``SSL.Error`` where the listener refuses."""
        for _ in range(4):
            with contextlib.suppress(SSL.WantReadError):
                self.connection.do_handshake()
            self.pump()
        self.connection.do_handshake()

    def name(self) -> str:
        """Return whose certificate the listener showed."""
        certificate = self.connection.get_peer_certificate(as_cryptography=True)
        assert certificate is not None
        return common_name(certificate)

    def chain(self) -> list[str]:
        """Return whose certificates came with it, the listener's first."""
        return [common_name(each) for each in self.connection.get_peer_cert_chain(as_cryptography=True) or []]

    def receive(self) -> bytes:
        """Return what has come."""
        self.pump()
        try:
            return self.connection.recv(65536)
        except SSL.WantReadError:
            return b""
