"""Connections of clients, and the sessions on them: the seam's half inside Crossbar's and Autobahn's transports.

Written against crossbar 26.10.1 and autobahn 26.10.2; ``tests/router/test_seam.py`` fails loudly when an upgrade moves
something.

- ``install_transports`` makes WebSocket and RawSocket transports use protocols of ours: their connections have an ``Outlet``,
  send an ``EncodedPayload`` as it is, and have TCP_NODELAY, which Autobahn's option of that name does not reach. Call it
  before the transports start.
- What comes over WebSocket is taken from the read by whole messages (``ingress``); Autobahn gets the frames that are not
  plain, and Crossbar the requests that are not.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import txaio
from autobahn import util
from autobahn.twisted import websocket as autobahn_twisted_websocket
from autobahn.wamp import message
from autobahn.wamp import websocket as autobahn_wamp_websocket
from autobahn.websocket import protocol as autobahn_websocket
from crossbar.router import protocol as crossbar_protocol
from crossbar.router import router as crossbar_router
from crossbar.router import session as crossbar_session
from twisted.internet.interfaces import ITCPTransport

from components.core.client_frames import TEXT, first_frame_bytes, plain_messages
from components.core.closing import CLOSE_CODES, CLOSE_TEXTS, CloseReason
from components.core.outbox import OutboxCounters
from components.core.outbox_settings import OutboxSettings
from components.router.engine.encodings import RAWSOCKET, UNFRAMED, WEBSOCKET
from components.router.engine.ingress import take
from components.router.engine.outlet import Outlet
from components.router.engine.requests import CODECS, RequestCodec
from components.router.engine.serializers import WRAPPING
from components.router.engine.sockets import writer
from components.router.listeners.handshake import CheckedHandshake
from components.router.seam import GatewayRouter, RouterSeam

GOODBYE_TIME_S = 1.0
"""How long a connection that is given up may take to send what says why."""

MAX_RAWSOCKET_BYTES = 2**24
"""What a RawSocket peer may announce at most (WAMP specification, "RawSocket Transport"); all that we send is shorter."""


class TransportSettings:
    """What all connections of this worker share; set once by ``install_transports``."""

    clock: Any
    queue: OutboxSettings
    counters: OutboxCounters
    send_buffer_bytes: int | None
    """SO_SNDBUF of TCP connections, ``None`` for the system's choice."""

    on_cut: Callable[[CloseReason, Any], None]


def install_transports(
    clock: Any,
    queue: OutboxSettings,
    counters: OutboxCounters,
    send_buffer_bytes: int | None,
    on_cut: Callable[[CloseReason, Any], None],
) -> None:
    """Make all WAMP transports that start from here on use this module's protocols.

    ``on_cut`` is told of a connection that is given up: why, and its authid.
    """
    TransportSettings.clock = clock
    TransportSettings.queue = queue
    TransportSettings.counters = counters
    TransportSettings.send_buffer_bytes = send_buffer_bytes
    TransportSettings.on_cut = staticmethod(on_cut)
    crossbar_protocol.WampWebSocketServerFactory.protocol = GatewayWebSocketProtocol
    crossbar_protocol.WampRawSocketServerFactory.protocol = GatewayRawSocketProtocol
    crossbar_session.RouterSessionFactory.session = GatewaySession
    if txaio.get_global_log_level() not in ("debug", "trace"):
        _log_no_sessions()


def _log_no_sessions() -> None:
    """Leave out what Crossbar logs at level info of each session that comes and goes: it takes longer than the join itself.

    So does marking up the arguments of lines that are not written. Warnings and errors are logged as ever, without markup.
    """
    for logged in (GatewayWebSocketProtocol, GatewaySession, GatewayRouter):
        logged.log = txaio.make_logger(level="warn")
    for module in (
        crossbar_protocol,
        crossbar_router,
        crossbar_session,
        autobahn_wamp_websocket,
        autobahn_twisted_websocket,
        autobahn_websocket,
    ):
        for name in ("hl", "hlid", "hltype", "hlval", "pformat"):
            if hasattr(module, name):
                setattr(module, name, _unmarked)


def _unmarked(value: Any, *_markup: Any, **_options: Any) -> Any:
    return value


def _use_wrapping_serializer(protocol: Any) -> tuple[str, bool]:
    # The protocol's Serializer is its own copy; the object serializers are shared by all connections, so that a message
    # sent to many of them is serialised once for each kind.
    serializer = protocol._serializer
    kind = (serializer._serializer.NAME, serializer._serializer._batched)
    serializer._serializer = WRAPPING[kind]
    return kind


def _prepare(transport: Any, outlet: Outlet) -> None:
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


class GatewaySession(crossbar_session.RouterSession):  # type: ignore[misc]
    """A client's session, without what each one of Crossbar's makes for itself and never uses, and drops."""

    _alike: dict[str, Any] | None = None
    """What all new sessions have in common."""

    def __init__(self, router_factory: Any) -> None:
        if self._alike is None:
            super().__init__(router_factory)
            GatewaySession._alike = {
                name: value
                for name, value in vars(self).items()
                if name not in ("log", "_testaments", "_request_id_gen", "_router_factory")
            }
            del self.log
            return
        self.__dict__.update(self._alike)
        self._router_factory = router_factory
        self._testaments: dict[str, list[Any]] = {"destroyed": [], "detached": []}
        self._request_id_gen = util.IdGenerator()

    def onJoin(self, details: Any) -> None:
        super().onJoin(details)
        # It holds a second copy of all that is known of the connection.
        self._pending_auth = None


class GatewayWebSocketProtocol(CheckedHandshake, crossbar_protocol.WampWebSocketServerProtocol):  # type: ignore[misc]
    """A client's WebSocket connection."""

    data: bytes
    """Autobahn's: what it could not take yet."""

    outlet: Outlet | None = None
    codec: RequestCodec | None = None
    """How plain requests are recognised; ``None`` where all that comes is Autobahn's to handle."""

    def onOpen(self) -> None:
        kind = _use_wrapping_serializer(self)
        compressed = self._perMessageCompress is not None
        self.outlet = Outlet(
            TransportSettings.clock,
            TransportSettings.queue,
            TransportSettings.counters,
            (UNFRAMED if compressed else WEBSOCKET)[kind],
            self._frame_writer(),
            self._write_message,
            self._give_up,
        )
        _prepare(self.transport, self.outlet)
        super().onOpen()
        autobahn_sees_all = (
            compressed
            or self.trackedTimings
            or self.logOctets
            or self.logFrames
            or not (self.utf8validateIncoming and self.applyMask)
        )
        self.codec = None if autobahn_sees_all else CODECS.get(kind)

    def dataReceived(self, data: bytes) -> None:
        """Take plain frames from the head of what comes; Autobahn gets the others, one by one, and what is not complete."""
        while data:
            codec = self.codec
            if codec is None or self.state != self.STATE_OPEN or self.failedByMe:
                super().dataReceived(data)
                return
            if self.current_frame is not None:
                size = self.current_frame.length - self.current_frame_masker.pointer()
            else:
                if self.data:
                    # A header that was cut; it has been counted.
                    self.trafficStats.incomingOctetsWireLevel -= len(self.data)
                    data, self.data = self.data + data, b""
                if not self.inside_message:
                    messages, size = plain_messages(data, codec.first_octet, self._max_plain_bytes())
                    if messages:
                        self._count_received(messages, size)
                        take(self, codec, messages)
                        data = data[size:]
                        continue
                size = first_frame_bytes(data)
            super().dataReceived(data[:size])
            data = data[size:]

    def _max_plain_bytes(self) -> int:
        limits = [limit for limit in (self.maxMessagePayloadSize, self.maxFramePayloadSize) if limit > 0]
        return min(limits, default=0)

    def _count_received(self, messages: list[bytes], size: int) -> None:
        stats = self.trafficStats
        payload_bytes = sum(map(len, messages))
        stats.incomingOctetsWireLevel += size
        stats.incomingOctetsWebSocketLevel += payload_bytes
        stats.incomingOctetsAppLevel += payload_bytes
        stats.incomingWebSocketFrames += len(messages)
        stats.incomingWebSocketMessages += len(messages)
        if self.autoPingTimeoutCall and self.autoPingRestartOnAnyTraffic:
            self._cancelAutoPingTimeoutCall()

    # What ``ingress.take`` asks

    def joined(self) -> tuple[RouterSeam | None, Any]:
        session = self._session
        router = None if session is None or session._session_id is None else session._router
        if self.outlet is not None and self.outlet.given_up:
            return None, session
        return (router.seam if type(router) is GatewayRouter and router.seam.plain else None), session

    def handle(self, message: bytes) -> None:
        if self.outlet is not None and self.outlet.given_up:
            return
        if self.codec is not None and not self.failedByMe and self.state != self.STATE_CLOSED:
            self.onMessage(message, self.codec.first_octet != TEXT)

    def begin_reply(self) -> None:
        if self.outlet is not None:
            self.outlet.catch_up()

    def send_replies(self, frames: list[bytes]) -> None:
        if self.state == self.STATE_OPEN:
            self.trafficStats.outgoingWebSocketFrames += len(frames)
            self.trafficStats.outgoingWebSocketMessages += len(frames)
            self.sendData(b"".join(frames))

    def send(self, msg: Any) -> None:
        if self.outlet is not None:
            if self.outlet.given_up:
                # It answers our GOODBYE, and Crossbar would reply.
                return
            self.outlet.catch_up()
        super().send(msg)

    def sendData(self, data: bytes, *arguments: Any, **options: Any) -> None:
        was_blocked = self.outlet is not None and self.outlet.blocked
        super().sendData(data, *arguments, **options)
        if self.outlet is not None and was_blocked:
            self.outlet.piled(len(data))

    def _frame_writer(self) -> Callable[[bytes], None]:
        write = writer(self.transport)

        def write_frames(block: bytes) -> None:
            # Once the closing handshake has begun, no data frame may follow.
            if self.state == self.STATE_OPEN:
                write(block)

        return write_frames

    def _write_message(self, data: bytes) -> None:
        if self.state == self.STATE_OPEN:
            self.sendMessage(data, self._serializer._serializer.BINARY)

    def _give_up(self, reason: CloseReason | None) -> None:
        if reason is not None:
            TransportSettings.on_cut(reason, getattr(self._session, "_authid", None))
        if reason is None or self.state != self.STATE_OPEN:
            # Behind a close frame nothing may follow, and it may wait for ever in a buffer that nobody empties.
            self.transport.abortConnection()
            return
        if self.isOpen():
            super().send(message.Goodbye(reason.value, CLOSE_TEXTS[reason]))
        self.sendClose(CLOSE_CODES[reason], reason.value)
        TransportSettings.clock.callLater(GOODBYE_TIME_S, self.transport.abortConnection)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if self.outlet is not None:
            self.outlet.close()
        super().onClose(wasClean, code, reason)


class GatewayRawSocketProtocol(crossbar_protocol.WampRawSocketServerProtocol):  # type: ignore[misc]
    """A client's RawSocket connection."""

    outlet: Outlet | None = None

    def _on_handshake_complete(self) -> None:
        kind = _use_wrapping_serializer(self)
        self.outlet = Outlet(
            TransportSettings.clock,
            TransportSettings.queue,
            TransportSettings.counters,
            # What a peer may not be sent has to be looked at one by one.
            (RAWSOCKET if self._max_len_send == MAX_RAWSOCKET_BYTES else UNFRAMED)[kind],
            writer(self.transport),
            self._write_message,
            self._give_up,
        )
        _prepare(self.transport, self.outlet)
        super()._on_handshake_complete()

    def send(self, msg: Any) -> None:
        if self.outlet is not None:
            if self.outlet.given_up:
                # It answers our GOODBYE, and Crossbar would reply.
                return
            self.outlet.catch_up()
        super().send(msg)

    def sendString(self, data: bytes) -> None:
        was_blocked = self.outlet is not None and self.outlet.blocked
        super().sendString(data)
        if self.outlet is not None and was_blocked:
            self.outlet.piled(len(data))

    def _write_message(self, data: bytes) -> None:
        if len(data) > self._max_len_send:
            # As Crossbar does with any message.
            self.log.warn("an event of {size} bytes is more than this peer takes", size=len(data))
            return
        self.sendString(data)

    def _give_up(self, reason: CloseReason | None) -> None:
        if reason is None:
            self.transport.abortConnection()
            return
        TransportSettings.on_cut(reason, getattr(self._session, "_authid", None))
        if self.isOpen():
            super().send(message.Goodbye(reason.value, CLOSE_TEXTS[reason]))
        TransportSettings.clock.callLater(GOODBYE_TIME_S, self.transport.abortConnection)

    def connectionLost(self, reason: Any) -> None:
        if self.outlet is not None:
            self.outlet.close()
        super().connectionLost(reason)
