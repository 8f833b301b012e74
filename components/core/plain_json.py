"""The plain JSON protocol of those who speak no WAMP: requests in, objects out. Pure.

Owns what a request may be, what a reply looks like, which topics a connection follows, and what is sent to one that comes back;
never touches a connection, a router or a clock. Events are not made here: they are the payloads themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from components.core.replay import ReplayPage
from components.core.topics import STREAMS as STREAMS_OF_SYMBOLS
from components.core.topics import TICK
from components.uris import ERROR_INVALID_ARGUMENT, ERROR_INVALID_MESSAGE, MARKET_STATUS, tick_topic, topic_of

MAX_ID_CHARS = 64
MAX_TEXT_CHARS = 300
"""Of what an error says: a part of what a client sent may be in it."""

ALL = "*"
STATUS = "status"
STREAMS = (*STREAMS_OF_SYMBOLS, STATUS)

_TICK_DOTS = tick_topic("").count(".")
"""In a topic of ticks; in others there is one more, before the family."""

Whole = Annotated[int, Meta(ge=0, le=2**53)]
"""What a JavaScript client can count to."""

Id = Annotated[str, Meta(max_length=MAX_ID_CHARS)] | Annotated[int, Meta(ge=-(2**53), le=2**53)]
OptionalId = Id | None | UnsetType
"""``null`` is as none."""

Symbol = Annotated[str, Meta(pattern=r"^[A-Za-z0-9]{1,20}\Z")]
Symbols = list[Symbol] | Literal["*"]
"""None only beside ``status``, which is of no symbol."""

Stream = Annotated[str, Meta(pattern=rf"^({'|'.join(STREAMS)})\Z")]
Streams = Annotated[list[Stream], Meta(min_length=1, max_length=len(STREAMS))]


class _Request(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    id: OptionalId = UNSET
    """The client's own; its reply has it too."""


class Subscribe(_Request, kw_only=True, frozen=True, tag="subscribe"):
    """Follow symbols."""

    symbols: Symbols
    streams: Streams | UnsetType = UNSET
    every_ms: Whole | UnsetType = UNSET


class Unsubscribe(_Request, kw_only=True, frozen=True, tag="unsubscribe"):
    """Follow them no more; without ``streams`` and ``every_ms`` in no way."""

    symbols: Symbols
    streams: Streams | UnsetType = UNSET
    every_ms: Whole | UnsetType = UNSET


class List(_Request, kw_only=True, frozen=True, tag="list"):
    """Which symbols the token grants."""


class Status(_Request, kw_only=True, frozen=True, tag="status"):
    """How the market stands."""


class Ping(_Request, kw_only=True, frozen=True, tag="ping"):
    """Whether somebody is there."""


class Renew(_Request, kw_only=True, frozen=True, tag="renew"):
    """Go on with another token."""

    token: str


class Resume(_Request, kw_only=True, frozen=True, tag="resume"):
    """Follow the ticks of symbols from where the client was."""

    epoch: Whole
    last: Annotated[dict[Symbol, Whole], Meta(min_length=1)]


Request = Subscribe | Unsubscribe | List | Status | Ping | Renew | Resume


class _OnlyId(msgspec.Struct):
    id: OptionalId = UNSET


class RequestRefused(ValueError):
    """A request is not done; ``uri`` says why in one word, the text for people."""

    def __init__(self, uri: str, text: str, request_id: OptionalId = UNSET) -> None:
        super().__init__(text)
        self.uri = uri
        self.id = request_id


_KINDS: dict[str, Any] = {
    str(kind.__struct_config__.tag): kind for kind in (Subscribe, Unsubscribe, List, Status, Ping, Renew, Resume)
}
_decode = msgspec.json.Decoder(Request).decode
_decode_id = msgspec.json.Decoder(_OnlyId).decode
NOT_TEXT = b"\0"
"""Stands for a message in a binary frame."""

_BROKEN = "a message is a request in JSON, one to a text frame"
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def parse(message: bytes, rates: Iterable[int] = ()) -> Request:
    """Return the request that a message is; ``rates``, the node's in ms, are named where something else is in their place.

    Raises:
        RequestRefused: it is none, ``crosstick.error.invalid_message``.
    """
    try:
        request: Request = _decode(message)
    except _UNREADABLE:
        raise RequestRefused(ERROR_INVALID_MESSAGE, _explained(message, rates), id_of(message)) from None
    if isinstance(request, Subscribe | Unsubscribe) and not request.symbols and STATUS not in streams_of(request):
        raise RequestRefused(ERROR_INVALID_MESSAGE, _rule("symbols", rates), request.id)
    return request


def _explained(message: bytes, rates: Iterable[int]) -> str:
    """Return for people why a message is no request."""
    if message == NOT_TEXT:
        return f"{_BROKEN}; this is a binary one"
    try:
        # All of it: the error is that of the first part.
        said = msgspec.json.decode(message)
    except _UNREADABLE:
        return f"{_BROKEN}; this is no JSON"
    if not isinstance(said, dict):
        return f"{_BROKEN}, an object"
    kind = _KINDS.get(str(said.get("type")))
    if kind is None:
        return f"type must be one of {', '.join(_KINDS)}"
    fields = {each.name: each for each in msgspec.structs.fields(kind)}
    if not said.keys() <= {"type", *fields}:
        return f"{kind.__struct_config__.tag} has a field that is unknown; known are {', '.join(['type', *fields])}"
    for name, each in fields.items():
        if name in said:
            try:
                msgspec.convert(said[name], Id | None if name == "id" else each.type)
            except msgspec.ValidationError:
                return _rule(name, rates)
        elif each.required:
            return _rule(name, rates)
    return _BROKEN


def _rule(name: str, rates: Iterable[int]) -> str:
    if name == "every_ms" and rates:
        return f"every_ms must be one of {', '.join(map(str, sorted(rates)))}"
    return f"{name} must be {_RULES[name]}"


_RULES = {
    "id": f"text of up to {MAX_ID_CHARS} characters or an integer",
    "symbols": 'a list of symbols or "*"',
    "streams": f"a list of one or more of {', '.join(STREAMS)}",
    "every_ms": "a number of milliseconds",
    "token": "text",
    "epoch": "a whole number",
    "last": "an object with the last seq by symbol",
}


def id_of(message: bytes) -> OptionalId:
    """Return the id of a message that may be no request, as far as it has one."""
    try:
        request_id = _decode_id(message).id
    except _UNREADABLE:
        return UNSET
    return UNSET if request_id is None else request_id


# What is followed


def families(request: Subscribe | Unsubscribe, rates: Mapping[int, str]) -> tuple[str, ...]:
    """Return which topics of a symbol a request names, by their third component: ``""`` for all ticks.

    ``rates`` are the node's, by their interval in ms; ``status`` is of no symbol. A subscription without
    streams is one to ticks; the end of subscriptions without streams and rate is that of all of symbols.

    Raises:
        RequestRefused: the node has no such rate, or it is one of streams without ticks.
    """
    every_ms = request.every_ms
    if every_ms is not UNSET and every_ms not in rates:
        known = ", ".join(map(str, sorted(rates))) or "none"
        raise RequestRefused(ERROR_INVALID_ARGUMENT, f"every_ms must be one of {known}", request.id)
    ends = isinstance(request, Unsubscribe)
    streams = streams_of(request)
    if every_ms is not UNSET and TICK not in streams:
        raise RequestRefused(ERROR_INVALID_ARGUMENT, 'every_ms is for streams with "tick"', request.id)
    named: list[str] = []
    for stream in streams:
        if stream == STATUS:
            continue
        if stream != TICK:
            named.append(STREAMS_OF_SYMBOLS[stream])
        elif every_ms is not UNSET:
            named.append(rates[every_ms])
        else:
            named += ["", *rates.values()] if ends else [""]
    return tuple(named)


def replaced(named: Iterable[str], rates: Mapping[int, str]) -> tuple[str, ...]:
    """Return the families that a subscription to others ends: ticks of a symbol come at one rate, or all of them."""
    ticks = ("", *rates.values())
    named = set(named)
    return tuple(family for family in ticks if family not in named) if named.intersection(ticks) else ()


def streams_of(request: Subscribe | Unsubscribe) -> list[str]:
    """Return the streams that a request names, or those that it means by naming none."""
    if request.streams is not UNSET:
        return list(dict.fromkeys(request.streams))
    ends_all = isinstance(request, Unsubscribe) and request.every_ms is UNSET
    return list(STREAMS_OF_SYMBOLS) if ends_all else [TICK]


class Following:
    """What one connection follows: topics, and families of which it follows all that its token grants."""

    def __init__(self) -> None:
        self.topics: dict[str, int | None] = {}
        """By topic the subscription; ``None`` while it is being asked for."""
        self._all: dict[str, set[str]] = {}
        """By family the symbols that are left out nevertheless."""

    @property
    def follows_all(self) -> bool:
        """Tell whether it follows all of something, also what is listed later."""
        return bool(self._all)

    def missing(self, symbols: Iterable[str], named: Iterable[str]) -> list[str]:
        """Return the topics of families of symbols that are not followed."""
        topics = self.topics
        symbols = list(symbols)
        return [topic for family in named for symbol in symbols if (topic := topic_of(symbol, family)) not in topics]

    def gone(self, symbols: Iterable[str] | None, named: Iterable[str]) -> list[str]:
        """Return the topics of families of symbols, or of all (``None``), that are followed."""
        named = tuple(named)
        if symbols is None:
            # There may be thousands, of which none is meant, so nothing is taken apart.
            ends, ticks = tuple(f".{family}" for family in named if family), "" in named
            return [
                topic
                for topic in self._of_symbols()
                if (topic.endswith(ends) if topic.count(".") > _TICK_DOTS else ticks)
            ]
        symbols = list(symbols)
        return [topic for family in named for symbol in symbols if (topic := topic_of(symbol, family)) in self.topics]

    def begin(self, symbols: Iterable[str], named: Iterable[str], *, everything: bool) -> None:
        """Take note that families of symbols are wanted, or of all that are granted, whenever they are listed."""
        symbols = list(symbols)
        for family in named:
            if everything:
                self._all[family] = set()
            elif family in self._all:
                self._all[family].difference_update(symbols)

    def end(self, symbols: Iterable[str] | None, named: Iterable[str]) -> None:
        """Take note that families of symbols, or of all (``None``), are not wanted any more."""
        for family in named:
            if symbols is None:
                self._all.pop(family, None)
            elif family in self._all:
                self._all[family].update(symbols)

    def listed(self, symbols: Iterable[str]) -> list[str]:
        """Return the topics that are missing where all are followed, and these symbols are granted."""
        symbols = list(symbols)
        return [
            topic
            for family, without in self._all.items()
            for symbol in symbols
            if symbol not in without and (topic := topic_of(symbol, family)) not in self.topics
        ]

    def follows(self, symbol: str, named: Iterable[str]) -> bool:
        """Tell whether something of a symbol is followed; ``named`` are all families that there are."""
        return any(topic_of(symbol, family) in self.topics for family in named)

    def _of_symbols(self) -> list[str]:
        return [topic for topic in self.topics if topic != MARKET_STATUS]


# Objects


def typed(kind: str, request_id: OptionalId = UNSET, **fields: Any) -> bytes:
    """Return an object of a type, with the id of what it answers if that had one; fields that are ``UNSET`` are left out."""
    said = {"type": kind, "id": UNSET if request_id is None else request_id, **fields}
    return msgspec.json.encode({name: value for name, value in said.items() if value is not UNSET})


def error(
    uri: str,
    text: str,
    request_id: OptionalId = UNSET,
    limit: object = UNSET,
    value: object = UNSET,
) -> bytes:
    """Return the object that says why a request was not done."""
    shown = text if len(text) <= MAX_TEXT_CHARS else text[:MAX_TEXT_CHARS] + "…"
    return typed("error", request_id, code=uri, message=shown, limit=limit, value=value)


def status(payload: bytes) -> bytes:
    """Return the object that an event of ``market.status`` is, by its JSON: that of an object with fields."""
    return b'{"type":"status",' + payload[1:]


def gap(symbol: str, from_seq: int, to_seq: int | None, reason: str) -> bytes:
    """Return the object that says which ticks cannot be had any more; ``to_seq`` is ``None`` where nobody knows."""
    return typed("gap", symbol=symbol, from_seq=from_seq, to_seq=to_seq, reason=reason)


def replayed(symbol: str, page: ReplayPage) -> Iterator[tuple[bool, bytes]]:
    """Yield what a client that comes back is sent of a page, by ``seq``: whether it is an event, and the object."""
    events = ((seq, True, payload) for seq, payload in page.events)
    gaps = ((first, False, gap(symbol, first, last, "gone")) for first, last in page.missing)
    for _, is_event, payload in sorted(chain(events, gaps), key=lambda entry: entry[0]):
        yield is_event, payload
