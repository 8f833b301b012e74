"""WebSocket connections of clients: the seam's half inside Crossbar's and Autobahn's transports, with ``rawsocket``,
``transports`` and ``client_session``.

Written against crossbar 26.10.1 and autobahn 26.10.2; ``tests/router/test_seam.py`` fails loudly when an upgrade moves
something.

- ``install_transports`` makes WebSocket and RawSocket transports use protocols of ours: their connections have an ``Outlet``,
  send an ``EncodedPayload`` as it is, and have TCP_NODELAY, which Autobahn's option of that name does not reach. Call it
  before the transports start.
- Whose connection it is, and whether there is room for it, is found out before the WebSocket upgrade and the RawSocket
  handshake; what is refused is told so there.
- What comes over WebSocket is taken from the read by whole messages (``ingress``); Autobahn gets the frames that are not
  plain, and Crossbar the requests that are not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import txaio
from autobahn.twisted import websocket as autobahn_twisted_websocket
from autobahn.wamp import websocket as autobahn_wamp_websocket
from autobahn.websocket import protocol as autobahn_websocket
from crossbar.router import protocol as crossbar_protocol
from crossbar.router import router as crossbar_router
from crossbar.router import session as crossbar_session

from components.core.client_frames import TEXT, first_frame_bytes, plain_messages
from components.core.closing import CLOSE_CODES, CloseReason, EndedBy, Ending
from components.core.outbox import OutboxCounters
from components.core.outbox_settings import OutboxSettings
from components.router.access.gate import Gate
from components.router.engine.encodings import UNFRAMED, WEBSOCKET
from components.router.engine.events import Encoding
from components.router.engine.ingress import take
from components.router.engine.outlet import Outlet
from components.router.engine.requests import CODECS, RequestCodec
from components.router.engine.sockets import writer
from components.router.engine.turns import SLICE_S, Turns
from components.router.listeners.connection import ListenerConnection
from components.router.listeners.handshake import CheckedHandshake
from components.router.listeners.listening import install_listeners
from components.router.seam.client_messages import ReadsMessages
from components.router.seam.client_session import GatewaySession
from components.router.seam.gateway_router import GatewayRouter
from components.router.seam.rawsocket import GatewayRawSocketProtocol
from components.router.seam.router_seam import RouterSeam
from components.router.seam.socket_paths import install_socket_paths
from components.router.seam.transports import (
    GOODBYE_TIME_S,
    TransportSettings,
    last_words,
    limit_queue,
    prepare,
    send_error_at_least,
    use_wrapping_serializer,
)
from components.router.seam.upgrade import AdmittedUpgrade

FIRST_CHUNK = 2
MAX_CHUNK = 1024

MAX_ANSWER_BYTES = 4096
"""A connection that is given up may answer by so much at a time; what is longer is not looked at."""


MAX_DEPTH = 1_000
"""Python's own recursion limit. A library that Crossbar imports (py_ecc) raises it a hundredfold, and then a message of many
nested lists runs over the C stack's end in the decoder, which ends the worker."""


def install_transports(
    clock: Any,
    queue: OutboxSettings,
    counters: OutboxCounters,
    send_buffer_bytes: int | None,
    on_cut: Callable[[CloseReason, Any, str], None],
    on_ping_failure: Callable[[], None],
    on_violation: Callable[[], None],
    on_gone: Callable[[EndedBy | None], None],
) -> Turns:
    """Make all WAMP transports that start from here on use this module's protocols; return whose turn their messages wait for.

    ``on_cut`` is told of a connection that is given up: why, its authid and its client's address; ``on_ping_failure``
    of one that did not answer, ``on_violation`` of one that broke a protocol's rules, ``on_gone`` of each that has
    gone: by what it ended, ``None`` where it had never been open.
    """
    TransportSettings.clock = clock
    TransportSettings.turns = Turns(clock)
    TransportSettings.queue = queue
    TransportSettings.counters = counters
    TransportSettings.send_buffer_bytes = send_buffer_bytes
    TransportSettings.on_cut = staticmethod(on_cut)
    TransportSettings.on_ping_failure = staticmethod(on_ping_failure)
    TransportSettings.on_violation = staticmethod(on_violation)
    TransportSettings.on_gone = staticmethod(on_gone)
    crossbar_protocol.WampWebSocketServerFactory.protocol = GatewayWebSocketProtocol
    crossbar_protocol.WampRawSocketServerFactory.protocol = GatewayRawSocketProtocol
    GatewaySession.clock = clock
    ListenerConnection.look = staticmethod(TransportSettings.turns.look)
    crossbar_session.RouterSessionFactory.session = GatewaySession
    sys.setrecursionlimit(MAX_DEPTH)
    install_listeners()
    install_socket_paths()
    if txaio.get_global_log_level() not in ("debug", "trace"):
        _log_no_sessions()
    return TransportSettings.turns


# Made here, it has this module's name.
_warnings = txaio.make_logger(level="warn")


def _log_no_sessions() -> None:
    """Leave out what Crossbar logs at level info of each session that comes and goes: it takes longer than the join itself.

    So does marking up the arguments of lines that are not written. Warnings and errors are logged as ever, without markup.
    """
    # Realms without the fan-out, such as the operators', have Crossbar's own router.
    for logged in (GatewayWebSocketProtocol, GatewaySession, GatewayRouter, crossbar_router.Router):
        logged.log = _warnings
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


class GatewayWebSocketProtocol(
    AdmittedUpgrade,
    CheckedHandshake,
    ReadsMessages,
    crossbar_protocol.WampWebSocketServerProtocol,  # type: ignore[misc]
):
    """A client's WebSocket connection."""

    data: bytes
    """Autobahn's: what it could not take yet."""

    closeHandshakeTimeoutCall: Any
    maxMessagePayloadSize: int

    codec: RequestCodec | None = None
    """How plain requests are recognised; ``None`` where all that comes is Autobahn's to handle."""

    _gate: Gate | None = None
    _max_message_bytes: int | None = None
    """What the transport's options say; a gate may say less."""

    _begun_s: float | None = None
    """When the message was begun that is not complete."""

    _unread = b""
    """What was read and waits for this connection's turn; at most one read, since nothing is read meanwhile."""

    _chunk = FIRST_CHUNK
    """How many messages are handled before the clock is looked at: more of those that take no time."""

    _waits = False
    """Whether it waits for its turn, and nothing is read."""

    _begun_at = 0
    _message_deadline: Any = None

    def onOpen(self) -> None:
        kind = use_wrapping_serializer(self)
        compressed = self._perMessageCompress is not None
        self.outlet = Outlet(
            TransportSettings.clock,
            TransportSettings.queue,
            TransportSettings.counters,
            self._encoding(kind, compressed=compressed),
            self._frame_writer(),
            self._write_message,
            self._give_up,
        )
        prepare(self.transport, self.outlet)
        TransportSettings.open_connections.opened(self)
        super().onOpen()
        autobahn_sees_all = (
            compressed
            or self.trackedTimings
            or self.logOctets
            or self.logFrames
            or not (self.utf8validateIncoming and self.applyMask)
        )
        self.codec = None if autobahn_sees_all else CODECS.get(kind)

    def _encoding(self, kind: tuple[str, bool], *, compressed: bool) -> Encoding:
        return (UNFRAMED if compressed else WEBSOCKET)[kind]

    def take_limits(self, gate: Gate | None) -> None:
        """Be told what the session on this connection may do."""
        self._gate = gate
        limit_queue(self.outlet, gate)
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
        if self._waits or self._unread:
            # TLS may have more of what was read before.
            self._unread += data
            return
        self._unread = data
        self._begin_turn()

    def _begin_turn(self) -> None:
        """Have what was read handled, and read no more until it is."""
        TransportSettings.turns.ready(self)
        if (self._unread or self._is_busy()) and not self._waits and not self.transport.disconnecting:
            self._waits = True
            self.transport.pauseProducing()

    def _is_busy(self) -> bool:
        """Tell whether there is something to do of messages that have been taken."""
        return False

    def take_turn(self, until_s: float) -> bool:
        """Handle what was read, until a time; return whether more waits."""
        data, self._unread = self._unread, b""
        if data and (self.outlet is None or not self.outlet.given_up):
            self._unread = self._take_data(data, until_s)
        if self._unread:
            return True
        if self._is_busy():
            return False
        if self._waits:
            self._waits = False
            if not self.transport.disconnecting:
                self.transport.resumeProducing()
        if self.state == self.STATE_OPEN:
            self._watch_message()
        return False

    def fail(self) -> None:
        """Be dropped."""
        self._unread = b""
        self.transport.abortConnection()

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
        if self._is_busy():
            # It may be what is being done, and of another one nothing is read meanwhile.
            self._begun_s = TransportSettings.clock.seconds()
        left_s = self._begun_s + self._gate.limits.message_timeout - TransportSettings.clock.seconds()
        if left_s > 0:
            self._message_deadline = TransportSettings.clock.callLater(left_s, self._look_at_message)
        else:
            self.cut(CloseReason.MESSAGE_TIMEOUT)

    def _take_data(self, data: bytes, until_s: float) -> bytes:
        """Take plain frames from the head of what comes; Autobahn gets the others, one by one, and what is not complete.

        Return what there was no time for.
        """
        seconds = TransportSettings.clock.seconds
        began_s = seconds()
        while data:
            codec = self.codec
            if self.outlet is not None and self.outlet.given_up:
                # It was given up for what came before.
                return b""
            if self.state != self.STATE_OPEN or self.failedByMe or not self.applyMask:
                super().dataReceived(data)
                return b""
            handled = 0
            if self.current_frame is not None:
                size = self.current_frame.length - self.current_frame_masker.pointer()
            else:
                if self.data:
                    # A header that was cut; it has been counted.
                    self.trafficStats.incomingOctetsWireLevel -= len(self.data)
                    data, self.data = self.data + data, b""
                if codec is not None and not self.inside_message:
                    messages, size = plain_messages(data, codec.first_octet, self._max_plain_bytes(), self._chunk)
                    handled = len(messages)
                    if handled:
                        self._count_received(messages, size)
                        self._take_messages(codec, messages)
                if not handled:
                    size = first_frame_bytes(data)
            if not handled:
                super().dataReceived(data[:size])
            data = data[size:]
            now_s = seconds()
            if handled == self._chunk:
                self._fit_chunk(now_s - began_s)
            if now_s >= until_s or self._is_busy():
                return data
            began_s = now_s
        return b""

    def _fit_chunk(self, took_s: float) -> None:
        if took_s < SLICE_S / 4:
            self._chunk = min(self._chunk * 2, MAX_CHUNK)
        elif took_s > SLICE_S:
            self._chunk = max(self._chunk // 2, 1)

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
        gate = self._gate
        if gate is not None and (self.inside_message or self.current_frame.opcode > 7) and not gate.take_message():
            gate.refuse("messages_per_s")
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
        send_error_at_least(super().send, msg)

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

    def finish(self) -> None:
        """Close the connection, which has been told why."""
        self.sendClose(1000)

    def _give_up(self, reason: CloseReason | None) -> None:
        self.end_by(reason or Ending.UNWRITABLE)
        if reason is not None:
            TransportSettings.on_cut(reason, getattr(self._session, "_authid", None), self.client_address)
        if reason is None or self.state != self.STATE_OPEN:
            # Behind a close frame nothing may follow, and it may wait for ever in a buffer that nobody empties.
            self.transport.abortConnection()
            return
        if self.isOpen():
            self._say_last(reason)
        self.sendClose(CLOSE_CODES[reason], reason.value)
        TransportSettings.clock.callLater(GOODBYE_TIME_S, self.transport.abortConnection)

    def _say_last(self, reason: CloseReason) -> None:
        super().send(last_words(self._session, reason))

    def sendMessage(self, payload: bytes, *arguments: Any, **options: Any) -> None:
        # The limit is on what a client sends; Autobahn's holds for both directions.
        limit, self.maxMessagePayloadSize = self.maxMessagePayloadSize, 0
        try:
            super().sendMessage(payload, *arguments, **options)
        finally:
            self.maxMessagePayloadSize = limit

    def _fail_connection(self, *arguments: Any, **options: Any) -> None:
        self.end_by(Ending.PROTOCOL_VIOLATION)
        TransportSettings.on_violation()
        super()._fail_connection(*arguments, **options)

    def _max_message_size_exceeded(self, *arguments: Any, **options: Any) -> Any:
        if self._gate is not None:
            self._gate.refuse("max_message_bytes")
        return super()._max_message_size_exceeded(*arguments, **options)

    def onAutoPingTimeout(self) -> None:
        self.end_by(Ending.PING_FAILURE)
        TransportSettings.on_ping_failure()
        super().onAutoPingTimeout()

    def connectionLost(self, reason: Any) -> None:
        super().connectionLost(reason)
        if self.closeHandshakeTimeoutCall is not None:
            # Autobahn would go on waiting for the answer to its close.
            self.closeHandshakeTimeoutCall.cancel()
            self.closeHandshakeTimeoutCall = None

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if self.outlet is not None:
            self.outlet.close()
        if self._message_deadline is not None:
            self._message_deadline.cancel()
            self._message_deadline = None
        self._unread = b""
        self._waits = False
        super().onClose(wasClean, code, reason)
        self.gone()
