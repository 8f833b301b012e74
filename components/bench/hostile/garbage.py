"""What is neither HTTP, nor WebSocket, nor WAMP, and what is more than it says."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from components.bench.hostile.attack import Attack, Attacker, attack
from components.bench.hostile.slow import HELLO_S, MESSAGE_S, REQUEST_S
from components.bench.hostile.wire import EOF, LEFT, RESET, Wire
from components.bench.websocket import BINARY, CLOSE, PING, TEXT, client_frame, client_header
from components.uris import CLOSE_MESSAGE_TIMEOUT, CLOSE_NOT_JOINED

PROTOCOL_ERROR, NOT_TEXT, TOO_BIG = "close 1002", "close 1007", "close 1009"
WAMP_VIOLATION = "wamp.error.protocol_violation"
CLOSE_S = 2.0
"""How long the gateway waits for a peer that is to close."""

MINDS_S = 1.5
"""After so long the gateway is taken not to mind."""

WRITE_BYTES = 16_384
BOMB = zlib.compress(bytes(32 * 2**20), 9)[2:-4]
"""32 MiB of zeros in 32 kB."""

_BROKEN = frozenset({PROTOCOL_ERROR, RESET})
_REFUSED_MESSAGE = frozenset({LEFT, WAMP_VIOLATION, PROTOCOL_ERROR, NOT_TEXT, TOO_BIG})

REQUESTS: dict[str, bytes] = {
    "TLS ClientHello": bytes.fromhex("1603010200010001fc0303") + bytes(500) + b"\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "request line of 64 kB": b"GET /" + b"a" * 65_536 + b" HTTP/1.1\r\n\r\n",
    "2000 headers": b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(2_000)) + b"\r\n",
    "header of 1 MB": b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhellothere",
    "length and chunks": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
    "method of zeros": bytes(200) + b"\r\n\r\n",
    "control characters": b"GET /\x1b[31m\x07\x00 HTTP/1.1\r\nHost: \x1b]0;x\x07\r\nUser-Agent: \x1b[2J\r\n\r\n",
}

FRAMES: dict[str, bytes] = {
    "reserved opcode": client_frame(3, b"a"),
    "reserved control opcode": client_frame(11, b""),
    "RSV1": client_frame(TEXT, b"[]", reserved=4),
    "RSV2 and RSV3": client_frame(TEXT, b"[]", reserved=3),
    "no mask": b"\x81\x02[]",
    "ping in parts": client_frame(PING, b"a", final=False),
    "ping of 126 bytes": client_frame(PING, bytes(126)),
    "continuation of nothing": client_frame(0, b"a"),
    "text within text": client_frame(TEXT, b"[", final=False) + client_frame(TEXT, b"]"),
    "close of one byte": client_frame(CLOSE, b"\x03"),
    "close code 1005": client_frame(CLOSE, b"\x03\xed"),
    "length not in its shortest form": b"\x81\xfe\x00\x02" + bytes(4) + b"[]",
    "length of 2^63": b"\x81\xff" + (2**63).to_bytes(8, "big") + bytes(4),
}

TOO_LONG: dict[str, bytes] = {
    "length of 2^62": client_header(TEXT, 2**62),
    "length of 1 GB": client_header(TEXT, 10**9) + b"[" * 1000,
    "100 kB": client_frame(TEXT, b"[" + b" " * 100_000 + b"]"),
    "2 MB": client_frame(TEXT, b"[" + b" " * 2_000_000 + b"]"),
    "100 kB in parts": b"".join(
        client_frame(TEXT if number == 0 else 0, b" " * 1_000, final=False) for number in range(100)
    ),
}

NOT_UTF8: dict[str, bytes] = {
    "invalid UTF-8": client_frame(TEXT, b'["\xff\xfe"]'),
    "surrogates": client_frame(TEXT, b'["\xed\xa0\x80"]'),
}

MESSAGES: dict[str, bytes] = {
    "not JSON": b"hello",
    "an object": b"{}",
    "an empty list": b"[]",
    "nothing": b"",
    "an unknown type": b"[999]",
    "a type of text": b'["1"]',
    "SUBSCRIBE without a topic": b"[32,1,{}]",
    "SUBSCRIBE to a number": b"[32,1,{},5]",
    "SUBSCRIBE with a list of options": b'[32,1,[],"market.S000USDT"]',
    "an id that is negative": b'[32,-1,{},"market.S000USDT"]',
    "an id beyond 2^53": b'[32,9007199254740993,{},"market.S000USDT"]',
    "an id of 400 digits": b"[32," + b"9" * 400 + b',{},"market.S000USDT"]',
    "an id that is a fraction": b'[32,1.5,{},"market.S000USDT"]',
    "a URI with control characters": b'[32,1,{},"market.\\u001b[31m\\n\\u0000"]',
    "lists nested 30000 deep": b"[" * 30_000 + b"]" * 30_000,
    "objects nested 9000 deep": b'[48,1,{},"market.snapshot",[' + b'{"a":' * 9_000 + b"1" + b"}" * 9_000 + b"]]",
    "a number of 50000 digits": b'[48,1,{},"market.snapshot",[' + b"9" * 50_000 + b"]]",
    "an exponent beyond all": b'[48,1,{},"market.snapshot",[1e999999999]]',
    "EVENT": b"[36,1,2,{}]",
    "WELCOME": b'[2,1,{"roles":{}}]',
    "HELLO again": b'[1,"market",{"roles":{}}]',
    "AUTHENTICATE again": b'[5,"x",{}]',
    "YIELD of nothing": b"[70,1,{}]",
    "INVOCATION": b"[68,1,2,{}]",
    "half a message": b'[32,1,{},"market',
}


@dataclass(frozen=True, slots=True)
class Sent:
    """An act: sends the same bytes on a connection of a kind, and waits for the end."""

    data: bytes
    on: Literal["a new connection", "a WebSocket", "a session"]
    joins: Callable[[Attacker, Wire], Awaitable[None]] = Attacker.joined
    """How it becomes a session."""

    leaves: bool = False
    """Whether the attacker goes away when the gateway has not minded for a while."""

    async def __call__(self, attacker: Attacker) -> None:
        async with attacker.connection() as wire:
            if self.on == "a session":
                await self.joins(attacker, wire)
            elif self.on == "a WebSocket":
                await wire.upgrade(attacker.field.path)
            for begin in range(0, len(self.data), WRITE_BYTES):
                await wire.send(self.data[begin : begin + WRITE_BYTES])
            if self.leaves:
                with suppress(TimeoutError):
                    await asyncio.wait_for(wire.gone(), MINDS_S)
                wire.leave()
            else:
                await wire.gone()


@attack("http 400", EOF, RESET, at_once=8, timeout_s=REQUEST_S)
async def random_bytes_at_accept(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await wire.send(attacker.random.randbytes(2_000))
        await wire.gone()


@attack(PROTOCOL_ERROR, NOT_TEXT, TOO_BIG, RESET, CLOSE_NOT_JOINED, at_once=8, timeout_s=HELLO_S)
async def random_bytes_after_the_upgrade(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await wire.upgrade(attacker.field.path)
        await wire.send(attacker.random.randbytes(2_000))
        await wire.gone()


@attack(PROTOCOL_ERROR, NOT_TEXT, TOO_BIG, RESET, CLOSE_MESSAGE_TIMEOUT, at_once=8, timeout_s=MESSAGE_S)
async def random_bytes_in_a_session(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await attacker.joined(wire)
        await wire.send(attacker.random.randbytes(2_000))
        await wire.gone()


@attack(TOO_BIG, PROTOCOL_ERROR, RESET, at_once=4, timeout_s=CLOSE_S)
async def deflate_bomb(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await wire.upgrade(attacker.field.path, "Sec-WebSocket-Extensions: permessage-deflate\r\n")
        # Sent also where compression was not agreed to: then it is a violation.
        await wire.send(client_frame(TEXT, BOMB, reserved=4))
        await wire.gone()


@attack(PROTOCOL_ERROR, WAMP_VIOLATION, at_once=2, timeout_s=CLOSE_S)
async def binary_on_a_json_connection(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await attacker.joined(wire)
        await wire.send(client_frame(BINARY, b"\x93\x20\x01\x80"))
        await wire.gone()


_HTTP_ENDINGS = frozenset(
    {"http 400", "http 404", "http 405", "http 408", "http 413", "http 414", "http 431", EOF, RESET}
)


ATTACKS: tuple[Attack, ...] = (
    *(random_bytes_at_accept, random_bytes_after_the_upgrade, random_bytes_in_a_session),
    *(deflate_bomb, binary_on_a_json_connection),
    *(
        Attack(f"HTTP: {name}", Sent(data, "a new connection"), _HTTP_ENDINGS, 2, REQUEST_S)
        for name, data in REQUESTS.items()
    ),
    *(Attack(f"frame: {name}", Sent(data, "a session"), _BROKEN, 1, CLOSE_S) for name, data in FRAMES.items()),
    *(
        Attack(f"before the join: {name}", Sent(data, "a WebSocket"), _BROKEN | {CLOSE_NOT_JOINED}, 1, HELLO_S)
        for name, data in FRAMES.items()
    ),
    *(
        Attack(f"too long: {name}", Sent(data, "a session"), frozenset({TOO_BIG, RESET}), 2, CLOSE_S)
        for name, data in TOO_LONG.items()
    ),
    *(
        Attack(f"text: {name}", Sent(data, "a session"), frozenset({NOT_TEXT}), 1, CLOSE_S)
        for name, data in NOT_UTF8.items()
    ),
    *(
        Attack(f"message: {name}", Sent(client_frame(TEXT, data), "a session", leaves=True), _REFUSED_MESSAGE, 1)
        for name, data in MESSAGES.items()
    ),
)
