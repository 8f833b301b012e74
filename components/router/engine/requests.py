"""The three requests that come by the thousand, recognised where nothing is special about them, and their replies.

SUBSCRIBE with no options but ``match`` and ``get_retained``, UNSUBSCRIBE, and PUBLISH with one argument and no option; of
well-formed ids. Whatever else a client sends is not recognised and is Autobahn's to parse, and to refuse. Sources: WAMP
specification, "SUBSCRIBE", "UNSUBSCRIBE", "PUBLISH", "IDs". Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec

from components.core.client_frames import BINARY, TEXT
from components.core.websocket_frames import binary_frame, text_frame

Id = Annotated[int, msgspec.Meta(ge=0, le=2**53)]

MAX_BRACKETS = 100
"""Arrays and objects in an argument, more of which are not looked at here: nesting is limited by the serializers."""


class NoOptions(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An empty object."""


class SubscribeOptions(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The options of a plain SUBSCRIBE."""

    match: Literal["exact", "prefix", "wildcard"] = "exact"
    get_retained: bool = False


class Subscribe(msgspec.Struct, array_like=True, tag=32, forbid_unknown_fields=True, gc=False):
    """``[32, request, options, topic]``."""

    request: Id
    options: SubscribeOptions
    topic: str


class Unsubscribe(msgspec.Struct, array_like=True, tag=34, forbid_unknown_fields=True, gc=False):
    """``[34, request, subscription]``."""

    request: Id
    subscription: Id


class Publish(msgspec.Struct, array_like=True, tag=16, forbid_unknown_fields=True, gc=False):
    """``[16, request, {}, topic, [argument]]``, with the argument's own bytes."""

    request: Id
    options: NoOptions
    topic: str
    arguments: tuple[msgspec.Raw]


Request = Subscribe | Unsubscribe | Publish


class RequestCodec:
    """How one serializer writes requests and replies over WebSocket."""

    def __init__(
        self,
        first_octet: int,
        decode: Callable[[bytes], Request],
        subscribed: Callable[[int, int], bytes],
        unsubscribed: Callable[[int], bytes],
    ) -> None:
        self.first_octet = first_octet
        """Of the frames that carry requests; see ``client_frames``."""
        self._decode = decode
        self.subscribed = subscribed
        """The frame of a SUBSCRIBED, from request and subscription."""
        self.unsubscribed = unsubscribed
        """The frame of an UNSUBSCRIBED, from its request."""

    def recognise(self, message: bytes) -> Request | None:
        """Return the plain request that a message is, else ``None``."""
        try:
            return self._decode(message)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return None


def is_plain_json(argument: bytes) -> bool:
    """Tell whether an argument's JSON may go to all receivers as it is: it means the same to every serializer.

    Not so an escaped surrogate, which no UTF-8 can hold, and an escaped NUL, by which WAMP marks binary data.
    """
    if b"\\u" in argument and (b"\\ud" in argument or b"\\uD" in argument or b"\\u0000" in argument):
        return False
    return argument.count(b"[") + argument.count(b"{") <= MAX_BRACKETS


def _json_subscribed(request: int, subscription: int) -> bytes:
    return text_frame(b"[33,%d,%d]" % (request, subscription))


def _json_unsubscribed(request: int) -> bytes:
    return text_frame(b"[35,%d]" % request)


def _msgpack_subscribed(request: int, subscription: int) -> bytes:
    return binary_frame(msgspec.msgpack.encode((33, request, subscription)))


def _msgpack_unsubscribed(request: int) -> bytes:
    return binary_frame(msgspec.msgpack.encode((35, request)))


CODECS = {
    ("json", False): RequestCodec(TEXT, msgspec.json.Decoder(Request).decode, _json_subscribed, _json_unsubscribed),
    # Without PUBLISH: what an argument in MessagePack is for JSON receivers, the stock serializer says.
    ("msgpack", False): RequestCodec(
        BINARY,
        msgspec.msgpack.Decoder(Subscribe | Unsubscribe).decode,
        _msgpack_subscribed,
        _msgpack_unsubscribed,
    ),
}
"""By serializer and whether it is a batched one; others have no plain requests."""
