"""A client's RawSocket connection: the seam's part inside Crossbar's RawSocket transport; see ``connections``."""

from __future__ import annotations

from typing import Any, ClassVar

from crossbar.router import protocol as crossbar_protocol
from twisted.logger import Logger

from components.core.admission import Refused
from components.core.closing import CloseReason, Ending
from components.router.access.gate import Gate
from components.router.engine.encodings import RAWSOCKET, UNFRAMED
from components.router.engine.outlet import Outlet
from components.router.engine.sockets import writer
from components.router.seam.client_messages import deliver
from components.router.seam.transports import (
    GOODBYE_TIME_S,
    ClientConnection,
    TransportSettings,
    last_words,
    limit_queue,
    prepare,
    send_error_at_least,
    use_wrapping_serializer,
)

NO_ROOM = b"\x7f\x40\x00\x00"
"""The RawSocket handshake's error 4, "maximum connection count reached"."""

MAX_RAWSOCKET_BYTES = 2**24
"""What a RawSocket peer may announce at most (WAMP specification, "RawSocket Transport"); all that we send is shorter."""


class GatewayRawSocketProtocol(ClientConnection, crossbar_protocol.WampRawSocketServerProtocol):  # type: ignore[misc]
    """A client's RawSocket connection."""

    life_log: ClassVar[Logger] = Logger()
    kind: ClassVar[str] = "rawsocket"
    _refused: Refused | None = None
    _gate: Gate | None = None
    MAX_LENGTH: int
    _max_message_bytes: int | None = None
    """What the handshake has told the client; a gate may say less."""

    _deadline: Any = None
    """Of the handshake, then of the message that has been begun."""

    _received = 0
    """Messages."""

    def connectionMade(self) -> None:
        super().connectionMade()
        self._refused = self.arrive()
        self._deadline = TransportSettings.clock.callLater(self.hello_timeout_s, self.transport.abortConnection)

    def take_limits(self, gate: Gate | None) -> None:
        """Be told what the session on this connection may do."""
        self._gate = gate
        limit_queue(self.outlet, gate)
        if self._max_message_bytes is None:
            self._max_message_bytes = self.MAX_LENGTH
        most = self._max_message_bytes
        self.MAX_LENGTH = most if gate is None else min(most, gate.limits.max_message_bytes)

    def dataReceived(self, data: bytes) -> None:
        """Take what was read, unless the connection is being closed or there is no room for it."""
        if self._refused is not None:
            self._handshake_bytes += data[: 4 - len(self._handshake_bytes)]
            if len(self._handshake_bytes) == 4:
                self.transport.write(NO_ROOM)
                self.transport.loseConnection()
            return
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
        if self.outlet is None or self.outlet.given_up:
            return
        try:
            deliver(self._session, self._serializer, payload, None, self._violated)
        except Exception:
            self.life_log.failure("a message of a client could not be handled")
            self.abort()

    def _violated(self, reason: str) -> None:
        self.life_log.warn("failing RawSocket connection: {reason}", reason=reason)
        self.end_by(Ending.PROTOCOL_VIOLATION)
        self.abort()

    def _message_not_complete(self) -> None:
        self._deadline = None
        self.cut(CloseReason.MESSAGE_TIMEOUT)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def lengthLimitExceeded(self, length: int) -> None:
        if self._gate is not None:
            self._gate.refuse("max_message_bytes")
        self.end_by(Ending.PROTOCOL_VIOLATION)
        # Its text would be an unhandled error.
        self.transport.abortConnection()

    def finish(self) -> None:
        """Close the connection, which has been told why."""
        self.transport.loseConnection()

    def _on_handshake_complete(self) -> None:
        self._stop_deadline()
        kind = use_wrapping_serializer(self)
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
        prepare(self.transport, self.outlet)
        TransportSettings.open_connections.opened(self)
        super()._on_handshake_complete()

    def send(self, msg: Any) -> None:
        if self.outlet is not None:
            if self.outlet.given_up:
                # It answers our GOODBYE, and Crossbar would reply.
                return
            self.outlet.catch_up()
        send_error_at_least(super().send, msg)

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
        self.end_by(reason or Ending.UNWRITABLE)
        if reason is None:
            self.transport.abortConnection()
            return
        TransportSettings.on_cut(reason, getattr(self._session, "_authid", None), self.client_address)
        if self.isOpen():
            super().send(last_words(self._session, reason))
        TransportSettings.clock.callLater(GOODBYE_TIME_S, self.transport.abortConnection)

    def connectionLost(self, reason: Any) -> None:
        self._stop_deadline()
        if self.outlet is not None:
            self.outlet.close()
        super().connectionLost(reason)
        self.gone()
