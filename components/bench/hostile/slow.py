"""Slowloris in all places where a gateway waits: for a request, its body, HELLO, AUTHENTICATE, the rest of a message."""

from __future__ import annotations

import asyncio
import itertools

from components.bench.hostile.attack import Attack, Attacker, attack
from components.bench.hostile.wire import EOF, GOODBYE, RESET, Wire
from components.bench.websocket import TEXT, client_frame, client_header, upgrade_request
from components.uris import CLOSE_MESSAGE_TIMEOUT, CLOSE_NOT_JOINED

REQUEST_S = 10.0
HELLO_S = 5.0
AUTHENTICATE_S = 5.0
MESSAGE_S = 10.0
LONG_BYTES = 60_000
MAX_STEPS = 1_000
STEP_S = 0.5


async def dribble(wire: Wire, data: bytes, step_s: float = STEP_S) -> None:
    """Send byte after byte, and wait for the end."""
    for byte in data[:MAX_STEPS]:
        await wire.send(bytes([byte]))
        await asyncio.sleep(step_s)
    await wire.gone()


@attack("http 408", EOF, RESET, at_once=16, timeout_s=REQUEST_S)
async def slow_request_line(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await dribble(wire, b"GET /" + b"a" * MAX_STEPS)


@attack("http 408", EOF, RESET, at_once=16, timeout_s=REQUEST_S)
async def slow_headers(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await wire.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
        for number in range(MAX_STEPS):
            await wire.send(b"X-%d: a\r\n" % number)
            await asyncio.sleep(STEP_S)


@attack("http 405", "http 408", "http 413", EOF, RESET, at_once=12, timeout_s=REQUEST_S)
async def slow_body(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await wire.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        await dribble(wire, b"a" * MAX_STEPS)


@attack("http 405", "http 408", "http 413", EOF, RESET, timeout_s=REQUEST_S)
async def endless_chunks(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await wire.send(b"POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(MAX_STEPS):
            await wire.send(b"1\r\na\r\n")
            await asyncio.sleep(STEP_S)


@attack("http 400", "http 408", EOF, RESET, at_once=16, timeout_s=REQUEST_S)
async def slow_upgrade(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await dribble(wire, upgrade_request("x", attacker.field.path))


@attack("http 200", timeout_s=REQUEST_S)
async def idle_after_an_answer(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await wire.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await wire.gone()


@attack(CLOSE_NOT_JOINED, at_once=24, timeout_s=HELLO_S)
async def slow_hello(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await wire.upgrade(attacker.field.path)
        await wire.gone()


@attack(CLOSE_NOT_JOINED, at_once=12, timeout_s=HELLO_S)
async def hello_byte_by_byte(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await wire.upgrade(attacker.field.path)
        await dribble(wire, client_frame(TEXT, b'[1,"market",{"roles":{"subscriber":{}}}]'))


@attack(CLOSE_NOT_JOINED, at_once=24, timeout_s=AUTHENTICATE_S)
async def slow_authenticate(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await wire.upgrade(attacker.field.path)
        await wire.hello(next(attacker.field.accounts))
        await wire.gone()


@attack(CLOSE_NOT_JOINED, timeout_s=HELLO_S)
async def silent_after_goodbye(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await attacker.joined(wire)
        await wire.say(GOODBYE, {}, "wamp.close.normal")
        await wire.gone()


@attack(CLOSE_MESSAGE_TIMEOUT, at_once=24, timeout_s=MESSAGE_S)
async def slow_frame(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await attacker.joined(wire)
        await wire.send(client_header(TEXT, LONG_BYTES))
        await dribble(wire, b"[" * MAX_STEPS, 1.0)


@attack(CLOSE_MESSAGE_TIMEOUT, at_once=12, timeout_s=MESSAGE_S)
async def slow_header(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await attacker.joined(wire)
        await wire.send(client_header(TEXT, LONG_BYTES)[:3])
        await wire.gone()


@attack(CLOSE_MESSAGE_TIMEOUT, at_once=12, timeout_s=MESSAGE_S)
async def endless_fragments(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await attacker.joined(wire)
        for opcode in itertools.chain([TEXT], itertools.repeat(0, MAX_STEPS)):
            await wire.send(client_frame(opcode, b"[", final=False))
            await asyncio.sleep(STEP_S / 2)


ATTACKS: tuple[Attack, ...] = (
    *(slow_request_line, slow_headers, slow_body, endless_chunks, slow_upgrade, idle_after_an_answer),
    *(slow_hello, hello_byte_by_byte, slow_authenticate, silent_after_goodbye),
    *(slow_frame, slow_header, endless_fragments),
)
