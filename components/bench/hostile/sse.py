"""Server-sent events: what comes before a stream, what is no question to it, and clients that misuse one that has begun."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import quote

from components.bench.hostile.attack import Attack, Attacker, attack
from components.bench.hostile.floods import DEAF_S, JOINS, STAY_S
from components.bench.hostile.plain import ANOTHERS, ANSWER_S, SYMBOLS_AT_ONCE, UNAUTHORIZED
from components.bench.hostile.slow import REQUEST_S, dribble
from components.bench.hostile.tickets import FORGERIES, SESSION_S
from components.bench.hostile.wire import EOF, RESET, Wire
from components.bench.load import Account

STREAM = "/api/stream"
STREAMED = "http 200"
"""A stream that has begun, and was ended by either side."""

LATER_BYTES = 2_000_000
"""Sent behind the request of a stream."""

BLOCK = b"a" * 16_384

QUERIES: dict[str, str] = {
    "nothing": "",
    "no symbols": "symbols=",
    "a symbol that is a pattern": "symbols=.",
    "a symbol with control characters": "symbols=%1b[31m%0d%0a%00",
    "not UTF-8": "symbols=%ff%fe",
    "half an escape": "symbols=%",
    "an unknown symbol": "symbols=NOTHING",
    "an unknown stream": "symbols=*&streams=trades",
    "an unknown parameter": "symbols=*&__proto__=1",
    "two lists of symbols": "symbols=*&symbols=*",
    "a rate that there is not": "symbols=*&every_ms=7",
    "a rate beyond all": "symbols=*&every_ms=1e999",
    "a rate of 9000 digits": "symbols=*&every_ms=" + "9" * 9_000,
    "a resume that is none": "symbols=*&resume=x",
    "a resume of a negative seq": "symbols=*&resume=1:BTCUSDT=-1",
    "a resume beyond 2^53": "symbols=*&resume=9007199254740993:BTCUSDT=1",
    "a resume of an unknown symbol": "symbols=*&resume=1:NOTHING=1",
    "a resume of what is not asked for": "symbols=BTCUSDT&resume=1:ETHUSDT=1",
    "thousands of symbols": "symbols=" + ",".join(f"A{number}" for number in range(SYMBOLS_AT_ONCE)),
}
"""What is answered with a problem."""

MAX_LINE_BYTES = 8_000
"""Of a request's first line, about. Who sends a longer one may be dropped while he does."""

PROBLEMS = frozenset({"http 400", "http 404"})
TOO_LONG = frozenset({"http 414", "http 431", EOF, RESET})
METHODS = ("POST", "PUT", "DELETE", "TRACE", "CONNECT", "BREW")


def request(query: str, more: str = "", method: str = "GET", version: str = "1.1") -> bytes:
    """Return a request of a stream; ``more`` are header lines, each with its CRLF."""
    return f"{method} {STREAM}?{query} HTTP/{version}\r\nHost: x\r\n{more}\r\n".encode()


def of(account: Account, asked: str = "symbols=*") -> str:
    """Return a query with an account's token."""
    return f"{asked}&token={quote(account.ticket)}"


async def open_stream(attacker: Attacker, wire: Wire, asked: str = "symbols=*") -> None:
    """Have a viewer's stream.

    Raises:
        Ended: it was refused.
    """
    await wire.send(request(of(next(attacker.field.accounts), asked)))
    await wire.until(lambda: wire.status is not None)
    if wire.status != 200:
        await wire.gone()


@dataclass(frozen=True, slots=True)
class Asked:
    """An act: asks for what there cannot be."""

    query: str
    method: str = "GET"

    async def __call__(self, attacker: Attacker) -> None:
        async with attacker.connection() as wire:
            more = "" if self.method == "GET" else "Content-Length: 0\r\nConnection: close\r\n"
            await wire.send(request(of(next(attacker.field.accounts), self.query), more, self.method))
            await wire.until(lambda: wire.status is not None)
            wire.leave()


@dataclass(frozen=True, slots=True)
class Refused:
    """An act: asks for a stream with a token that is not good."""

    ticket: str
    """Its name among those of the field."""

    in_header: bool = False

    async def __call__(self, attacker: Attacker) -> None:
        account = attacker.field.tickets[self.ticket]
        async with attacker.connection() as wire:
            if self.in_header:
                await wire.send(request("symbols=*", f"Authorization: Bearer {account.ticket}\r\n"))
            else:
                await wire.send(request(of(account)))
            await wire.until(lambda: wire.status is not None)
            wire.leave()


@attack("http 400", "http 408", EOF, RESET, timeout_s=REQUEST_S)
async def sse_slow_opening(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await dribble(wire, request(of(next(attacker.field.accounts))))


@attack(STREAMED, at_once=2, timeout_s=ANSWER_S)
async def sse_open_and_leave(attacker: Attacker) -> None:
    for number in range(JOINS):
        async with attacker.connection() as wire:
            await open_stream(attacker, wire)
            wire.leave(reset=number % 2 == 1)


@attack(STREAMED, "http 429", at_once=8, timeout_s=ANSWER_S + STAY_S)
async def sse_streams_of_one_authid(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await wire.send(request(of(attacker.field.tickets["replayed"])))
        await asyncio.sleep(STAY_S)
        wire.leave()


@attack(STREAMED, RESET, EOF, at_once=4, timeout_s=16.0)
async def sse_deaf_to_all_ticks(attacker: Attacker) -> None:
    async with attacker.connection(deaf=True) as wire:
        wire.listen()
        await open_stream(attacker, wire)
        wire.stop_listening()
        await asyncio.sleep(DEAF_S * attacker.field.patience)
        wire.listen()
        await wire.gone()


@attack(STREAMED, at_once=2, timeout_s=REQUEST_S)
async def sse_bytes_behind_the_request(attacker: Attacker) -> None:
    """Send on and on, which nobody reads; then go."""
    async with attacker.connection() as wire:
        await open_stream(attacker, wire, "symbols=BTCUSDT")
        try:
            async with asyncio.timeout(STAY_S):
                for _ in range(LATER_BYTES // len(BLOCK)):
                    await wire.send(BLOCK)
        except TimeoutError:
            # It is not read: as it should be.
            pass
        wire.leave()


@attack(STREAMED, at_once=2, timeout_s=REQUEST_S)
async def sse_requests_behind_the_request(attacker: Attacker) -> None:
    """Ask for many streams on one connection."""
    async with attacker.connection() as wire:
        query = of(next(attacker.field.accounts), "symbols=BTCUSDT")
        await wire.send(b"".join([request(query)] * 50))
        await asyncio.sleep(STAY_S)
        wire.leave()


@attack(STREAMED, at_once=2, timeout_s=REQUEST_S)
async def sse_half_closed(attacker: Attacker) -> None:
    """Say that nothing more will be sent: some programs do, and read on. Then go."""
    async with attacker.connection() as wire:
        await open_stream(attacker, wire, "symbols=BTCUSDT")
        wire.half_close()
        await asyncio.sleep(STAY_S)
        wire.leave()


@attack(STREAMED, at_once=2, timeout_s=REQUEST_S)
async def sse_of_http_1_0(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await wire.send(request(of(next(attacker.field.accounts)), version="1.0"))
        await wire.until(lambda: wire.status is not None)
        wire.leave(reset=True)


@attack(STREAMED, at_once=1, timeout_s=ANSWER_S)
async def sse_resume_of_everything(attacker: Attacker) -> None:
    """Begin again and again with another epoch's numbers: of each symbol a gap."""
    for number in range(JOINS):
        async with attacker.connection() as wire:
            last = ",".join(f"{topic.rpartition('.')[2]}=1" for topic in attacker.field.topics[:100])
            await open_stream(attacker, wire, f"symbols=*&resume={number + 1}:{last}")
            wire.leave()


@attack(STREAMED, at_once=2, timeout_s=SESSION_S, repeated=False)
async def sse_token_that_runs_out(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await wire.send(request(of(attacker.field.tickets["runs out"])))
        await wire.gone()


@attack("http 400", UNAUTHORIZED, at_once=2, timeout_s=ANSWER_S)
async def sse_with_two_tokens(attacker: Attacker) -> None:
    account = next(attacker.field.accounts)
    async with attacker.connection() as wire:
        await wire.send(request(of(account), f"Authorization: Bearer {account.ticket}\r\n"))
        await wire.until(lambda: wire.status is not None)
        wire.leave()


ATTACKS: tuple[Attack, ...] = (
    *(sse_slow_opening, sse_open_and_leave, sse_streams_of_one_authid, sse_deaf_to_all_ticks),
    *(sse_bytes_behind_the_request, sse_requests_behind_the_request, sse_half_closed, sse_of_http_1_0),
    *(sse_resume_of_everything, sse_token_that_runs_out, sse_with_two_tokens),
    *(
        Attack(f"sse token: {name}", Refused(name), frozenset({UNAUTHORIZED}), 1, ANSWER_S)
        for name in FORGERIES
        if name != ANOTHERS
    ),
    *(
        Attack(f"sse token in a header: {name}", Refused(name, in_header=True), frozenset({UNAUTHORIZED}), 1, ANSWER_S)
        for name in ("expired", "another key")
    ),
    *(
        Attack(f"sse query: {name}", Asked(query), TOO_LONG if len(query) > MAX_LINE_BYTES else PROBLEMS, 1, ANSWER_S)
        for name, query in QUERIES.items()
    ),
    *(
        Attack(f"sse method: {name}", Asked("symbols=*", name), frozenset({"http 405", "http 501"}), 1, ANSWER_S)
        for name in METHODS
    ),
)
