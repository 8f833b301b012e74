"""The one place that touches Crossbar's and Autobahn's private names, and where the fast fan-out goes.

Written against crossbar 26.10.1 and autobahn 26.10.2; ``tests/router/test_seam.py`` fails loudly when an upgrade moves
something. What it does:

- ``install_transports`` makes WebSocket and RawSocket transports send an ``EncodedPayload`` as it is, and sets
  TCP_NODELAY, which Autobahn's option of that name does not reach. Call it before the transports start.
- ``RouterSeam`` gives an in-router component what Crossbar's API has no call for.
"""

from __future__ import annotations

from typing import Any

from autobahn.wamp.serializer import CBORObjectSerializer, JsonObjectSerializer, MsgPackObjectSerializer
from crossbar.router import protocol as crossbar_protocol
from twisted.internet.interfaces import ITCPTransport

from components.core.payload import EncodedPayload


def _encoded(message: list[Any]) -> EncodedPayload | None:
    """Return the payload of an EVENT or RESULT whose only argument is one, else ``None``."""
    arguments = message[-1]
    # A list when the message was received, a tuple when it comes from a component inside the router.
    if type(arguments) in (list, tuple) and len(arguments) == 1 and type(arguments[0]) is EncodedPayload:
        return arguments[0]
    return None


class WrappingJsonSerializer(JsonObjectSerializer):  # type: ignore[misc]  # Autobahn ships no types
    """JSON that puts an ``EncodedPayload``'s own bytes in place of the arguments."""

    def serialize(self, message: list[Any]) -> bytes:
        payload = _encoded(message)
        if payload is None:
            return super().serialize(message)  # type: ignore[no-any-return]
        envelope: bytes = super().serialize(message[:-1])
        # The envelope of a batched serializer ends in a separator behind the closing bracket.
        end = envelope.rindex(b"]")
        return b"%b,[%b]]%b" % (envelope[:end], payload.json, envelope[end + 1 :])


def _decoded(message: list[Any]) -> list[Any]:
    payload = _encoded(message)
    return message if payload is None else [*message[:-1], [payload.value()]]


class WrappingMsgPackSerializer(MsgPackObjectSerializer):  # type: ignore[misc]
    """MessagePack, with an ``EncodedPayload`` by its value."""

    def serialize(self, message: list[Any]) -> bytes:
        return super().serialize(_decoded(message))  # type: ignore[no-any-return]


class WrappingCborSerializer(CBORObjectSerializer):  # type: ignore[misc]
    """CBOR, with an ``EncodedPayload`` by its value."""

    def serialize(self, message: list[Any]) -> bytes:
        return super().serialize(_decoded(message))  # type: ignore[no-any-return]


_WRAPPING = {
    (serializer.NAME, batched): serializer(batched=batched)
    for serializer in (WrappingJsonSerializer, WrappingMsgPackSerializer, WrappingCborSerializer)
    for batched in (False, True)
}


def _use_wrapping_serializer(protocol: Any) -> None:
    # The protocol's Serializer is its own copy; the object serializers are shared by all connections, so that a message
    # sent to many of them is serialised once for each kind.
    serializer = protocol._serializer
    current = serializer._serializer
    serializer._serializer = _WRAPPING[current.NAME, current._batched]


class GatewayWebSocketProtocol(crossbar_protocol.WampWebSocketServerProtocol):  # type: ignore[misc]
    """A client's WebSocket connection."""

    def onConnect(self, request: Any) -> Any:
        accepted = super().onConnect(request)
        _use_wrapping_serializer(self)
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        return accepted


class GatewayRawSocketProtocol(crossbar_protocol.WampRawSocketServerProtocol):  # type: ignore[misc]
    """A client's RawSocket connection."""

    def _on_handshake_complete(self) -> None:
        super()._on_handshake_complete()
        _use_wrapping_serializer(self)
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)


def install_transports() -> None:
    """Make all WAMP transports that start from here on use this module's protocols."""
    crossbar_protocol.WampWebSocketServerFactory.protocol = GatewayWebSocketProtocol
    crossbar_protocol.WampRawSocketServerFactory.protocol = GatewayRawSocketProtocol


class RouterSeam:
    """The router of a realm, seen by a component that runs inside it."""

    def __init__(self, session: Any) -> None:
        """Take the router that ``session``, an in-router component's session, is attached to."""
        self._router = session._transport._router

    def auth_extra(self, session_id: int) -> dict[str, Any] | None:
        """Return what the authenticator noted of a session; ``None`` when it has left."""
        session = self._router._session_id_to_session.get(session_id)
        if session is None:
            return None
        return session._authextra or {}
