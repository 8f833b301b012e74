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
from dataclasses import replace
from functools import lru_cache
from typing import Any

import txaio
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
from components.core.limits import Limits
from components.core.outbox import OutboxCounters
from components.core.outbox_settings import OutboxSettings
from components.router.access.gate import Gate
from components.router.client_session import GatewaySession
from components.router.engine.encodings import RAWSOCKET, UNFRAMED, WEBSOCKET
from components.router.engine.ingress import take
from components.router.engine.outlet import Outlet
from components.router.engine.requests import CODECS, RequestCodec
from components.router.engine.serializers import WRAPPING
from components.router.engine.sockets import writer
from components.router.seam import GatewayRouter, RouterSeam

GOODBYE_TIME_S = 1.0
"""How long a connection that is given up may take to send what says why."""

MAX_ANSWER_BYTES = 4096
"""A connection that is given up may answer by so much at a time; what is longer is not looked at."""

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
    on_ping_failure: Callable[[], None]


def install_transports(
    clock: Any,
    queue: OutboxSettings,
    counters: OutboxCounters,
    send_buffer_bytes: int | None,
    on_cut: Callable[[CloseReason, Any], None],
    on_ping_failure: Callable[[], None],
) -> None:
    """Make all WAMP transports that start from here on use this module's protocols.

    ``on_cut`` is told of a connection that is given up: why, and its authid; ``on_ping_failure`` of one that did not answer.
    """
    TransportSettings.clock = clock
    TransportSettings.queue = queue
    TransportSettings.counters = counters
    TransportSettings.send_buffer_bytes = send_buffer_bytes
    TransportSettings.on_cut = staticmethod(on_cut)
    TransportSettings.on_ping_failure = staticmethod(on_ping_failure)
    crossbar_protocol.WampWebSocketServerFactory.protocol = GatewayWebSocketProtocol
    crossbar_protocol.WampRawSocketServerFactory.protocol = GatewayRawSocketProtocol
    GatewaySession.clock = clock
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


def _limit_queue(outlet: Outlet | None, gate: Gate | None) -> None:
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


class GatewayWebSocketProtocol(crossbar_protocol.WampWebSocketServerProtocol):  # type: ignore[misc]
    """A client's WebSocket connection."""

    data: bytes
    """Autobahn's: what it could not take yet."""

    maxMessagePayloadSize: int

    @property
    def network(self) -> str:
        """The client's address as it is counted."""
        return getattr(self.transport.getPeer(), "host", "local")

    outlet: Outlet | None = None
    codec: RequestCodec | None = None
    """How plain requests are recognised; ``None`` where all that comes is Autobahn's to handle."""

    _gate: Gate | None = None
    _max_message_bytes: int | None = None
    """What the transport's options say; a gate may say less."""

    _begun_s: float | None = None
    """When the message was begun that is not complete."""

    _begun_at = 0
    _message_deadline: Any = None

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

    def take_limits(self, gate: Gate | None) -> None:
        """Be told what the session on this connection may do."""
        self._gate = gate
        _limit_queue(self.outlet, gate)
        if self._max_message_bytes is None:
            self._max_message_bytes = self.maxMessagePayloadSize
        bounds = [self._max_message_bytes, 0 if gate is None else gate.limits.max_message_bytes]
        self.maxMessagePayloadSize = min((bound for bound in bounds if bound > 0), default=0)

    def dataReceived(self, data: bytes) -> None:
        """Take what was read."""
        outlet = self.outlet
        if outlet is not None and outlet.given_up:
            # It has been told why, and may answer; more than an answer is not read.
            if len(data) < MAX_ANSWER_BYTES:
                super().dataReceived(data)
            return
        self._take_data(data)
        if self.state == self.STATE_OPEN:
            self._watch_message()

    def _watch_message(self) -> None:
        """See to it that a message that has been begun is complete in time."""
        if not (self.data or self.inside_message or self.current_frame is not None):
            self._begun_s = None
        elif self._gate is not None:
            number = self.trafficStats.incomingWebSocketMessages
            if self._begun_s is None or number != self._begun_at:
                self._begun_s, self._begun_at = TransportSettings.clock.seconds(), number
            if self._message_deadline is None:
                timeout_s = self._gate.limits.message_timeout
                self._message_deadline = TransportSettings.clock.callLater(timeout_s, self._look_at_message)

    def _look_at_message(self) -> None:
        self._message_deadline = None
        if self._begun_s is None or self._gate is None:
            return
        left_s = self._begun_s + self._gate.limits.message_timeout - TransportSettings.clock.seconds()
        if left_s > 0:
            self._message_deadline = TransportSettings.clock.callLater(left_s, self._look_at_message)
        else:
            self.cut(CloseReason.MESSAGE_TIMEOUT)

    def _take_data(self, data: bytes) -> None:
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
                        self._take_messages(codec, messages)
                        data = data[size:]
                        continue
                size = first_frame_bytes(data)
            super().dataReceived(data[:size])
            data = data[size:]

    def _take_messages(self, codec: RequestCodec, messages: list[bytes]) -> None:
        gate = self._gate
        if gate is None:
            take(self, codec, messages)
            return
        allowed = gate.begin(len(messages))
        try:
            take(self, codec, messages if allowed == len(messages) else messages[:allowed])
        finally:
            gate.end()
        for refused in messages[allowed:]:
            # Asked for one by one, where what each one is has been found out.
            self.handle(refused)

    def onFrameBegin(self) -> None:
        # Messages are counted where they are handled; here what else there is, pings and the parts of a message.
        if self._gate is not None and (self.inside_message or self.current_frame.opcode > 7):
            self._gate.message()
        super().onFrameBegin()

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

    def cut(self, reason: CloseReason) -> None:
        """Close the connection, and say why."""
        if self.outlet is not None:
            self.outlet.cut(reason)

    def _give_up(self, reason: CloseReason | None) -> None:
        if reason is not None:
            TransportSettings.on_cut(reason, getattr(self._session, "_authid", None))
        if reason is None or self.state != self.STATE_OPEN:
            # Behind a close frame nothing may follow, and it may wait for ever in a buffer that nobody empties.
            self.transport.abortConnection()
            return
        if self.isOpen():
            super().send(_last_words(self._session, reason))
        self.sendClose(CLOSE_CODES[reason], reason.value)
        TransportSettings.clock.callLater(GOODBYE_TIME_S, self.transport.abortConnection)

    def sendMessage(self, payload: bytes, *arguments: Any, **options: Any) -> None:
        # The limit is on what a client sends; Autobahn's holds for both directions.
        limit, self.maxMessagePayloadSize = self.maxMessagePayloadSize, 0
        try:
            super().sendMessage(payload, *arguments, **options)
        finally:
            self.maxMessagePayloadSize = limit

    def onAutoPingTimeout(self) -> None:
        TransportSettings.on_ping_failure()
        super().onAutoPingTimeout()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if self.outlet is not None:
            self.outlet.close()
        if self._message_deadline is not None:
            self._message_deadline.cancel()
            self._message_deadline = None
        super().onClose(wasClean, code, reason)


def _last_words(session: Any, reason: CloseReason) -> Any:
    """Return what a session is told before its connection closes."""
    kind = message.Abort if session._session_id is None else message.Goodbye
    return kind(reason.value, CLOSE_TEXTS[reason])


class GatewayRawSocketProtocol(crossbar_protocol.WampRawSocketServerProtocol):  # type: ignore[misc]
    """A client's RawSocket connection."""

    outlet: Outlet | None = None
    _gate: Gate | None = None
    _deadline: Any = None
    """Of the handshake, then of the message that has been begun."""

    _received = 0
    """Messages."""

    def connectionMade(self) -> None:
        super().connectionMade()
        self._deadline = TransportSettings.clock.callLater(
            GatewaySession.hello_timeout_s, self.transport.abortConnection
        )

    @property
    def network(self) -> str:
        """The client's address as it is counted."""
        return getattr(self.transport.getPeer(), "host", "local")

    def take_limits(self, gate: Gate | None) -> None:
        """Be told what the session on this connection may do."""
        self._gate = gate
        _limit_queue(self.outlet, gate)

    def dataReceived(self, data: bytes) -> None:
        """Take what was read, unless the connection is being closed."""
        if self.outlet is not None and self.outlet.given_up:
            return
        received = self._received
        super().dataReceived(data)
        if not self._handshake_complete:
            return
        if not self._unprocessed or received != self._received:
            self._stop_deadline()
        if self._unprocessed and self._deadline is None and self._gate is not None:
            timeout_s = self._gate.limits.message_timeout
            self._deadline = TransportSettings.clock.callLater(timeout_s, self._message_not_complete)

    def stringReceived(self, payload: bytes) -> None:
        self._received += 1
        if self.outlet is None or not self.outlet.given_up:
            super().stringReceived(payload)

    def _message_not_complete(self) -> None:
        self._deadline = None
        self.cut(CloseReason.MESSAGE_TIMEOUT)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def lengthLimitExceeded(self, length: int) -> None:
        # Its text would be an unhandled error.
        self.transport.abortConnection()

    def cut(self, reason: CloseReason) -> None:
        """Close the connection, and say why."""
        if self.outlet is not None:
            self.outlet.cut(reason)

    def _on_handshake_complete(self) -> None:
        self._stop_deadline()
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
            super().send(_last_words(self._session, reason))
        TransportSettings.clock.callLater(GOODBYE_TIME_S, self.transport.abortConnection)

    def connectionLost(self, reason: Any) -> None:
        self._stop_deadline()
        if self.outlet is not None:
            self.outlet.close()
        super().connectionLost(reason)
