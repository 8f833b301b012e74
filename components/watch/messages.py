"""What a gateway says over plain JSON, as one kind of object. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec


class Exchange(msgspec.Struct, frozen=True):
    """What ``market.status`` says of the feed's exchange."""

    url: str = ""
    connections: int = 0
    last_error: str | None = None


class Message(msgspec.Struct, frozen=True):
    """An event of the market, without ``type``, or an object with one; what it does not have is empty.

    Numbers with a fraction are ``Decimal``, with the digits that came.
    """

    type: str = ""
    id: Any = None
    symbol: str = ""
    price: Any = None
    volume: Any = None
    side: str = ""
    ts: int = 0
    """Of a tick the exchange's time, ms."""
    seq: int = 0
    merged: int = 1
    dropped: int = 0
    bid: Any = None
    bid_volume: Any = None
    ask: Any = None
    ask_volume: Any = None
    received_ts: int = 0
    epoch: int = 0
    symbols: Any = None
    """Names, or of a status their number."""
    symbols_version: Any = None
    code: str = ""
    message: str = ""
    from_seq: int = 0
    to_seq: int | None = None
    reason: str = ""
    time: int = 0
    feed: str | None = None
    state: str = ""
    since: int | None = None
    started: int | None = None
    """When the feed was, ms; feeds of an earlier version do not say."""
    counters: Any = None
    since_lead: Any = None
    stale: int = 0
    exchange: Exchange = Exchange()
    expires: int = 0


_one = msgspec.json.Decoder(Message, float_hook=Decimal)
_several = msgspec.json.Decoder(list[Message], float_hook=Decimal)


def decode(frame: str | bytes) -> list[Message]:
    """Return the objects in a frame, which has one or an array of them.

    Raises:
        ValueError: it has something else.
    """
    if frame[:1] in ("[", b"["):
        return _several.decode(frame)
    return [_one.decode(frame)]


def digits(number: Decimal | int | None) -> str:
    """Return a number as it came, never with an exponent; ``-`` where there is none."""
    if number is None:
        return "-"
    return format(number, "f") if isinstance(number, Decimal) else str(number)
