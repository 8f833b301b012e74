"""WAMP serializers that know an ``EncodedPayload``: JSON puts its bytes into the message, binary ones encode its value.

Used for what the fan-out does not send (retained events, results of procedures, events with options), and for all that comes
and is no plain request.
"""

from __future__ import annotations

from typing import Any

import msgspec
from autobahn.wamp.serializer import CBORObjectSerializer, JsonObjectSerializer, MsgPackObjectSerializer

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

    def unserialize(self, payload: bytes) -> list[Any]:
        # Autobahn builds a decoder in Python for each message, for the sake of binary data, which an escaped NUL begins.
        if not self._batched and b"\\u0000" not in payload:
            try:
                return [msgspec.json.decode(payload)]
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                # Either it is to be refused, or it is one of the few things that only Python's decoder takes, such as NaN.
                return super().unserialize(payload)  # type: ignore[no-any-return]
        return super().unserialize(payload)  # type: ignore[no-any-return]


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


WRAPPING = {
    (serializer.NAME, batched): serializer(batched=batched)
    for serializer in (WrappingJsonSerializer, WrappingMsgPackSerializer, WrappingCborSerializer)
    for batched in (False, True)
}
"""One object for all connections, by name and batching, so that a message to many of them is serialised once for each kind."""
