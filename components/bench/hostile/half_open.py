"""Connections that come and do not go on: silence, resets, half of a handshake."""

from __future__ import annotations

from components.bench.hostile.attack import Attack, Attacker, attack
from components.bench.hostile.slow import REQUEST_S
from components.bench.hostile.wire import EOF, LEFT, RESET
from components.bench.websocket import upgrade_request
from components.uris import CLOSE_LIMIT_EXCEEDED

RESETS = 20
"""Of one attacker in a turn."""


@attack("http 408", EOF, RESET, at_once=32, timeout_s=REQUEST_S)
async def silence(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await wire.gone()


@attack(LEFT, at_once=4)
async def reset_at_once(attacker: Attacker) -> None:
    for _ in range(RESETS):
        async with attacker.connection() as wire:
            wire.leave(reset=True)


@attack(LEFT, at_once=4)
async def reset_in_the_handshake(attacker: Attacker) -> None:
    request = upgrade_request("x", attacker.field.path)
    for _ in range(RESETS):
        async with attacker.connection() as wire:
            await wire.send(request[: attacker.random.randrange(len(request))])
            wire.leave(reset=True)


@attack(LEFT, CLOSE_LIMIT_EXCEEDED, at_once=4)
async def reset_after_the_upgrade(attacker: Attacker) -> None:
    for _ in range(RESETS):
        async with attacker.connection() as wire:
            await wire.upgrade(attacker.field.path)
            wire.leave(reset=True)


@attack(LEFT, at_once=4)
async def reset_while_joining(attacker: Attacker) -> None:
    for _ in range(RESETS):
        async with attacker.connection() as wire:
            await wire.upgrade(attacker.field.path)
            await wire.authenticate(next(attacker.field.accounts))
            wire.leave(reset=True)


@attack(EOF, "close 1000", "close 1006", at_once=6)
async def half_closed(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await attacker.joined(wire)
        wire.half_close()
        await wire.gone()


ATTACKS: tuple[Attack, ...] = (
    *(silence, half_closed),
    *(reset_at_once, reset_in_the_handshake, reset_after_the_upgrade, reset_while_joining),
)
