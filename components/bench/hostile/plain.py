"""The plain JSON endpoint: what comes before its upgrade, what is no request of its protocol, and too much of what is."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from components.bench.hostile.attack import Attack, Attacker, attack
from components.bench.hostile.floods import DEAF_S, ENDED, FLOOD_S, JOINS, STAY_S, STOPPED, Flood
from components.bench.hostile.garbage import (
    CLOSE_S,
    FRAMES,
    NOT_TEXT,
    NOT_UTF8,
    PROTOCOL_ERROR,
    TOO_BIG,
    TOO_LONG,
    Sent,
)
from components.bench.hostile.slow import MESSAGE_S, REQUEST_S, dribble
from components.bench.hostile.tickets import FORGERIES, SESSION_S
from components.bench.hostile.wire import EOF, LEFT, RESET, Wire
from components.bench.load import Account
from components.bench.websocket import BINARY, TEXT, client_frame, client_header, upgrade_request
from components.uris import CLOSE_MESSAGE_TIMEOUT, CLOSE_STALLED, CLOSE_TOKEN_EXPIRED, CLOSE_TOO_MANY_BYTES

ANSWER_S = 2.0
"""How long a request may take to be answered."""

SYMBOLS_AT_ONCE = 3_000
GUESSES = 20
UNAUTHORIZED = "http 401"
ANOTHERS = "another's"
"""Forged only for who says besides who it is, as in HELLO."""


MESSAGES: dict[str, bytes] = {
    "not JSON": b"hello",
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "WAMP": b'[32,1,{},"market.BTCUSDT"]',
    "a list of requests": b'[{"type":"ping"},{"type":"ping"}]',
    "no type": b"{}",
    "an unknown type": b'{"type":"publish","symbol":"BTCUSDT","price":1}',
    "a type that is no text": b'{"type":{"type":"ping"}}',
    "two types": b'{"type":"list","type":"subscribe"}',
    "unknown fields": b'{"type":"ping","__proto__":{"a":1}}',
    "an id of 10 kB": b'{"type":"ping","id":"' + b"a" * 10_000 + b'"}',
    "an id that is an object": b'{"type":"ping","id":{"a":[]}}',
    "an id that is a fraction": b'{"type":"ping","id":1.5}',
    "an id of 400 digits": b'{"type":"ping","id":' + b"9" * 400 + b"}",
    "half of a surrogate pair": b'{"type":"ping","id":"\\ud800"}',
    "subscribe without symbols": b'{"type":"subscribe"}',
    "subscribe to a number": b'{"type":"subscribe","symbols":[5]}',
    "subscribe to a text": b'{"type":"subscribe","symbols":"BTCUSDT"}',
    "subscribe to nothing": b'{"type":"subscribe","symbols":[]}',
    "a symbol with control characters": b'{"type":"subscribe","symbols":["\\u001b[31m\\n\\u0000"]}',
    "a symbol that is a pattern": b'{"type":"subscribe","symbols":["."]}',
    "an unknown stream": b'{"type":"subscribe","symbols":"*","streams":["trades"]}',
    "a rate that there is not": b'{"type":"subscribe","symbols":"*","every_ms":7}',
    "a rate beyond all": b'{"type":"subscribe","symbols":"*","every_ms":1e999}',
    "lists nested 30000 deep": b'{"type":"subscribe","symbols":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "objects nested 9000 deep": b'{"type":' + b'{"a":' * 9_000 + b"1" + b"}" * 9_000 + b"}",
    "renew without a token": b'{"type":"renew"}',
    "renew with a token that is none": b'{"type":"renew","token":"a.b.c"}',
    "resume of a negative seq": b'{"type":"resume","epoch":1,"last":{"BTCUSDT":-1}}',
    "resume beyond 2^53": b'{"type":"resume","epoch":9007199254740993,"last":{"BTCUSDT":1}}',
    "resume of an unknown symbol": b'{"type":"resume","epoch":1,"last":{"NOTHING":1}}',
    "half a message": b'{"type":"subscribe","symbols":["BTC',
}
"""What is answered with an error, after which the session goes on."""


def path(attacker: Attacker, query: str) -> str:
    """Return the endpoint's path with a query."""
    return f"{attacker.field.path}/trade?{query}"


async def open_plain(attacker: Attacker, wire: Wire, account: Account) -> None:
    """Become a session of the plain protocol."""
    await wire.upgrade(path(attacker, f"token={account.ticket}"), protocol=None)


async def joined(attacker: Attacker, wire: Wire) -> None:
    """Become a viewer's session of the plain protocol."""
    await open_plain(attacker, wire, next(attacker.field.accounts))


def message(**said: Any) -> bytes:
    """Return a frame with a request."""
    return client_frame(TEXT, json.dumps(said).encode())


@dataclass(frozen=True, slots=True)
class Answered:
    """An act: sends one message that is no request, waits for the error, and goes away."""

    data: bytes

    async def __call__(self, attacker: Attacker) -> None:
        async with attacker.connection() as wire:
            await joined(attacker, wire)
            await wire.send(client_frame(TEXT, self.data))
            await wire.until(lambda: wire.errors.total() > 0)
            wire.leave()


@dataclass(frozen=True, slots=True)
class Refused:
    """An act: tries to open with a token that is not good."""

    ticket: str
    """Its name among those of the field."""

    place: Literal["query", "header", "subprotocol"] = "query"

    async def __call__(self, attacker: Attacker) -> None:
        token = quote(attacker.field.tickets[self.ticket].ticket)
        async with attacker.connection() as wire:
            if self.place == "query":
                await wire.upgrade(path(attacker, f"token={token}"), protocol=None)
            elif self.place == "header":
                await wire.upgrade(path(attacker, ""), f"Authorization: Bearer {token}\r\n", protocol=None)
            else:
                await wire.upgrade(path(attacker, ""), protocol=f"crosstick.json, bearer.{token}")


def _subscribe_to_one(attacker: Attacker) -> Iterator[bytes]:
    symbol = attacker.symbol()
    for number in itertools.count(1):
        yield message(type="subscribe", symbols=[symbol], id=number)


def _subscribe_to_all(_: Attacker) -> Iterator[bytes]:
    for number in itertools.count(1):
        yield message(type="subscribe", symbols="*", streams=["tick", "book"], id=number)


def _subscribe_and_unsubscribe(_: Attacker) -> Iterator[bytes]:
    for number in itertools.count(1, 2):
        yield message(type="subscribe", symbols="*", id=number)
        yield message(type="unsubscribe", symbols="*", id=number + 1)


def _ever_more_symbols(attacker: Attacker) -> Iterator[bytes]:
    for number in itertools.count(1):
        yield message(type="subscribe", symbols=[f"A{attacker.number}N{number}"], id=number)


def _thousands_of_symbols(attacker: Attacker) -> Iterator[bytes]:
    for number in itertools.count(1):
        yield message(type="subscribe", symbols=[f"A{number}N{each}" for each in range(SYMBOLS_AT_ONCE)], id=number)


def _one_symbol_thousands_of_times(attacker: Attacker) -> Iterator[bytes]:
    symbol = attacker.symbol()
    for number in itertools.count(1):
        yield message(type="subscribe", symbols=[symbol] * SYMBOLS_AT_ONCE, id=number)


def _of(**said: Any) -> Any:
    return lambda _: itertools.repeat(message(**said))


def _renew(_: Attacker) -> Iterator[bytes]:
    for number in itertools.count(1):
        yield message(type="renew", token=f"guess{number}")


def _resume(attacker: Attacker) -> Iterator[bytes]:
    symbol = attacker.symbol()
    for number in itertools.count(1):
        yield message(type="resume", epoch=number, last={symbol: 0}, id=number)


def _not_json(_: Attacker) -> Iterator[bytes]:
    return itertools.repeat(client_frame(TEXT, b"{" * 100))


def _binary(_: Attacker) -> Iterator[bytes]:
    return itertools.repeat(client_frame(BINARY, bytes(100)))


@attack("http 400", "http 408", EOF, RESET, timeout_s=REQUEST_S)
async def plain_slow_opening(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        request = upgrade_request("x", path(attacker, "token=" + next(attacker.field.accounts).ticket), protocol=None)
        await dribble(wire, request)


@attack(LEFT, at_once=2, timeout_s=ANSWER_S)
async def plain_open_and_leave(attacker: Attacker) -> None:
    for number in range(JOINS):
        async with attacker.connection() as wire:
            await joined(attacker, wire)
            wire.leave(reset=number % 2 == 1)


@attack(LEFT, "http 429", at_once=8, timeout_s=ANSWER_S + STAY_S)
async def plain_sessions_of_one_authid(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await open_plain(attacker, wire, attacker.field.tickets["replayed"])
        await asyncio.sleep(STAY_S)
        wire.leave()


@attack(CLOSE_STALLED, CLOSE_TOO_MANY_BYTES, RESET, EOF, at_once=4, timeout_s=16.0)
async def plain_deaf_to_all_ticks(attacker: Attacker) -> None:
    async with attacker.connection(deaf=True) as wire:
        wire.listen()
        await joined(attacker, wire)
        await wire.send(message(type="subscribe", symbols="*"))
        wire.stop_listening()
        await asyncio.sleep(DEAF_S * attacker.field.patience)
        wire.listen()
        await wire.gone()


@attack(CLOSE_MESSAGE_TIMEOUT, at_once=4, timeout_s=MESSAGE_S)
async def plain_slow_frame(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await joined(attacker, wire)
        await wire.send(client_header(TEXT, 60_000))
        await dribble(wire, b"{" * 1_000, 1.0)


@attack(PROTOCOL_ERROR, NOT_TEXT, TOO_BIG, RESET, CLOSE_MESSAGE_TIMEOUT, at_once=4, timeout_s=MESSAGE_S)
async def plain_random_bytes(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await joined(attacker, wire)
        await wire.send(attacker.random.randbytes(2_000))
        await wire.gone()


@attack(CLOSE_TOKEN_EXPIRED, at_once=2, timeout_s=SESSION_S, repeated=False)
async def plain_token_that_runs_out(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await open_plain(attacker, wire, attacker.field.tickets["runs out"])
        await wire.gone()


@attack(UNAUTHORIZED, at_once=2, timeout_s=REQUEST_S)
async def plain_without_a_token(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await wire.upgrade(path(attacker, ""), protocol=None)


@attack("http 400", UNAUTHORIZED, at_once=2, timeout_s=REQUEST_S)
async def plain_with_two_tokens(attacker: Attacker) -> None:
    ticket = next(attacker.field.accounts).ticket
    async with attacker.connection() as wire:
        await wire.upgrade(path(attacker, f"token={ticket}&token={ticket}"), protocol=None)


@attack("http 400", "http 414", "http 431", EOF, RESET, at_once=2, timeout_s=REQUEST_S)
async def plain_token_of_1_mb(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await wire.upgrade(path(attacker, "token=" + "a" * 1_000_000), protocol=None)


@attack(UNAUTHORIZED, at_once=2, timeout_s=REQUEST_S)
async def plain_guessing_tokens(attacker: Attacker) -> None:
    for number in range(GUESSES):
        async with attacker.connection() as wire:
            await wire.send(upgrade_request("x", path(attacker, f"token=guess{number}"), protocol=None))
            await wire.gone()


ATTACKS: tuple[Attack, ...] = (
    *(plain_slow_opening, plain_open_and_leave, plain_sessions_of_one_authid, plain_deaf_to_all_ticks),
    *(plain_slow_frame, plain_random_bytes, plain_token_that_runs_out),
    *(plain_without_a_token, plain_with_two_tokens, plain_token_of_1_mb, plain_guessing_tokens),
    *(
        Attack(f"plain token: {name}", Refused(name), frozenset({UNAUTHORIZED}), 1, REQUEST_S)
        for name in FORGERIES
        if name != ANOTHERS
    ),
    *(
        Attack(f"plain token in a {place}: {name}", Refused(name, place), frozenset({UNAUTHORIZED}), 1, REQUEST_S)
        for place in ("header", "subprotocol")
        for name in ("expired", "another key")
    ),
    *(
        Attack(f"plain message: {name}", Answered(data), frozenset({LEFT}), 1, ANSWER_S)
        for name, data in MESSAGES.items()
    ),
    *(
        Attack(
            f"plain frame: {name}",
            Sent(data, "a session", joins=joined),
            frozenset({PROTOCOL_ERROR, RESET}),
            1,
            CLOSE_S,
        )
        for name, data in FRAMES.items()
    ),
    *(
        Attack(f"plain text: {name}", Sent(data, "a session", joins=joined), frozenset({NOT_TEXT}), 1, CLOSE_S)
        for name, data in NOT_UTF8.items()
    ),
    *(
        Attack(
            f"plain too long: {name}", Sent(data, "a session", joins=joined), frozenset({TOO_BIG, RESET}), 1, CLOSE_S
        )
        for name, data in TOO_LONG.items()
    ),
    *(
        Attack(f"plain flood: {name}", Flood(frames, joins=joined), STOPPED | {CLOSE_TOO_MANY_BYTES}, 1, FLOOD_S)
        for name, frames in {
            "subscribe to one symbol": _subscribe_to_one,
            "subscribe to all": _subscribe_to_all,
            "subscribe and unsubscribe": _subscribe_and_unsubscribe,
            "ever more symbols": _ever_more_symbols,
            "thousands of symbols": _thousands_of_symbols,
            "one symbol thousands of times": _one_symbol_thousands_of_times,
            "list": _of(type="list"),
            "status": _of(type="status"),
            "ping": _of(type="ping"),
            "renew": _renew,
            "resume": _resume,
            "an unknown type": _of(type="unknown"),
            "not JSON": _not_json,
            "binary": _binary,
        }.items()
    ),
    *(
        Attack(
            f"plain deaf flood: {name}",
            Flood(frames, joins=joined, deaf=True),
            ENDED | {CLOSE_STALLED, CLOSE_TOO_MANY_BYTES},
            1,
            FLOOD_S,
        )
        for name, frames in {"status": _of(type="status"), "not JSON": _not_json}.items()
    ),
)
