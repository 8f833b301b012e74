"""What is fuzzed: each target takes bytes, and raises ``Violation`` (or anything) when an input does what none may do.

To add one, write a function here and give it a line in ``TARGETS``, with a few inputs to begin from.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import unquote_plus

import cbor2
import jwt
import msgspec
from autobahn.wamp import message
from autobahn.wamp.exception import InvalidUriError
from autobahn.wamp.serializer import JsonSerializer, MsgPackSerializer
from twisted.logger import formatEvent
from twisted.web.http import parse_qs

from components.core import plain_json
from components.core.arguments import InvalidArgument, NoArguments, checked
from components.core.batch import Batch, MalformedBatch, decode_batch, encode_batch
from components.core.client_address import TrustedProxies, client_address, header_values, network_key
from components.core.client_frames import BINARY, TEXT, first_frame_bytes, plain_messages
from components.core.grants import grants_of
from components.core.log_text import CONTINUED, log_text
from components.core.origins import OriginPolicy
from components.core.proxy_protocol import InvalidProxyHeader, parse_proxy_header
from components.core.topics import receives
from components.core.uri_rules import MAX_URI_CHARS
from components.router.bearer import PROTOCOL_PREFIX, BearerError, bearer_token
from components.router.bridge.signing import NotSigned, SignedRequests
from components.router.engine.requests import CODECS, Publish, Subscribe, Unsubscribe, is_plain_json
from components.router.feed_symbols.component import SetSymbols
from components.router.http_api.cors import cors_headers
from components.router.http_api.negotiation import accepts_gzip, has_it
from components.router.http_api.problems import ApiError
from components.router.http_api.query import SYMBOLS, read_query
from components.router.market_api import SnapshotArguments, Symbol
from components.tokens import Claims, TokenError
from tests.fuzz.world import (
    ALLOWED_CLOSE_CODES,
    AUTHORITY,
    FAMILIES,
    KEY,
    MAX_MESSAGE_BYTES,
    SERIALIZERS,
    Violation,
    Wire,
    encoded,
    frame,
    frames,
    mint,
    require,
    world,
)

ROLES = ("viewer", "service", "operator")


@dataclass(frozen=True)
class Target:
    """Something that sees a client's bytes."""

    run: Callable[[bytes], None]
    seeds: Sequence[bytes]
    weight: int = 1
    """Of the time that all targets share."""


def _pieces(data: bytes) -> Iterator[bytes]:
    """Return the pieces that data says it has: two octets of length before each."""
    position = 0
    while position + 2 <= len(data):
        size = int.from_bytes(data[position : position + 2], "big")
        yield data[position + 2 : position + 2 + size]
        position += 2 + size


def _joined_pieces(*pieces: bytes) -> bytes:
    return b"".join(len(piece).to_bytes(2, "big") + piece for piece in pieces)


# Connections: the first octets choose, the rest is what a client sends.


def _check_wire(wire: Wire) -> None:
    """Require that a connection answered, waits, or closed as it may, and that nobody else noticed."""
    websocket = not wire.transport.value().startswith(b"HTTP/")
    code = wire.close_code() if websocket else None
    wire.end()
    # First: it says more.
    world().check_log()
    require(code is None or code in ALLOWED_CLOSE_CODES or code == 1005, f"closed with {code}")
    world().check_clean()


def _wire(choice: int) -> tuple[Wire, str]:
    serializer = SERIALIZERS[choice % 6]
    if choice // 6 % 2:
        return world().websocket(serializer), serializer
    role = ROLES[choice // 12 % 3]
    return world().joined(serializer, role, "fuzz", compressed=bool(choice // 36 % 2)), serializer


def websocket_frames(data: bytes) -> None:
    """Frames of a client, of whatever kind, cut into reads wherever the input says."""
    if len(data) < 2:
        return
    wire, _ = _wire(data[0])
    cut = data[1] or len(data)
    rest = data[2:]
    for start in range(0, len(rest), cut):
        wire.feed(rest[start : start + cut])
    _check_wire(wire)


def wamp_messages(data: bytes) -> None:
    """Messages of a client, each in a frame that is well-formed."""
    if not data:
        return
    wire, serializer = _wire(data[0])
    text = serializer.startswith("json")
    for piece in _pieces(data[1:]):
        wire.send(piece, text=text)
    _check_wire(wire)


def wamp_values(data: bytes) -> None:
    """Messages of a client, written in JSON and sent by each serializer: well-formed, with any values in any place."""
    if not data:
        return
    wire, serializer = _wire(data[0])
    for piece in data[1:].split(b"\n"):
        try:
            value = json.loads(piece)
            sent = encoded(value, serializer)
        except (ValueError, RecursionError, OverflowError, TypeError):
            continue
        wire.send(sent, text=serializer.startswith("json"))
    _check_wire(wire)


def handshake(data: bytes) -> None:
    """A connection from its first byte."""
    wire = world().http()
    wire.feed(data)
    wire.end()
    world().check_log()
    world().check_clean()


def _plain_wire(choice: int) -> tuple[Wire, bool]:
    batched, compressed = bool(choice % 2), bool(choice // 2 % 2)
    return world().plain(ROLES[choice // 4 % 3], batched=batched, compressed=compressed), compressed


def plain_frames(data: bytes) -> None:
    """Frames of a plain client, of whatever kind, cut into reads wherever the input says."""
    if len(data) < 2:
        return
    wire, _ = _plain_wire(data[0])
    cut = data[1] or len(data)
    for start in range(2, len(data), cut):
        wire.feed(data[start : start + cut])
        world().clock.advance(0.001)
    _check_wire(wire)


def plain_conversations(data: bytes) -> None:
    """Lines that a plain client sends, each in a frame, with ticks between: it gets JSON, and an answer to each id."""
    if not data:
        return
    wire, compressed = _plain_wire(data[0])
    for number, line in enumerate(data[1:].split(b"\n")):
        if _is_utf8(line):
            wire.send(line)
            if number % 3 == 2:
                world().publish()
            world().clock.advance(0.01)
    if not compressed and wire.close_code() is None:
        for octet, payload in frames(wire.transport.value()):
            if octet & 0x0F == 1:
                said = json.loads(payload)
                for one in said if data[0] % 2 else [said]:
                    require(type(one) is dict and ("type" in one or "seq" in one), f"neither object nor event: {one}")
    _check_wire(wire)


def plain_handshake(data: bytes) -> None:
    """A connection to the plain endpoint from its first byte."""
    wire = world().plain_http()
    wire.feed(data)
    world().clock.advance(0.01)
    require(not any(_GENUINE in formatEvent(event) for event in world().log.events), "a token is logged")
    wire.end()
    world().check_log()
    world().check_clean()


def rawsocket(data: bytes) -> None:
    """A RawSocket connection from its first byte, in reads of as many bytes as the first one says."""
    if not data:
        return
    wire = world().raw()
    cut = data[0] or len(data)
    for start in range(1, len(data), cut):
        wire.feed(data[start : start + cut])
    wire.end()
    world().check_log()
    world().check_clean()


# Parsers


def client_frames(data: bytes) -> None:
    """The plain frames at the head of a read, against a reading of RFC 6455 that is written for nothing but to be right."""
    for first in (TEXT, BINARY):
        found, used = plain_messages(data, first, MAX_MESSAGE_BYTES)
        require(0 <= used <= len(data), "more was taken than came")
        position = 0
        for payload in found:
            size, start = data[position + 1] & 0x7F, position + 2
            require(size != 127, "a frame of the longest form was taken")
            if size == 126:
                size, start = int.from_bytes(data[start : start + 2], "big"), start + 2
                require(size >= 126, "a length that is not minimal was taken")
            require(data[position] == first and data[position + 1] >= 0x80, "a frame that is not plain")
            require(size <= MAX_MESSAGE_BYTES, "a message that is too long was taken")
            key = data[start : start + 4]
            masked = data[start + 4 : start + 4 + size]
            plain = bytes(octet ^ key[place % 4] for place, octet in enumerate(masked))
            require(len(masked) == size and payload == plain, "a payload was unmasked wrongly")
            require(first_frame_bytes(data[position:]) == start + 4 + size - position, "a frame's size is wrong")
            if first == TEXT:
                payload.decode()
            position = start + 4 + size
        require(position == used, "frames and their bytes differ")
    require(0 <= first_frame_bytes(data) <= len(data), "a frame is longer than what came")


_OPERATOR = grants_of("operator", "fuzz", None, ["*"], FAMILIES)
_STOCK = {"json": JsonSerializer(), "msgpack": MsgPackSerializer()}


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def requests(data: bytes) -> None:
    """What is taken for a plain request is that request for Autobahn too; what Autobahn refuses is not taken."""
    for name, stock in _STOCK.items():
        if name == "json" and not _is_utf8(data):
            # No text frame: ``client_frames`` leaves it to Autobahn.
            continue
        recognised = CODECS[name, False].recognise(data)
        if recognised is None:
            continue
        try:
            [parsed] = stock.unserialize(data, name != "json")
        except InvalidUriError:
            # Which nobody may use, so that it is refused further on.
            for action in ("subscribe", "publish"):
                require(not _OPERATOR.allows(action, getattr(recognised, "topic", "")), "no URI, and granted")
            continue
        require(parsed.request == recognised.request, "request ids differ")
        if isinstance(recognised, Subscribe):
            require(isinstance(parsed, message.Subscribe), "no SUBSCRIBE for Autobahn")
            require(parsed.topic == recognised.topic, "topics differ")
            require((parsed.match or "exact") == recognised.options.match, "matching policies differ")
            require(bool(parsed.get_retained) == recognised.options.get_retained, "get_retained differs")
        elif isinstance(recognised, Unsubscribe):
            require(parsed.subscription == recognised.subscription, "subscriptions differ")
        elif isinstance(recognised, Publish) and is_plain_json(bytes(recognised.arguments[0])):
            require(parsed.topic == recognised.topic, "topics differ")
            # NaN and infinities are no JSON, for msgspec.
            require(len(parsed.args) == 1 and not parsed.kwargs, "arguments differ")


_RATES = {100: "every_100ms", 1_000: "every_1s"}
_PLAIN_SYMBOL = re.compile("[A-Za-z0-9]{1,20}")


def plain_requests(data: bytes) -> None:
    """A plain request is what it says and no more; what is none is refused with an object, and the id that it has."""
    if not _is_utf8(data):
        # No text frame.
        return
    try:
        request = plain_json.parse(data)
        if isinstance(request, plain_json.Subscribe | plain_json.Unsubscribe):
            named = plain_json.families(request, _RATES)
            require(set(named) <= {"", "book", "day", *_RATES.values()}, "a family that there is not")
    except plain_json.RequestRefused as refused:
        said = plain_json.error(refused.uri, str(refused), refused.id)
        require(len(said) < 4_000, "a refusal without a bound")
        shown = json.loads(said)
        require(shown["type"] == "error" and "\n" not in said.decode(), "a refusal that is none")
        require("id" not in shown or shown["id"] == json.loads(data)["id"], "another id")
        return
    said = json.loads(data)
    fields = {name: value for name, value in said.items() if name != "type"}
    require(said["type"] == type(request).__name__.lower(), "another type")
    require(set(fields) <= set(request.__struct_fields__), "a field that there is not")
    for name in request.__struct_fields__:
        value = getattr(request, name)
        require(value is plain_json.UNSET if name not in fields else value == fields[name], f"another {name}")
    for symbol in fields.get("symbols", ()) if fields.get("symbols") != "*" else ():
        require(_PLAIN_SYMBOL.fullmatch(symbol) is not None, "a symbol that is none")
    for symbol, seq in fields.get("last", {}).items():
        require(_PLAIN_SYMBOL.fullmatch(symbol) is not None and type(seq) is int and seq >= 0, "no seq of a symbol")


def batches(data: bytes) -> None:
    """A batch of the bus is whole, or refused."""
    try:
        batch = decode_batch(data)
    except MalformedBatch:
        return
    require(decode_batch(encode_batch(batch)) == batch, "a batch changes on its way")


# What procedures are called with, and what is logged.


class _Everything(msgspec.Struct, forbid_unknown_fields=True):
    """Arguments of many kinds."""

    symbols: Annotated[list[Symbol], msgspec.Meta(max_length=3)] | None = None
    count: Annotated[int, msgspec.Meta(ge=0, le=9)] = 0
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=5)] = "x"
    more: dict[str, int] = {}


def arguments(data: bytes) -> None:
    """What a call is refused for is said in a line that is short and can be printed."""
    for decode in (json.loads, cbor2.loads):
        try:
            value = decode(data)
        except Exception:
            continue
        args = value if isinstance(value, list) else []
        kwargs = {str(key): item for key, item in value.items()} if isinstance(value, dict) else {}
        for schema in (SnapshotArguments, SetSymbols, NoArguments, _Everything):
            try:
                taken = checked(schema, args, kwargs)
            except InvalidArgument as error:
                require(str(error).isprintable() and len(str(error)) < 1000, "a refusal that cannot be printed")
            else:
                require(type(taken) is schema, "what was taken is none of the schema's")


def logged(data: bytes) -> None:
    """Whatever is logged is in lines that can be printed, of which only the first looks like one of the log."""
    for text in (data.decode("utf-8", "surrogateescape"), data.decode("latin-1")):
        first, *others = log_text(text, 200).split("\n")
        require(first.isprintable() and all(line.isprintable() for line in others), "a line that is obeyed")
        require(all(line.startswith(CONTINUED[1:]) for line in others), "a line that looks like one of the log")


# Where connections come from


def proxy_header(data: bytes) -> None:
    """A header is refused, or not complete yet, or within what came; more bytes do not change what it is."""
    try:
        header = parse_proxy_header(data)
    except InvalidProxyHeader:
        return
    if header is not None:
        require(0 < header.size <= len(data), "a header is longer than what came")
        require(parse_proxy_header(data[: header.size]) == header, "what comes behind a header changes it")
        require(header.client is None or network_key(header.client[0]) != "", "a client has no key")


def addresses(data: bytes) -> None:
    """Whatever a request says, its client has an address: the peer's, or one that a trusted proxy names."""
    for trusted in (_NOBODY, _LOOPBACK):
        found = client_address(
            "127.0.0.1",
            header_values(data, "x-forwarded-for"),
            header_values(data, "forwarded"),
            trusted,
        )
        require(found == str(ip_address(found)), f"no address: {found!r}")
        require(trusted is _LOOPBACK or found == "127.0.0.1", "a stranger's word was taken")


_NOBODY = TrustedProxies()
_LOOPBACK = TrustedProxies(["127.0.0.0/8"])

# HTTP


def api_requests(data: bytes) -> None:
    """A request's query and headers, a line each: understood or refused as a problem that repeats nothing but a symbol."""
    query, accept_encoding, if_none_match, origin, *_ = (*data.decode("latin-1").split("\n"), "", "", "", "")
    try:
        wanted = read_query(query, (SYMBOLS,)).symbols
    except ApiError as error:
        require(error.status == 400, "a query has another status")
        require(len(error.body()) < 300, "what was asked is repeated")
    else:
        require(wanted is None or all(map(_COULD_BE_A_SYMBOL.fullmatch, wanted)), "no symbol was taken for one")
    require(accepts_gzip([accept_encoding]) in (True, False), "gzip is neither")
    require(not has_it([if_none_match.replace("*", "")], "0" * 23 + "x"), "a tag that nobody has")
    granted = cors_headers(_ORIGINS, origin, "127.0.0.1:8080", secure=False).get(b"Access-Control-Allow-Origin", b"")
    require(_GRANTED.fullmatch(granted) is not None, f"an origin that is not listed: {granted!r}")
    try:
        bearer_token(query, [accept_encoding])
    except BearerError as error:
        require(len(str(error)) < 100, "what was sent is repeated")


_COULD_BE_A_SYMBOL = re.compile(r"[A-Za-z0-9]{1,20}")
_ORIGINS = OriginPolicy.parse(["same", "https://app.example.com"])
_GRANTED = re.compile(rb"|https?://127\.0\.0\.1:8080|https://app\.example\.com(:443)?", re.IGNORECASE)


def signed_requests(data: bytes) -> None:
    """A query that nobody has signed, and a body: refused, and not remembered."""
    query, _, body = data.partition(b"\n")
    requests = SignedRequests("quotes", b"s" * 32)
    try:
        requests.accept(parse_qs(query, 1), body, 1_700_000_000.0)
    except NotSigned:
        require(len(requests) == 0, "what was refused is remembered")
    else:
        raise Violation("what nobody signed was accepted")


# Tokens


_GENUINE = mint("viewer", "alice")
_GENUINE_CLAIMS = AUTHORITY.verify(_GENUINE)


def tokens(data: bytes) -> None:
    """No text is accepted but a token that was signed, with the claims that were."""
    try:
        claims = AUTHORITY.verify(data.decode("latin-1"))
    except TokenError:
        return
    require(claims == _GENUINE_CLAIMS, "a token that nobody signed was accepted")


def token_claims(data: bytes) -> None:
    """A token whose signature is right and whose claims are anything: refused, or of the types that are said."""
    try:
        claims = AUTHORITY.verify(_signed(data))
    except TokenError:
        return
    require(type(claims) is Claims, "no claims")
    for value in (claims.sub, claims.role, claims.realm):
        require(type(value) is str and value != "", "a claim is no text")
    require(type(claims.exp) is int, "exp is no whole number")
    for globs in (claims.symbols or (), claims.services):
        require(all(type(glob) is str for glob in globs), "a glob is no text")


def bearer(data: bytes) -> None:
    """A request's one token, against a reading of each place by itself; what is refused is said without a token.

    The first line is the query, each other one a header's value or, after a blank, a subprotocol.
    """
    query, *lines = data.decode("latin-1").split("\n")
    authorization = [line for line in lines if not line.startswith(" ")]
    protocols = [line[1:] for line in lines if line.startswith(" ")]
    pairs = [part.partition("=") for part in query.split("&")]
    tokens = [unquote_plus(value) for name, _, value in pairs if unquote_plus(name) == "token"]
    others = [value for value in authorization if value[:7].lower() != "bearer "]
    tokens += [value[7:].strip() for value in authorization]
    tokens += [name[len(PROTOCOL_PREFIX) :] for name in protocols if name.startswith(PROTOCOL_PREFIX)]
    try:
        found = bearer_token(query, authorization, protocols)
    except BearerError as error:
        require(bool(others) or len(tokens) > 1, "a request that names one token was refused")
        require(str(error).isprintable() and len(str(error)) < 100, "a refusal that cannot be printed")
        require(not any(len(token) > 20 and token in str(error) for token in tokens), "a refusal with a token")
        return
    require(not others and [found] == (tokens or [None]), "another token was taken, or one of several")
    try:
        claims = AUTHORITY.verify(found)
    except TokenError:
        return
    require(claims == _GENUINE_CLAIMS, "a token that nobody signed was accepted")


def _signed(payload: bytes, header: bytes = b'{"alg":"HS256","typ":"JWT"}') -> str:
    import hashlib
    import hmac

    parts = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, payload)]
    signature = hmac.new(KEY, b".".join(parts), hashlib.sha256).digest()
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


# Rights

_SYMBOLS = ("BTCUSDT", "BTCEUR", "ETHUSDT", "book", "")
_TOPICS = [
    f"market.{symbol}{family}"
    for symbol in _SYMBOLS
    for family in ("", ".book", ".day", ".every_1s")
    if symbol or family
]


def grants(data: bytes) -> None:
    """A subscription that is granted reaches no topic of a symbol that is not."""
    text = data.decode("utf-8", "replace")
    head, _, uri = text.partition("\n")
    match = ("exact", "prefix", "wildcard")[len(head) % 3]
    role = ROLES[len(head) // 3 % 3]
    rights = grants_of(role, "fuzz", ["BTC*"], ["quotes"], FAMILIES)
    for action in ("call", "publish", "register"):
        if rights.allows(action, uri, match):
            require(uri.isprintable() and len(uri) <= MAX_URI_CHARS, "a URI that is none was granted")
            require(uri.startswith("services.") or action == "call", f"{action} on {uri!r} was granted")
    if rights.allows("subscribe", uri, match):
        require(uri.isprintable() and len(uri) <= MAX_URI_CHARS, "a URI that is none was granted")
        for topic in _TOPICS:
            symbol = topic.split(".")[1]
            require(
                symbol.startswith("BTC") or not receives(uri, match, topic), f"{match} {uri!r} would receive {topic}"
            )


def _hello(**details: Any) -> bytes:
    roles = {"subscriber": {}, "publisher": {}, "caller": {}, "callee": {}}
    return json.dumps([1, "market", {"roles": roles, "authmethods": ["ticket"], "authid": "alice", **details}]).encode()


_JOINED_MESSAGES = [
    b'[32,1,{},"market.BTCUSDT"]',
    b'[32,2,{"match":"wildcard"},"market..book"]',
    b'[32,3,{"match":"prefix","get_retained":true},"market."]',
    b"[34,4,5]",
    b'[48,6,{},"market.snapshot",[["BTCUSDT"]]]',
    b'[48,7,{"receive_progress":true,"timeout":10},"market.symbols",[],{"a":1}]',
    b"[49,7,{}]",
    b'[16,8,{"acknowledge":true,"exclude_me":false},"services.fuzz.x",[1],{"k":null}]',
    b'[16,9,{},"services.fuzz.x",[{"p":1e400}]]',
    b'[16,9,{"eligible":[1],"exclude_authid":["a"],"retain":true},"services.fuzz.x"]',
    b'[64,10,{"invoke":"roundrobin"},"services.fuzz.f"]',
    b"[66,11,12]",
    b'[48,12,{},"services.fuzz.f",["\\u0000AAAA"]]',
    b"[70,1,{},[1]]",
    b'[8,68,1,{},"a.b"]',
    b'[6,{},"wamp.close.normal"]',
    b'[3,{"message":"x"},"a.b"]',
    b'[5,"x",{}]',
    b'[48,13,{},"wamp.subscription.lookup",["market.BTCUSDT"]]',
    b'[48,14,{},"wamp.session.add_testament",["services.fuzz.x",[],{}]]',
    _hello(),
    b'[32,15,{},"a..b\\u001e c"]',
    b"[48,16,{},5,[]]",
    b'[6,{},"no uri"]',
]


def _both(messages: list[bytes]) -> list[bytes]:
    as_frames = [bytes([12, 0]) + b"".join(frame(0x81, one) for one in messages)]
    as_frames += [bytes([choice, cut]) + frame(0x81, one) for one in messages[:6] for choice, cut in ((0, 0), (36, 3))]
    return as_frames


_PLAIN_REQUESTS = [
    b'{"type":"subscribe","symbols":["BTCUSDT","ETHUSDT"],"streams":["tick","book","day"],"id":"a"}',
    b'{"type":"subscribe","symbols":"*","every_ms":1000}',
    b'{"type":"unsubscribe","symbols":"*","streams":["book"],"id":7}',
    b'{"type":"unsubscribe","symbols":["BTCUSDT"],"every_ms":100}',
    b'{"type":"list","id":-9007199254740992}',
    b'{"type":"status"}',
    b'{"type":"ping","id":"\\ud83d\\ude00"}',
    b'{"type":"renew","token":"a.b.c"}',
    b'{"type":"resume","epoch":1700000000000,"last":{"BTCUSDT":0,"ETHUSDT":42}}',
    b'{"type":"resume","type":"ping","id":1.5}',
    b'{"id":1,"type":"nothing","more":[{}]}',
]
_DEFLATED = b"\xca\x36\x36\xd2\x31\xd4\xa9\xae\x8d\x05\x00"
_UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Protocol: wamp.2.json\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nOrigin: http://a.b\r\nCookie: a=b\r\n\r\n"
)
_PLAIN_UPGRADE = (
    b"GET %b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n%b\r\n"
)
TARGETS = {
    "websocket_frames": Target(
        websocket_frames,
        [
            *_both(_JOINED_MESSAGES),
            b"\x00\x00" + frame(0x01, b'[32,1,{},"a') + frame(0x89, b"ping") + frame(0x80, b'.b"]'),
            b"\x00\x05" + frame(0x88, b"\x03\xe8bye"),
            b"\x24\x00" + frame(0xC1, _DEFLATED),
            b"\x06\x00" + frame(0x81, _hello()) + frame(0x81, b'[5,"x",{}]'),
            b"\x01\x00" + frame(0x82, encoded([32, 1, {}, "market.BTCUSDT"], "msgpack")),
            b"\x00\x00" + b"\x81\xff" + bytes(8) + b"abcd",
        ],
        4,
    ),
    "wamp_messages": Target(
        wamp_messages,
        [
            bytes([choice]) + _joined_pieces(*(encoded(json.loads(one), SERIALIZERS[choice % 6]) for one in some))
            for choice in (0, 1, 2, 3, 4, 5, 12, 13, 14, 36)
            for some in (_JOINED_MESSAGES[:8], _JOINED_MESSAGES[8:])
        ]
        + [b"\x06" + _joined_pieces(_hello(), b'[5,"x",{}]', _hello(), b'[3,{},"a.b"]')],
        4,
    ),
    "wamp_values": Target(
        wamp_values,
        [bytes([choice]) + one for choice in (0, 1, 2, 12, 13, 36) for one in _JOINED_MESSAGES]
        + [bytes([choice]) + b"\n".join(_JOINED_MESSAGES) for choice in (12, 14)]
        + [b"\x06" + _hello(authextra={"a": [None]}, authrole="x", resumable=True) + b'\n[5,"x",{}]'],
        4,
    ),
    "handshake": Target(
        handshake,
        [
            _UPGRADE,
            b"POST / HTTP/1.0\r\n\r\n",
        ],
    ),
    "plain_frames": Target(
        plain_frames,
        [
            bytes([choice, cut]) + b"".join(frame(0x81, one) for one in _PLAIN_REQUESTS)
            for choice, cut in ((0, 0), (1, 7), (2, 0), (4, 50))
        ]
        + [
            b"\0\0" + frame(0x01, b'{"type":"subscr') + frame(0x89, b"ping") + frame(0x80, b'ibe","symbols":"*"}'),
            b"\x02\0" + frame(0xC1, _DEFLATED) + frame(0x82, b"\x90"),
            b"\0\0" + frame(0x81, b'{"type":"ping"}') + frame(0x88, b"\x03\xe8bye"),
        ],
        3,
    ),
    "plain_conversations": Target(
        plain_conversations,
        [bytes([choice]) + b"\n".join(_PLAIN_REQUESTS) for choice in (0, 1, 2, 3, 5, 8)]
        + [b"\0" + b"\n".join(reversed(_PLAIN_REQUESTS)), b"\1" + b"\n".join(_PLAIN_REQUESTS[:3] * 3)],
        4,
    ),
    "plain_handshake": Target(
        plain_handshake,
        [
            _PLAIN_UPGRADE % (b"/ws/trade?token=" + _GENUINE.encode(), b""),
            _PLAIN_UPGRADE % (b"/ws/trade?batched=1&token=a.b.c", b""),
            _PLAIN_UPGRADE % (b"/ws/trade", b"Authorization: Bearer " + _GENUINE.encode() + b"\r\n"),
            _PLAIN_UPGRADE
            % (b"/ws/trade", b"Sec-WebSocket-Protocol: crosstick.json, bearer." + _GENUINE.encode() + b"\r\n"),
            _PLAIN_UPGRADE % (b"/ws/trade?token=%ff%00", b"Authorization: Basic YTpi\r\n"),
        ],
    ),
    "rawsocket": Target(
        rawsocket,
        [
            b"\x00\x7f\xf1\x00\x00" + len(_hello()).to_bytes(4, "big") + _hello(),
            b"\x01\x7f\x02\x00\x00\x01\x00\x00\x03abc",
            b"\x00\x7f\xf1\x00\x00\x00\x00\x00\x02[]" + b'\x00\x00\x00\x0a[5,"x",{}]',
        ],
        2,
    ),
    "client_frames": Target(
        client_frames,
        [
            b"".join(frame(0x81, one) for one in _JOINED_MESSAGES),
            frame(0x82, bytes(200)),
            frame(0x81, "ü".encode() * 70)[:-1],
        ],
    ),
    "requests": Target(
        requests,
        [*_JOINED_MESSAGES, *(encoded(json.loads(one), "msgpack") for one in _JOINED_MESSAGES[:4])],
    ),
    "plain_requests": Target(plain_requests, _PLAIN_REQUESTS),
    "batches": Target(batches, [encode_batch(Batch(1, 1, [("market.BTCUSDT", 1, b'{"seq":1}')])), b"\x93\x01\x01\x90"]),
    "arguments": Target(
        arguments,
        [
            b'[["BTCUSDT"],1,"x",{"a":1}]',
            b'{"symbols":["BTCUSDT\\n"],"count":-1,"name":"\\u202e"}',
            b'[["\\ud800"],1e400,null]',
            cbor2.dumps([["BTCUSDT"], 10**30, b"x"]),
        ],
    ),
    "logged": Target(
        logged,
        [b"a\r\nb\x1b[31mc\x07", "\u2028\u202e\U000e0001".encode(), b"\xed\xa0\x80", _GENUINE.encode() * 2],
    ),
    "proxy_header": Target(
        proxy_header,
        [
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /",
            b"PROXY TCP6 2001:db8::1 ::1 65535 2\r\n",
            b"PROXY UNKNOWN\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\0\1\0\2x",
            b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
        ],
    ),
    "addresses": Target(
        addresses,
        [
            b"GET / HTTP/1.1\r\nX-Forwarded-For: 192.0.2.1, 127.0.0.1\r\n\r\n",
            b'GET / HTTP/1.1\r\nForwarded: for="[2001:db8::1]:80";proto=http, for=127.0.0.1\r\n\r\n',
            b'GET / HTTP/1.1\r\nforwarded: for="\\"_x",for=unknown\r\nx-forwarded-for: ::ffff:1.2.3.4%eth0\r\n\r\n',
        ],
    ),
    "api_requests": Target(
        api_requests,
        [
            b'symbols=BTCUSDT,ETHUSDT&token=a.b.c\ngzip;q=0.5, *;q=0\nW/"0", "1-gzip"\nhttps://app.example.com',
            b'symbols=%2A&symbols=\nBearer a.b.c\n"\nnull',
            b'symbols=BTC%0AUSDT\nx-gzip; q=1.0000\n"\xff"\nhttp://127.0.0.1:8080',
        ],
    ),
    "signed_requests": Target(
        signed_requests,
        [
            b"key=quotes&timestamp=2023-11-14T22:13:20.000Z&seq=1&nonce=2&signature=" + b"A" * 43 + b"=\n{}",
            b"key=&timestamp=&seq=&nonce=&signature=&signature=\n",
        ],
    ),
    "tokens": Target(
        tokens,
        [
            _GENUINE.encode(),
            jwt.encode({"sub": "alice"}, None, algorithm="none").encode(),
            _signed(b"{}", b'{"alg":"none"}').encode(),
            _signed(b"{}", b'{"alg":"HS256","kid":"../x","jwk":{}}').encode(),
        ],
    ),
    "token_claims": Target(
        token_claims,
        [
            b'{"sub":"a","role":"viewer","realm":"market","aud":"crosstick","exp":4000000000,"symbols":["BTC*"]}',
            b'{"sub":"a","role":"viewer","realm":"market","aud":"crosstick","exp":4e99,"nbf":null,"iat":"x"}',
            b'{"sub":1,"role":[],"realm":{},"aud":["crosstick"],"exp":4000000000,"services":"x","tier":"\\u0000"}',
        ],
    ),
    "bearer": Target(
        bearer,
        [
            b"token=" + _GENUINE.encode(),
            b"a=b&token=%65yJ.a+b.c&batched=1",
            b"\nBearer " + _GENUINE.encode(),
            b"token=&x\n crosstick.json\n bearer." + _GENUINE.encode(),
            b"token=a\nBasic YTpi\nbearer  a.b.c ",
        ],
    ),
    "grants": Target(
        grants,
        [
            b"\nmarket.BTCUSDT",
            b"a\nmarket.BTC",
            b"aa\nmarket..book",
            b"aaa\nservices.fuzz.x",
            b"aaaaaa\nmarket.status",
            b"aaaa\nservices.",
        ],
    ),
}
"""By name."""
