"""``/api/stream``: the market as server-sent events, for those behind proxies that break WebSockets.

Owns what the URL may ask for, and what is answered where there is no stream; the stream itself is a session like any other
(``seam.plain_stream``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from components.core import plain_json
from components.core.client_address import LOCAL, client_address, network_key
from components.core.entries import InvalidEntry
from components.core.grants import grants_of
from components.core.plain_json import ALL, RequestRefused, Resume, Subscribe
from components.core.rates import Rate
from components.environment import refuse_to_start
from components.router import runtime
from components.router.authenticator import Principal
from components.router.http_api.access import ApiSettings, query_of
from components.router.http_api.cors import cors_headers
from components.router.http_api.problems import (
    ApiError,
    draining,
    limit_exceeded,
    not_ready,
    unknown_name,
    unknown_symbol,
)
from components.router.http_api.query import RESUME_PATTERN
from components.router.http_api.request_headers import header_text, header_texts
from components.router.http_api.resource import ApiResource
from components.router.listeners.connection import ListenerConnection, connection_of, listener_of
from components.router.listeners.listener import MAX_CONNECTIONS, retry_after_s
from components.router.plain.entry import Entry, RealmFull
from components.router.seam.plain_stream import StreamConnection
from components.uris import ERROR_INVALID_ARGUMENT, ERROR_LIMIT_EXCEEDED, ERROR_NOT_FOUND

NAMES = ("symbols", "streams", "every_ms", "resume")
_RESUME = re.compile(RESUME_PATTERN)
_RULES = {
    "symbols": "symbols must be * or names with commas between",
    "streams": f"streams must be one or more of {', '.join(plain_json.STREAMS)}, with commas between",
    "resume": "resume must be <epoch>:<SYMBOL>=<seq>,…",
}


def read_stream_query(text: str, rates: Sequence[Rate]) -> list[plain_json.Request]:
    """Return what a URL's query, without ``?``, asks to be sent; ``rates`` are the node's.

    Raises:
        ApiError: it asks for nothing, or for what there cannot be.
    """
    values: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name == "token":
            continue
        if name not in NAMES:
            raise unknown_name("parameter", name, (*NAMES, "token"))
        if name in values:
            raise ApiError(ERROR_INVALID_ARGUMENT, f"{name} is there twice; several symbols have commas between")
        values[name] = value
    asked: dict[str, Any] = {"type": "subscribe", "symbols": []}
    for name, kind in (("symbols", plain_json.Symbols), ("streams", plain_json.Streams)):
        if name in values and (name != "symbols" or values[name]):
            value = values[name]
            try:
                asked[name] = msgspec.convert(value if name == "symbols" and value == ALL else value.split(","), kind)
            except msgspec.ValidationError:
                raise ApiError(ERROR_INVALID_ARGUMENT, _RULES[name]) from None
    if "every_ms" in values:
        # What is no number is no rate either.
        asked["every_ms"] = int(values["every_ms"]) if re.fullmatch("[0-9]{1,9}", values["every_ms"]) else 0
    subscribe = msgspec.convert(asked, Subscribe)
    if not subscribe.symbols and plain_json.STATUS not in plain_json.streams_of(subscribe):
        raise ApiError(ERROR_INVALID_ARGUMENT, _RULES["symbols"])
    try:
        plain_json.families(subscribe, {rate.interval_ms: rate.name for rate in rates})
    except RequestRefused as refused:
        raise ApiError(ERROR_INVALID_ARGUMENT, str(refused)) from None
    return [*_resumed(values.get("resume"), subscribe), subscribe]


def _resumed(text: str | None, subscribe: Subscribe) -> list[Resume]:
    if text is None:
        return []
    said = _RESUME.fullmatch(text)
    if said is None:
        raise ApiError(ERROR_INVALID_ARGUMENT, _RULES["resume"])
    last = {symbol: int(seq) for symbol, _, seq in (each.partition("=") for each in said[2].split(","))}
    try:
        resume = msgspec.convert({"type": "resume", "epoch": int(said[1]), "last": last}, Resume)
    except msgspec.ValidationError:
        raise ApiError(ERROR_INVALID_ARGUMENT, _RULES["resume"]) from None
    wanted = last if subscribe.symbols == ALL else set(subscribe.symbols)
    if not last.keys() <= set(wanted) or "tick" not in plain_json.streams_of(subscribe) or subscribe.every_ms:
        raise ApiError(ERROR_INVALID_ARGUMENT, "resume is for symbols whose ticks, all of them, are asked for")
    return [resume]


class Stream(ApiResource):
    """The resource; a child ``stream`` of ``/api``, or a path of its own."""

    methods = (b"GET", b"OPTIONS")

    def __init__(self, extra: Any = None) -> None:
        """Be made with ``realm`` and ``roles``, as for ``/api``."""
        super().__init__()
        try:
            self._entry = Entry(ApiSettings.from_extra(extra))
        except InvalidEntry as error:
            refuse_to_start(f"/api/stream: {error}")

    async def body(self, request: Any) -> bytes:
        raise ApiError(ERROR_NOT_FOUND)

    async def _answer(self, request: Any, gone: list[bool]) -> None:
        if request.postpath:
            raise ApiError(ERROR_NOT_FOUND)
        connection = connection_of(request.transport)
        listener = listener_of(request.transport)
        if listener is not None and listener.has_stopped:
            raise draining()
        address = _address(request, connection)
        network = network_key(address)
        authorization = header_texts(request, "Authorization")
        principal = await self._entry.admit(query_of(request), authorization, (), address, network)
        if gone:
            return
        node = runtime.current()
        if node is None or node.market is None:
            raise not_ready("the gateway is not up")
        requests = read_stream_query(query_of(request), node.rates)
        _check_symbols(requests, principal, node.market.symbols)
        refused = None if connection is None else connection.admit(address)
        if refused is not None:
            if refused.limit.name == MAX_CONNECTIONS:
                raise RealmFull(ERROR_LIMIT_EXCEEDED, limit=refused.limit.name, value=refused.limit.value)
            raise limit_exceeded(refused.limit.name, refused.limit.value, retry_after_s(refused), close=True)
        self._begin(request, connection, address, network, principal, requests)

    @staticmethod
    def _begin(
        request: Any,
        connection: ListenerConnection | None,
        address: str,
        network: str,
        principal: Principal,
        requests: Sequence[plain_json.Request],
    ) -> None:
        for name, value in {
            b"Content-Type": b"text/event-stream",
            b"Cache-Control": b"no-store",
            b"Vary": b"Origin",
            b"Connection": b"close",
            # NGINX would gather what is to come at once.
            b"X-Accel-Buffering": b"no",
        }.items():
            request.setHeader(name, value)
        policy, secure = request.channel.policy, request.isSecure()
        request.cors = cors_headers(
            policy.origins, header_text(request, "Origin"), header_text(request, "Host"), secure=secure
        )
        StreamConnection(request, connection, address, network).begin(principal, requests)


def _address(request: Any, connection: ListenerConnection | None) -> str:
    if connection is None:
        return LOCAL
    x_forwarded_for, forwarded = (header_texts(request, name) for name in ("X-Forwarded-For", "Forwarded"))
    proxies = connection.listener.proxies
    if connection.address not in proxies:
        x_forwarded_for = forwarded = []
    return client_address(connection.address, x_forwarded_for, forwarded, proxies)


def _check_symbols(requests: Sequence[plain_json.Request], principal: Principal, listed: Sequence[str]) -> None:
    if not listed:
        raise not_ready("no feed has reported its symbols yet")
    extra = principal["extra"]
    grants = grants_of(principal["role"], principal["authid"], extra["symbols"], extra["services"], frozenset())
    known = {symbol for symbol in listed if grants.grants_symbol(symbol)}
    for request in requests:
        named = request.last if isinstance(request, Resume) else getattr(request, "symbols", ())
        for symbol in () if named == ALL else named:
            if symbol not in known:
                raise unknown_symbol(symbol)
