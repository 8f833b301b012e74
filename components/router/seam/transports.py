"""What WebSocket and RawSocket connections of clients have in common: settings, their transport's options, their last words.

Of the seam: see ``connections``.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar

from autobahn.wamp import message
from autobahn.wamp.exception import SerializationError
from twisted.internet.interfaces import ITCPTransport

from components.core.admission import Refused
from components.core.client_address import LOCAL, network_key
from components.core.closing import CLOSE_TEXTS, CloseReason, EndedBy, Ending
from components.core.limits import Limits
from components.core.outbox import OutboxCounters
from components.core.outbox_settings import OutboxSettings
from components.router.access.gate import Gate
from components.router.engine.outlet import Outlet
from components.router.engine.serializers import WRAPPING
from components.router.engine.sockets import unsent_bytes
from components.router.engine.turns import Turns
from components.router.listeners.connection import ListenerConnection, connection_of
from components.router.listeners.listener import Listener
from components.router.listeners.settings import ListenerSettings
from components.router.open_connections import OpenConnections, WaitingBytes
from components.tokens import INTERNAL_ROLES, LINK_ROLES
from components.uris import ERROR_INVALID_PAYLOAD

GOODBYE_TIME_S = 1.0
"""How long a connection that is given up may take to send what says why."""


DEFAULT_HELLO_TIMEOUT_S = ListenerSettings().hello_timeout


class TransportSettings:
    """What all connections of this worker share; set once by ``install_transports``."""

    clock: Any
    turns: Turns
    queue: OutboxSettings
    counters: OutboxCounters
    send_buffer_bytes: int | None
    """SO_SNDBUF of TCP connections, ``None`` for the system's choice."""

    on_cut: Callable[[CloseReason, Any, str], None]
    on_ping_failure: Callable[[], None]
    on_violation: Callable[[], None]
    on_gone: Callable[[EndedBy | None], None]
    open_connections = OpenConnections()


class ClientConnection:
    """What a WebSocket and a RawSocket connection know of where they come from."""

    transport: Any
    kind: ClassVar[str] = "wamp"
    """What operators are shown: what the connection speaks."""

    client_address: str = LOCAL
    """The client's IP address, whatever proxies it came through; ``LOCAL`` on a unix socket."""

    network: str = LOCAL
    """The address as it is counted: an IPv6 one by its /64."""

    connection: ListenerConnection | None = None
    """``None`` on a unix socket."""

    outlet: Outlet | None = None
    ended_by: EndedBy = Ending.CLIENT
    """What the connection ends by, or ended."""
    is_closed: Any
    """Autobahn's: a ``Deferred`` whose result is the connection."""

    @property
    def listener(self) -> Listener | None:
        """The listener that the connection came by; ``None`` on a unix socket."""
        return None if self.connection is None else self.connection.listener

    @property
    def hello_timeout_s(self) -> float:
        """How long the client may take to say HELLO."""
        listener = self.listener
        return DEFAULT_HELLO_TIMEOUT_S if listener is None else listener.settings.hello_timeout

    @property
    def is_internal(self) -> bool:
        """Whether it is the node's own, such as its feed's, or a link to another router.

        Links go last, with the process: until its services have moved, they are called through them.
        """
        return getattr(getattr(self, "_session", None), "_authrole", None) in INTERNAL_ROLES | LINK_ROLES

    def part(self, reason: CloseReason) -> None:
        """Be closed, and told why, behind all that waits for the client."""
        if self.outlet is not None:
            self.outlet.part(reason)

    def cut(self, reason: CloseReason) -> None:
        """Close the connection, and say why."""
        if self.outlet is not None:
            self.outlet.cut(reason)

    def waiting(self) -> WaitingBytes:
        """Return what waits for the client: what was written and not sent, what is held back, and what is in its outbox."""
        outlet = self.outlet
        size_bytes, entries = (0, 0) if outlet is None else outlet.waiting()
        return WaitingBytes(size_bytes + unsent_bytes(self.transport), entries, outlet is not None and outlet.blocked)

    def end_by(self, cause: EndedBy) -> None:
        """Take note of what the connection ends by; the first is what it ends by."""
        if self.ended_by is Ending.CLIENT:
            self.ended_by = cause

    def gone(self) -> None:
        """Tell who counts connections that this one has gone."""
        TransportSettings.open_connections.closed(self)
        TransportSettings.on_gone(None if self.outlet is None else self.ended_by)

    def connectionMade(self) -> None:
        super().connectionMade()  # type: ignore[misc]  # Autobahn's, of the class that this one is mixed into
        self.connection = connection_of(self.transport)

    def connectionLost(self, reason: Any) -> None:
        super().connectionLost(reason)  # type: ignore[misc]
        # What refers to itself by any way is freed by no count of references, only when all that is alive is gone through.
        if self.outlet is not None:
            self.outlet.let_go()
        self.is_closed.addCallback(_nothing)

    def arrive(self, request: bytes = b"") -> Refused | None:
        """Find out whose connection it is, by its request's head if it has one, and count it; return what forbids it."""
        if self.connection is None:
            return None
        self.client_address = self.connection.listener.client_of(self.connection.address, request)
        self.network = network_key(self.client_address)
        return self.connection.admit(self.client_address)


def send_error_at_least(send: Callable[[Any], None], msg: Any) -> None:
    """Send a message; where it holds what is no text, and so cannot be sent, the request that it answers has an ERROR.

    Raises:
        SerializationError: it answers no request, and cannot be sent.
    """
    try:
        send(msg)
    except SerializationError:
        if isinstance(msg, message.Error):
            send(message.Error(msg.request_type, msg.request, msg.error))
        elif isinstance(msg, message.Result):
            text = "the result cannot be sent to this session: it has what is no text"
            send(message.Error(message.Call.MESSAGE_TYPE, msg.request, ERROR_INVALID_PAYLOAD, args=[text]))
        else:
            raise


def use_wrapping_serializer(protocol: Any) -> tuple[str, bool]:
    """Let a connection send an ``EncodedPayload`` as it is; return its serializer's name and whether it is a batched one."""
    # The protocol's Serializer is its own copy; the object serializers are shared by all connections, so that a message
    # sent to many of them is serialised once for each kind.
    serializer = protocol._serializer
    kind = (serializer._serializer.NAME, serializer._serializer._batched)
    serializer._serializer = WRAPPING[kind]
    return kind


def prepare(transport: Any, outlet: Outlet) -> None:
    """Set a transport's options, and let it tell the outlet when it is full."""
    if ITCPTransport.providedBy(transport):
        transport.setTcpNoDelay(True)
        send_buffer_bytes = TransportSettings.send_buffer_bytes
        if send_buffer_bytes is not None:
            # So that the kernel cannot hide seconds of stale prices. Under TLS the handle is OpenSSL's; the socket is below.
            handle = transport.getHandle()
            handle = handle if isinstance(handle, socket.socket) else transport.transport.getHandle()
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
    # A WebSocket connection begins as a request to Twisted's web server, which leaves itself registered.
    transport.unregisterProducer()
    transport.registerProducer(outlet, True)


def limit_queue(outlet: Outlet | None, gate: Gate | None) -> None:
    """Let what waits for a connection be bounded as its session's limits say."""
    if outlet is not None:
        outlet.queue = TransportSettings.queue if gate is None else _queue(TransportSettings.queue, gate.limits)


@lru_cache(maxsize=64)
def _queue(queue: OutboxSettings, limits: Limits) -> OutboxSettings:
    """Return what may wait for a session with limits."""
    return replace(
        queue,
        max_bytes=limits.queue_bytes or queue.max_bytes,
        stall_timeout_s=limits.stall_timeout or queue.stall_timeout_s,
    )


def last_words(session: Any, reason: CloseReason) -> Any:
    """Return what a session is told before its connection closes."""
    kind = message.Abort if session._session_id is None else message.Goodbye
    return kind(reason.value, CLOSE_TEXTS[reason])


def _nothing(_: Any) -> None:
    """Take what is gone for nothing."""
