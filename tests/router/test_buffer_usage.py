"""What waits for clients is counted in slices, and for all who ask at once."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from components.core.closing import CloseReason
from components.router.buffer_usage import LOOK_AFTER, SLICE_S, BufferMeasure, BufferUsage
from components.router.open_connections import OpenConnections, WaitingBytes


class Client:
    """Has so much waiting."""

    def __init__(self, waiting: WaitingBytes, clock: Clock, *, is_internal: bool = False, takes_s: float = 0.0) -> None:
        self.is_internal = is_internal
        self._waiting = waiting
        self._clock = clock
        self._takes_s = takes_s

    def part(self, reason: CloseReason) -> None: ...
    def cut(self, reason: CloseReason) -> None: ...
    def waiting(self) -> WaitingBytes:
        self._clock.rightNow += self._takes_s
        return self._waiting


class Broken(Client):
    def waiting(self) -> WaitingBytes:
        raise RuntimeError("nonsense")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def worker(clock: Clock, *clients: Client) -> BufferMeasure:
    connections = OpenConnections()
    for client in clients:
        connections.opened(client)
    return BufferMeasure(clock, connections)


def counted(measure: BufferMeasure) -> BufferUsage:
    found: list[BufferUsage] = []
    measure.measure().addCallback(found.append)
    [usage] = found
    return usage


def test_each_client_is_counted_and_what_waits_for_all_of_them_is_summed(clock: Clock) -> None:
    usage = counted(
        worker(
            clock,
            Client(WaitingBytes(0, 0, False), clock),
            Client(WaitingBytes(70_000, 3, True), clock),
            Client(WaitingBytes(20_000_000, 500, True), clock),
            Client(WaitingBytes(999, 999, True), clock, is_internal=True),
        )
    )
    assert (usage.bytes.count, usage.bytes.sum, usage.entries.sum, usage.blocked) == (3, 20_070_000, 503, 2)
    by_bytes, by_entries = dict(usage.bytes.cumulative()), dict(usage.entries.cumulative())
    assert (by_bytes[0], by_bytes[65_536], by_bytes[262_144], by_bytes[16_777_216], by_bytes[inf]) == (1, 1, 2, 2, 3)
    assert (by_entries[0], by_entries[1], by_entries[10], by_entries[1_000]) == (1, 1, 2, 3)


def test_nobody_is_there(clock: Clock) -> None:
    assert counted(worker(clock)).bytes.count == 0


def test_many_are_counted_a_slice_of_a_turn_at_a_time(clock: Clock) -> None:
    clients = [Client(WaitingBytes(1, 1, False), clock, takes_s=SLICE_S / LOOK_AFTER) for _ in range(10 * LOOK_AFTER)]
    measure = worker(clock, *clients)
    found: list[BufferUsage] = []
    measure.measure().addCallback(found.append)
    turns = 0
    while clock.getDelayedCalls():
        assert not found
        # Who asks meanwhile starts no second walk.
        if turns == 3:
            measure.measure().addCallback(found.append)
        before_s = clock.seconds()
        turn(clock)
        assert clock.seconds() - before_s <= 2 * SLICE_S
        turns += 1
    assert turns >= 4
    assert [usage.bytes.count for usage in found] == [len(clients)] * 2
    # And anew for who asks afterwards.
    measure.measure().addCallback(found.append)
    while clock.getDelayedCalls():
        turn(clock)
    assert found[2] is not found[1]
    assert found[2].bytes.count == len(clients)


def turn(clock: Clock) -> None:
    """Let the reactor come round once; ``Clock.advance`` goes on with what is called for at once."""
    [call] = clock.getDelayedCalls()
    function: Any = call.func
    call.cancel()
    function()


def test_a_client_that_cannot_be_counted_is_logged_and_the_others_are_counted(clock: Clock) -> None:
    logged: list[object] = []
    globalLogPublisher.addObserver(logged.append)
    try:
        usage = counted(
            worker(clock, Broken(WaitingBytes(0, 0, False), clock), Client(WaitingBytes(5, 1, False), clock))
        )
    finally:
        globalLogPublisher.removeObserver(logged.append)
    assert usage.bytes.sum == 5
    assert len(logged) == 1
