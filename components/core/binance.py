"""Turn Binance spot stream frames into values: one frame in, one frozen value out.

Pure: knows the exchange's messages and nothing of sockets, sequences or topics. Prices and quantities stay the decimal
text that the exchange sent. Source: Binance's public spot API documentation, "WebSocket Streams".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

import msgspec

MAX_STREAMS_PER_CONNECTION = 1024

# A JSON number without sign or exponent, so that the exchange's text may stand in JSON unquoted; at most 18 digits before
# the point, which every serializer can carry.
_DECIMAL = r"(?!0[0-9])[0-9]{1,18}(?:\.[0-9]{1,18})?"
_is_decimal = re.compile(_DECIMAL).fullmatch
# Several at once, joined by spaces: that saves a call and a match for each.
_are_two_decimals = re.compile(f"{_DECIMAL} {_DECIMAL}").fullmatch
_are_four_decimals = re.compile(f"{_DECIMAL} {_DECIMAL} {_DECIMAL} {_DECIMAL}").fullmatch
_are_six_decimals = re.compile(" ".join([_DECIMAL] * 6)).fullmatch

_Whole = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class MalformedFrame(ValueError):
    """A frame that is not what the exchange documents; the text says what was expected."""


# This and the tickers are Structs, since one is made per message: a frozen dataclass takes several times as long to make.
class Trade(msgspec.Struct, frozen=True, gc=False):
    """One trade, or several that one taker order made at one price (``aggTrade``)."""

    symbol: str
    price: str
    volume: str
    side: str
    """The taker's side, ``buy`` or ``sell``."""

    ts_ms: int
    id: int
    """The exchange's id of this message: of the trade, or of the aggregate."""

    first_trade_id: int
    last_trade_id: int


class BookTicker(msgspec.Struct, frozen=True, gc=False):
    """Best bid and ask. The exchange gives no time for them."""

    symbol: str
    update_id: int
    bid: str
    bid_volume: str
    ask: str
    ask_volume: str


class MiniTicker(msgspec.Struct, frozen=True, gc=False):
    """Statistics of the last 24 hours. The window moves on with time: each figure may fall as well as rise."""

    symbol: str
    ts_ms: int
    """When the exchange made them; the exchange numbers them in no other way."""

    last: str
    open: str
    high: str
    low: str
    volume: str
    """In the base asset."""

    quote_volume: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a control message; ``error`` is ``None`` when it was accepted."""

    id: int | str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class ServerShutdown:
    """The exchange is about to close this connection."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A well-formed frame of a stream that is not turned into ticks."""

    stream: str


Frame = Trade | BookTicker | MiniTicker | Reply | ServerShutdown | Ignored


class _Envelope(msgspec.Struct):
    # Combined streams: {"stream": …, "data": …}. Control replies: {"result": null, "id": 1}, {"code": 2, "msg": …},
    # and {"error": {"code": 2, "msg": …}, "id": 1} as some servers of the exchange send it.
    stream: str | None = None
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    id: int | str | None = None
    code: int | None = None
    msg: str | None = None
    e: str | None = None


class _Trade(msgspec.Struct):
    # {"e":"trade","E":1,"s":"BNBBTC","t":12345,"p":"0.001","q":"100","T":2,"m":true,"M":true}
    s: str
    t: _Whole
    p: str
    q: str
    T: _Whole
    m: bool


class _AggTrade(msgspec.Struct):
    # {"e":"aggTrade","E":1,"s":"BNBBTC","a":12345,"p":"0.001","q":"100","f":100,"l":105,"T":2,"m":true,"M":true}
    s: str
    a: _Whole
    p: str
    q: str
    f: _Whole
    l: _Whole  # noqa: E741 - the exchange's name
    T: _Whole
    m: bool


class _BookTicker(msgspec.Struct):
    # {"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21","a":"25.36520000","A":"40.66"}
    u: _Whole
    s: str
    b: str
    B: str
    a: str
    A: str


class _MiniTicker(msgspec.Struct):
    # {"e":"24hrMiniTicker","E":1672515782136,"s":"BNBBTC",
    #  "c":"0.0025","o":"0.0010","h":"0.0025","l":"0.0010","v":"10000","q":"18"}
    E: _Whole
    s: str
    c: str
    o: str
    h: str
    l: str  # noqa: E741 - the exchange's name
    v: str
    q: str


_envelope = msgspec.json.Decoder(_Envelope)
_trade = msgspec.json.Decoder(_Trade)
_agg_trade = msgspec.json.Decoder(_AggTrade)
_book_ticker = msgspec.json.Decoder(_BookTicker)
_mini_ticker = msgspec.json.Decoder(_MiniTicker)


def parse_frame(frame: bytes) -> Frame:
    """Return what one text frame of a combined connection says.

    Fields never seen before are ignored, and so are whole streams (``Ignored``).

    Raises:
        MalformedFrame: not JSON, a documented field missing or of another type, or a price that is no plain decimal.
    """
    try:
        envelope = _envelope.decode(frame)
        if envelope.stream is None:
            return _uncombined(envelope)
        if envelope.data is msgspec.UNSET:
            raise MalformedFrame("a combined frame needs data, had none")
        stream = envelope.stream
        kind = stream[stream.find("@") + 1 :]
        if kind == "trade":
            return _from_trade(_trade.decode(envelope.data))
        if kind == "bookTicker":
            return _from_book_ticker(_book_ticker.decode(envelope.data))
        if kind == "aggTrade":
            return _from_agg_trade(_agg_trade.decode(envelope.data))
        if kind == "miniTicker":
            return _from_mini_ticker(_mini_ticker.decode(envelope.data))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MalformedFrame(str(error)) from error
    if kind == "!serverShutdown":
        return ServerShutdown()
    return Ignored(stream)


def _uncombined(envelope: _Envelope) -> Frame:
    if envelope.e == "serverShutdown":
        return ServerShutdown()
    if envelope.code is not None:
        return Reply(envelope.id, f"{envelope.code}: {envelope.msg}")
    if envelope.error is not msgspec.UNSET:
        return Reply(envelope.id, bytes(envelope.error).decode())
    if envelope.result is not msgspec.UNSET:
        return Reply(envelope.id, None)
    raise MalformedFrame("expected a combined frame or a control reply, was neither")


def _from_trade(raw: _Trade) -> Trade:
    if not _are_two_decimals(f"{raw.p} {raw.q}"):
        raise _no_decimal(p=raw.p, q=raw.q)
    return Trade(raw.s, raw.p, raw.q, "sell" if raw.m else "buy", raw.T, raw.t, raw.t, raw.t)


def _from_agg_trade(raw: _AggTrade) -> Trade:
    if raw.f > raw.l:
        raise MalformedFrame(f"aggTrade must have f <= l, had {raw.f} > {raw.l}")
    if not _are_two_decimals(f"{raw.p} {raw.q}"):
        raise _no_decimal(p=raw.p, q=raw.q)
    return Trade(raw.s, raw.p, raw.q, "sell" if raw.m else "buy", raw.T, raw.a, raw.f, raw.l)


def _from_book_ticker(raw: _BookTicker) -> BookTicker:
    if not _are_four_decimals(f"{raw.b} {raw.B} {raw.a} {raw.A}"):
        raise _no_decimal(b=raw.b, B=raw.B, a=raw.a, A=raw.A)
    return BookTicker(raw.s, raw.u, raw.b, raw.B, raw.a, raw.A)


def _from_mini_ticker(raw: _MiniTicker) -> MiniTicker:
    if not _are_six_decimals(f"{raw.c} {raw.o} {raw.h} {raw.l} {raw.v} {raw.q}"):
        raise _no_decimal(c=raw.c, o=raw.o, h=raw.h, l=raw.l, v=raw.v, q=raw.q)
    return MiniTicker(raw.s, raw.E, raw.c, raw.o, raw.h, raw.l, raw.v, raw.q)


def _no_decimal(**fields: str) -> MalformedFrame:
    name, text = next((name, text) for name, text in fields.items() if not _is_decimal(text))
    return MalformedFrame(f"{name} must be a plain decimal, was {text[:40]!r}")
