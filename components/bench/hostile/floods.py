"""What a session that has joined can do too much of."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from components.bench.hostile.attack import Attack, Attacker, attack
from components.bench.hostile.slow import HELLO_S
from components.bench.hostile.wire import (
    ABORT,
    CALL,
    EOF,
    GOODBYE,
    LEFT,
    PACED,
    PUBLISH,
    REGISTER,
    RESET,
    SUBSCRIBE,
    UNSUBSCRIBE,
    WELCOME,
    Wire,
)
from components.bench.websocket import PING, PONG, TEXT, client_frame
from components.uris import (
    CLOSE_LIMIT_EXCEEDED,
    CLOSE_MESSAGE_TIMEOUT,
    CLOSE_NOT_JOINED,
    CLOSE_STALLED,
    CLOSE_TOO_MANY_BYTES,
    ERROR_LIMIT_EXCEEDED,
    MARKET_SNAPSHOT,
)

FLOOD_FRAMES = 40_000
"""Of one session, at most: four times what it may send at once."""

BLOCK_FRAMES = 250
BLOCK_BYTES = 16_384
BLOCK_S = 0.05
FLOOD_BYTES_PER_S = 500_000
"""Of one session: what all attackers may send together is not for one alone."""

FLOOD_S = 12.0
DEAF_S = 14.0
"""Longer than buffers take to fill, and ``stall_timeout`` after it."""

MARK_EVERY = 50
LONG_BYTES = 60_000
LONG_FRAMES = 40
JOINS = 10
STAY_S = 3.0

ENDED = frozenset({CLOSE_LIMIT_EXCEEDED, RESET, EOF})
"""Who is told why while it goes on sending may not get to hear it: what it sent last is answered with RST."""

STOPPED = ENDED | {PACED}
"""The same of one that reads what it is answered. It may also be taken slowly: what it sends waits for others' messages."""


def message(*parts: Any) -> bytes:
    """Return a frame with a WAMP message."""
    return client_frame(TEXT, json.dumps(parts).encode())


def marked(frames: Iterator[bytes]) -> Iterator[bytes]:
    """Return frames that nobody answers with pings among them, so that each ``MARK_EVERY``th is one.

    Its pong shows that those before it have been taken.
    """
    for number, frame in enumerate(frames, 1):
        yield frame
        if number % (MARK_EVERY - 1) == 0:
            yield client_frame(PING, b"mark")


def blocks(frames: Iterator[bytes]) -> Iterator[bytes]:
    """Return frames in blocks that are sent at once."""
    block = bytearray()
    number = 0
    for frame in frames:
        block += frame
        number += 1
        if number == BLOCK_FRAMES or len(block) >= BLOCK_BYTES:
            yield bytes(block)
            block.clear()
            number = 0
    if block:
        yield bytes(block)


@dataclass(frozen=True, slots=True)
class Flood:
    """An act: joins, and sends frames as fast as it has leave to."""

    frames: Callable[[Attacker], Iterator[bytes]]
    deaf: bool = False
    """Whether nothing is read from the join on."""

    service: bool = False
    joins: Callable[[Attacker, Wire], Awaitable[None]] = Attacker.joined
    """How a viewer becomes a session."""

    marked: bool = False
    """Whether marks have to show how much is taken, since the frames are not answered."""

    leaves: bool = False
    """Whether the attacker goes away when it has sent everything."""

    async def __call__(self, attacker: Attacker) -> None:
        async with attacker.connection(deaf=self.deaf) as wire:
            if self.deaf:
                wire.listen()
            if self.service:
                await wire.join(attacker.field.path, attacker.field.service)
            else:
                await self.joins(attacker, wire)
            if self.deaf:
                wire.stop_listening()
            wire.limits = attacker.field.limits["service" if self.service else "viewer"]
            frames = self.frames(attacker)
            if self.marked:
                frames = marked(frames)
                wire.frames_per_pong = MARK_EVERY
            for block in blocks(itertools.islice(frames, FLOOD_FRAMES)):
                await wire.send(block)
                await asyncio.sleep(max(BLOCK_S, len(block) / FLOOD_BYTES_PER_S))
            if self.deaf:
                wire.listen()
            if self.leaves:
                wire.leave()
            else:
                await wire.gone()


def _subscribe_to_one(attacker: Attacker) -> Iterator[bytes]:
    topic = attacker.topic()
    for number in itertools.count(1):
        yield message(SUBSCRIBE, number, {}, topic)


def _subscribe_to_ever_more(attacker: Attacker) -> Iterator[bytes]:
    for number in itertools.count(1):
        yield message(SUBSCRIBE, number, {}, f"market.A{attacker.number}N{number}")


def _subscribe_to_patterns(attacker: Attacker) -> Iterator[bytes]:
    for number in itertools.count(1):
        match = "prefix" if number % 2 else "wildcard"
        yield message(SUBSCRIBE, number, {"match": match}, f"market.A{attacker.number}N{number}" + "." * (number % 3))


def _subscribe_and_unsubscribe(attacker: Attacker) -> Iterator[bytes]:
    for number in itertools.count(1, 2):
        yield message(SUBSCRIBE, number, {}, f"market.B{attacker.number}N{number}")
        yield message(UNSUBSCRIBE, number + 1, attacker.random.randrange(1, 2**53))


def _call_for_everything(attacker: Attacker) -> Iterator[bytes]:
    for number in itertools.count(1):
        yield message(CALL, number, {}, MARKET_SNAPSHOT)


def _call_what_there_is_not(attacker: Attacker) -> Iterator[bytes]:
    for number in itertools.count(1):
        yield message(CALL, number, {}, f"market.nothing{number}")


def _publish_without_leave(attacker: Attacker) -> Iterator[bytes]:
    topic = attacker.topic()
    for number in itertools.count(1):
        yield message(PUBLISH, number, {}, topic, [{"price": 1}])


def _publish_and_ask(attacker: Attacker) -> Iterator[bytes]:
    for number in itertools.count(1):
        yield message(PUBLISH, number, {"acknowledge": True}, f"services.x{number}.y", [1])


def _publish_long(attacker: Attacker) -> Iterator[bytes]:
    for number in range(1, LONG_FRAMES + 1):
        yield message(PUBLISH, number, {}, "services.x.y", ["a" * LONG_BYTES])


def _publish_as_a_service(attacker: Attacker) -> Iterator[bytes]:
    for number in itertools.count(1):
        yield message(PUBLISH, number, {}, f"services.{attacker.field.service.authid}.t{number}", [number])


def _register(attacker: Attacker) -> Iterator[bytes]:
    for number in itertools.count(1):
        yield message(REGISTER, number, {}, f"services.x.p{number}")


def _register_as_a_service(attacker: Attacker) -> Iterator[bytes]:
    for number in itertools.count(1):
        name = f"services.{attacker.field.service.authid}.a{attacker.number}p{number}"
        yield message(REGISTER, number, {}, name)


def _pings(_: Attacker) -> Iterator[bytes]:
    return itertools.repeat(client_frame(PING, bytes(100)))


def _pongs(_: Attacker) -> Iterator[bytes]:
    return itertools.repeat(client_frame(PONG, bytes(100)))


def _empty_fragments(_: Attacker) -> Iterator[bytes]:
    yield client_frame(TEXT, b"[", final=False)
    yield from itertools.repeat(client_frame(0, b"", final=False))


def _tiny_fragments(_: Attacker) -> Iterator[bytes]:
    """Yield a message that is lawful, in parts of one byte, again and again."""
    for number in itertools.count(1):
        text = json.dumps([CALL, number, {}, "market.status"]).encode()
        for place, byte in enumerate(text):
            yield client_frame(0 if place else TEXT, bytes([byte]), final=place == len(text) - 1)


@attack(LEFT, ERROR_LIMIT_EXCEEDED, CLOSE_LIMIT_EXCEEDED, at_once=4)
async def join_and_leave(attacker: Attacker) -> None:
    for _ in range(JOINS):
        async with attacker.connection() as wire:
            await attacker.joined(wire)
            wire.leave()


@attack(CLOSE_NOT_JOINED, CLOSE_LIMIT_EXCEEDED, LEFT, at_once=4, timeout_s=HELLO_S)
async def join_again_and_again(attacker: Attacker) -> None:
    account = next(attacker.field.accounts)
    async with attacker.connection() as wire:
        await wire.upgrade(attacker.field.path)
        for number in range(1, JOINS + 1):
            await wire.authenticate(account)
            await wire.until(lambda: wire.heard[WELCOME] >= number)  # noqa: B023 - it is called in this turn
            await wire.say(GOODBYE, {}, "wamp.close.normal")
            await wire.until(lambda: wire.heard[GOODBYE] >= number)  # noqa: B023
        wire.leave()


@attack(LEFT, ERROR_LIMIT_EXCEEDED, at_once=150, timeout_s=HELLO_S)
async def sessions_of_one_authid(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await wire.upgrade(attacker.field.path)
        await wire.authenticate(attacker.field.tickets["replayed"])
        await wire.until(lambda: wire.heard[WELCOME] + wire.heard[ABORT] > 0)
        if wire.heard[ABORT]:
            await wire.gone()
        await asyncio.sleep(STAY_S)
        wire.leave()


@attack(CLOSE_STALLED, CLOSE_TOO_MANY_BYTES, RESET, EOF, at_once=8, timeout_s=16.0)
async def deaf_to_all_ticks(attacker: Attacker) -> None:
    async with attacker.connection(deaf=True) as wire:
        wire.listen()
        await attacker.joined(wire)
        await wire.say(SUBSCRIBE, 1, {"match": "prefix"}, "market.")
        wire.stop_listening()
        await asyncio.sleep(DEAF_S * attacker.field.patience)
        wire.listen()
        await wire.gone()


ATTACKS: tuple[Attack, ...] = (
    join_and_leave,
    join_again_and_again,
    sessions_of_one_authid,
    deaf_to_all_ticks,
    *(
        Attack(f"flood: {name}", Flood(frames), STOPPED | {CLOSE_TOO_MANY_BYTES}, 2, FLOOD_S)
        for name, frames in {
            "CALL for everything": _call_for_everything,
            "CALL what there is not": _call_what_there_is_not,
        }.items()
    ),
    # What is never answered is never refused either, and bytes have no limit of their own.
    Attack("flood: PUBLISH of 60 kB", Flood(_publish_long, leaves=True), ENDED | {LEFT}, 2, FLOOD_S),
    *(
        Attack(f"flood: {name}", Flood(frames), STOPPED, 2, FLOOD_S)
        for name, frames in {
            "SUBSCRIBE to one topic": _subscribe_to_one,
            "SUBSCRIBE to ever more topics": _subscribe_to_ever_more,
            "SUBSCRIBE to patterns": _subscribe_to_patterns,
            "SUBSCRIBE and UNSUBSCRIBE": _subscribe_and_unsubscribe,
            "PUBLISH acknowledged": _publish_and_ask,
            "REGISTER": _register,
            "pings": _pings,
        }.items()
    ),
    *(
        Attack(f"flood: {name}", Flood(frames, marked=True), STOPPED, 2, FLOOD_S)
        for name, frames in {
            "PUBLISH without leave": _publish_without_leave,
            "pongs": _pongs,
        }.items()
    ),
    *(
        # Taken slowly, a message in parts is not complete in time.
        Attack(f"flood: {name}", Flood(frames, marked=True), STOPPED | {CLOSE_MESSAGE_TIMEOUT}, 2, FLOOD_S)
        for name, frames in {"empty fragments": _empty_fragments, "tiny fragments": _tiny_fragments}.items()
    ),
    *(
        Attack(
            f"deaf flood: {name}", Flood(frames, deaf=True), ENDED | {CLOSE_STALLED, CLOSE_TOO_MANY_BYTES}, 2, FLOOD_S
        )
        for name, frames in {"CALL for everything": _call_for_everything, "pings": _pings}.items()
    ),
    Attack("service flood: PUBLISH", Flood(_publish_as_a_service, service=True, marked=True), STOPPED, 1, FLOOD_S),
    Attack("service flood: REGISTER", Flood(_register_as_a_service, service=True), STOPPED, 1, FLOOD_S),
)
