"""What an EVENT looks like on the wire, for each serializer and framing: one shared object each.

The payload's bytes are wrapped, not re-encoded, for JSON; binary serializers encode its value, once per event. Sources: WAMP
specification, "EVENT" and "Batched WebSocket transport"; RFC 6455 section 5.2 for WebSocket frames.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from struct import pack
from typing import Any

import cbor2
import msgpack

from components.core.plain_json import status
from components.core.websocket_frames import binary_frame, text_frame
from components.router.engine.events import Event
from components.uris import MARKET_STATUS

EVENT = 36


def _details(event: Event) -> dict[str, Any]:
    details: dict[str, Any] = {"topic": event.topic} if event.topic_shown else {}
    if event.retained:
        details["retained"] = True
    # Attributes of our own, named as the WAMP specification wants such.
    if event.merged:
        details["_merged"] = event.merged
    if event.dropped:
        details["_dropped"] = event.dropped
    return details


def json_message(event: Event) -> bytes:
    """Return an EVENT around the payload's own bytes."""
    if event.topic_shown or event.merged or event.dropped or event.retained:
        details = json.dumps(_details(event), separators=(",", ":")).encode()
        return b"[36,%d,%d,%b,[%b]]" % (event.subscription, event.publication, details, event.payload.json)
    return b"[36,%d,%d,{},[%b]]" % (event.subscription, event.publication, event.payload.json)


def _message(event: Event) -> list[Any]:
    return [EVENT, event.subscription, event.publication, _details(event), [event.payload.value()]]


def msgpack_message(event: Event) -> bytes:
    """Return an EVENT in MessagePack."""
    packed: bytes = msgpack.packb(_message(event), use_bin_type=True)
    return packed


def cbor_message(event: Event) -> bytes:
    """Return an EVENT in CBOR."""
    return cbor2.dumps(_message(event))


def _json_batched(event: Event) -> bytes:
    return json_message(event) + b"\x18"


def _length_prefixed(message: Callable[[Event], bytes]) -> Callable[[Event], bytes]:
    def prefixed(event: Event) -> bytes:
        data = message(event)
        return pack("!L", len(data)) + data

    return prefixed


MESSAGES: dict[tuple[str, bool], Callable[[Event], bytes]] = {
    ("json", False): json_message,
    ("json", True): _json_batched,
    ("msgpack", False): msgpack_message,
    ("msgpack", True): _length_prefixed(msgpack_message),
    ("cbor", False): cbor_message,
    ("cbor", True): _length_prefixed(cbor_message),
}
"""How a message is made, by serializer and whether the serializer is a batched one."""


class EventEncoding:
    """An ``Encoding`` of the fan-out: how a message is made, and the frame around it."""

    def __init__(self, message: Callable[[Event], bytes], framed: Callable[[bytes], bytes] | None) -> None:
        """Without ``framed`` the connection frames by itself, as compressed ones must, and nothing can be joined."""
        self._message = message
        self._framed = framed
        self.joined = framed is not None

    def frames(self, events: Sequence[Event]) -> list[bytes]:
        """Return what is sent for each event."""
        messages = map(self._message, events)
        return list(messages if self._framed is None else map(self._framed, messages))

    def pieces(self, frames: list[bytes]) -> list[bytes]:
        """Return one block; without a frame of ours, messages."""
        return [b"".join(frames)] if self.joined else frames


def _rawsocket_frame(message: bytes) -> bytes:
    # The first octet is the frame's type, 0 for a message; 24 bits of length follow.
    return pack("!L", len(message)) + message


WEBSOCKET = {
    key: EventEncoding(message, text_frame if key[0] == "json" else binary_frame) for key, message in MESSAGES.items()
}
RAWSOCKET = {key: EventEncoding(message, _rawsocket_frame) for key, message in MESSAGES.items()}
UNFRAMED = {key: EventEncoding(message, None) for key, message in MESSAGES.items()}


MAX_BATCH = 200
"""Events in one array: some 25 kB, which every client's library takes for one message."""


def _object(event: Event) -> bytes:
    return status(event.payload.json) if event.topic == MARKET_STATUS else event.payload.json


class PlainEncoding:
    """An ``Encoding`` for clients of the plain JSON protocol: an event is its payload, a batch an array of such."""

    def __init__(self, *, framed: bool, batched: bool) -> None:
        """Without ``framed`` the connection frames by itself, as compressed ones must."""
        self.joined = framed
        self._batched = batched

    def frames(self, events: Sequence[Event]) -> list[bytes]:
        """Return what is sent for each event."""
        return self.objects([_object(event) for event in events])

    def objects(self, objects: list[bytes]) -> list[bytes]:
        """Return what is sent for each object, as ``frames`` does for events."""
        return objects if self._batched or not self.joined else list(map(text_frame, objects))

    def pieces(self, frames: list[bytes]) -> list[bytes]:
        """Return one block; without a frame of ours, messages."""
        if self._batched:
            frames = [
                b"[%b]" % b",".join(frames[start : start + MAX_BATCH]) for start in range(0, len(frames), MAX_BATCH)
            ]
            if self.joined:
                frames = list(map(text_frame, frames))
        return [b"".join(frames)] if self.joined else frames


PLAIN = {
    (framed, batched): PlainEncoding(framed=framed, batched=batched)
    for framed in (False, True)
    for batched in (False, True)
}
"""By whether it frames, and whether the client wants arrays."""


_TYPED = b'{"type":"'
_ERROR = b"error"
PROBLEM = b"problem"
"""What an object of type ``error`` is named as a server-sent event: ``error`` is what a browser calls a lost connection."""


class StreamEncoding(PlainEncoding):
    """An ``Encoding`` for server-sent events (HTML standard, 9.2).

    An event of the market is a message, other objects are events named by their type. A block is one chunk, in HTTP/1.1.
    """

    def __init__(self, *, chunked: bool) -> None:
        super().__init__(framed=True, batched=False)
        self._chunked = chunked

    def objects(self, objects: list[bytes]) -> list[bytes]:
        """Return what is sent for each object."""
        return list(map(_server_sent, objects))

    def pieces(self, frames: list[bytes]) -> list[bytes]:
        """Return one block."""
        block = b"".join(frames)
        return [b"%x\r\n%b\r\n" % (len(block), block)] if self._chunked else [block]

    @property
    def end(self) -> bytes:
        """What ends the stream."""
        return b"0\r\n\r\n" if self._chunked else b""


def _server_sent(data: bytes) -> bytes:
    name = b""
    if data.startswith(_TYPED):
        kind = data[len(_TYPED) : data.index(b'"', len(_TYPED))]
        name = b"event: %b\n" % (PROBLEM if kind == _ERROR else kind)
    # JSON may have line breaks between its parts; in a field there is none.
    if b"\n" in data or b"\r" in data:
        data = b"".join(data.splitlines())
    return b"%bdata: %b\n\n" % (name, data)


STREAM = {chunked: StreamEncoding(chunked=chunked) for chunked in (False, True)}
"""By whether the answer is in chunks."""
