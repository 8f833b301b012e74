"""Writing past Twisted's buffer keeps the order of bytes, and Twisted's word on a full and on a lost connection."""

from __future__ import annotations

import inspect
import select
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet import reactor, tcp
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from components.router.engine.sockets import unsent_bytes, writer


@implementer(IPushProducer)
class Producer:
    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


@pytest.fixture
def pair() -> Iterator[tuple[Any, socket.socket]]:
    """Return a server's transport, driven by hand, and the client's socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        client.connect(listener.getsockname())
        accepted, address = listener.accept()
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        transport = tcp.Server(accepted, Protocol(), address, None, 1, reactor)
        yield transport, client
        transport.stopReading()
        transport.stopWriting()
        accepted.close()


def received(client: socket.socket, size: int) -> bytes:
    client.settimeout(5)
    got = b""
    while len(got) < size:
        got += client.recv(1 << 20)
    return got


def test_a_block_is_on_its_way_before_the_reactor_has_a_turn(pair: tuple[Any, socket.socket]) -> None:
    transport, client = pair
    writer(transport)(b"tick")
    assert received(client, 4) == b"tick"
    assert transport not in reactor.getWriters()


def test_what_the_socket_does_not_take_is_twisteds_to_send_in_order(pair: tuple[Any, socket.socket]) -> None:
    transport, client = pair
    producer = Producer()
    transport.registerProducer(producer, True)
    write = writer(transport)
    blocks = [bytes([number]) * 100_000 for number in range(30)]
    for block in blocks:
        write(block)
    assert transport in reactor.getWriters()
    assert producer.told[0] == "pause"
    got = b""
    while len(got) < 3_000_000:
        still_writing = [transport] if transport in reactor.getWriters() else []
        readable, writable, _ = select.select([client], still_writing, [], 5)
        assert readable or writable
        if writable:
            assert transport.doWrite() is None
        if readable:
            got += received(client, 1)
    assert got == b"".join(blocks)
    assert producer.told[-1] == "resume"
    write(b"after")
    assert received(client, 5) == b"after"


def test_nothing_overtakes_what_twisted_has_been_given(pair: tuple[Any, socket.socket]) -> None:
    transport, client = pair
    transport.write(b"first ")
    writer(transport)(b"second")
    assert transport.doWrite() is None
    assert received(client, 12) == b"first second"


def test_a_lost_connection_is_left_to_twisted_to_find(pair: tuple[Any, socket.socket]) -> None:
    transport, client = pair
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    client.close()
    write = writer(transport)
    for _ in range(3):
        write(b"lost")
    assert isinstance(transport.doWrite(), Exception)


def test_a_transport_that_is_no_bare_socket_keeps_its_own_write() -> None:
    class Wrapped:
        TLS = False

        def write(self, data: bytes) -> None:
            """Take data."""

    wrapped = Wrapped()
    assert writer(wrapped) == wrapped.write


def test_what_the_system_has_not_taken_is_told(pair: tuple[Any, socket.socket]) -> None:
    transport, client = pair
    write = writer(transport)
    assert unsent_bytes(transport) == 0
    sent = 0
    while not unsent_bytes(transport):
        write(bytes(50_000))
        sent += 50_000
    write(bytes(7))
    waiting = unsent_bytes(transport)
    assert 7 < waiting <= 50_007
    # What has not been sent is what is not in the client's socket, nor on its way there.
    received(client, sent + 7 - waiting)
    transport.doWrite()
    assert unsent_bytes(transport) < waiting


def test_under_tls_what_is_not_encrypted_yet_is_told_too(pair: tuple[Any, socket.socket]) -> None:
    transport, _ = pair

    class Secure:
        """As Twisted's TLS protocol, which leans on a transport."""

        def __init__(self) -> None:
            self.transport = transport
            self._appSendBuffer = [b"abc", b"de"]

    assert unsent_bytes(Secure()) == 5
    transport.write(b"x" * 10)
    assert unsent_bytes(Secure()) == 15
    assert unsent_bytes(object()) == 0


def test_twisteds_tls_keeps_what_is_not_encrypted_where_it_is_looked_for() -> None:
    assert "self._appSendBuffer = []" in inspect.getsource(TLSMemoryBIOProtocol.makeConnection)
