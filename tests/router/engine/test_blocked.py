"""Sessions that are blocked: what waits for them is held as it was, then merged, bounded, and theirs when they go on."""

from __future__ import annotations

from typing import Any

import pytest

from components.core.payload import EncodedPayload
from components.router.engine.blocked import MAX_MOVES, PORTION_BYTES, SLICE, HoldLimits
from tests.router.engine.world import TOPICS, KeepingOutbox, World, turn


@pytest.mark.parametrize("joined", [0, 1])
def test_an_outbox_that_overflows_is_reported_with_its_session(joined: int) -> None:
    world = World()
    session = world.sessions[joined]
    world.subscribe(joined, 10)
    world.fanout.blocked(session)
    session.outbox.refuse = True  # type: ignore[attr-defined]
    world.publish("market.S0")
    world.clock.advance(1.0)
    assert world.overflows == []
    world.publish("market.S0")
    world.clock.advance(0)
    assert world.overflows == [(session, "full")]


def test_a_session_blocked_for_a_moment_gets_what_it_missed_as_it_was() -> None:
    world = World()
    world.subscribe(0, 10)
    world.fanout.blocked(world.sessions[0])
    for _ in range(3):
        world.publish("market.S0")
        world.clock.advance(0.05)
    assert world.got()[0] == []
    world.fanout.unblocked(world.sessions[0])
    assert world.got() == world.expected
    assert world.condensed == 0


def test_what_waits_longer_is_condensed_once_for_all_sessions_of_a_group() -> None:
    world = World(20)
    for number in range(0, 20, 2):
        world.subscribe(number, 10)
        world.fanout.catch_up(world.sessions[number])
    world.publish("market.S0")
    world.clock.advance(1.0)
    for number in range(0, 20, 2):
        world.fanout.blocked(world.sessions[number])
    for _ in range(4):
        world.publish("market.S0")
        world.clock.advance(0.15)
    assert world.condensed == 1
    assert all(len(world.sessions[number].outbox.kept) == 3 for number in range(0, 20, 2))  # type: ignore[attr-defined]
    world.settle()
    assert world.got() == world.expected


def test_merging_a_lot_leaves_everybody_else_their_turn() -> None:
    world = World(4, hold=HoldLimits(hold_s=0.0))
    for number in (0, 2):
        world.subscribe(number, 10)
        world.fanout.blocked(world.sessions[number])
    outboxes: list[KeepingOutbox] = [world.sessions[number].outbox for number in (0, 2)]  # type: ignore[misc]
    world.fanout.publish_batch([("market.S0", EncodedPayload(b"%d" % number)) for number in range(SLICE + 1)])
    merged = []
    while world.clock.getDelayedCalls():
        turn(world.clock)
        merged.append(sorted(len(outbox.kept) for outbox in outboxes))
    # The events are condensed in two slices, then each session takes them in two.
    assert merged == [[0, 0], [0, SLICE], [SLICE, SLICE + 1], [SLICE + 1, SLICE + 1]]


def test_a_session_that_goes_on_while_its_events_are_being_merged_gets_each_once() -> None:
    world = World(4, hold=HoldLimits(hold_s=0.0))
    for number in (0, 2):
        world.subscribe(number, 10)
        world.fanout.blocked(world.sessions[number])
    for _ in range(2 * SLICE):
        world.publish("market.S0")
    turn(world.clock)
    world.fanout.unblocked(world.sessions[0])
    turn(world.clock)
    world.fanout.unblocked(world.sessions[2])
    assert world.got() == world.expected
    world.clock.advance(1)
    assert world.got() == world.expected


def test_what_is_still_to_be_merged_is_bounded_even_without_a_turn() -> None:
    world = World(1, hold=HoldLimits(hold_s=0.0))
    world.subscribe(0, 10)
    world.fanout.blocked(world.sessions[0])
    for _ in range(50):
        world.publish("market.S0")
        world.clock.rightNow += 1.0
        assert len(world.sessions[0].moves) <= MAX_MOVES
    assert len(world.sessions[0].outbox.kept) >= 50 - MAX_MOVES  # type: ignore[attr-defined]


def test_a_session_that_goes_on_earlier_takes_nothing_from_those_that_wait_with_it() -> None:
    world = World(4)
    for number in (0, 2):
        world.subscribe(number, 10)
        world.fanout.blocked(world.sessions[number])
    for _ in range(2):
        world.publish("market.S0")
        world.clock.advance(0.3)
    # Both have something in their outboxes, and the same open backlog besides.
    world.publish("market.S0")
    world.clock.advance(0.01)
    world.fanout.unblocked(world.sessions[0])
    world.publish("market.S0")
    world.clock.advance(0.01)
    world.fanout.unblocked(world.sessions[2])
    assert world.got() == world.expected


def test_what_is_held_is_bounded_by_bytes_too() -> None:
    world = World(hold=HoldLimits(1000.0, 100))
    world.subscribe(0, 10)
    world.fanout.blocked(world.sessions[0])
    for _ in range(50):
        world.publish("market.S0")
        world.clock.advance(0.01)
    group = world.sessions[0].group
    assert group is not None
    assert group.backlog is None or group.backlog.size_bytes <= 100
    assert len(world.sessions[0].outbox.kept) > 40  # type: ignore[attr-defined]


def test_a_backlog_is_let_go_with_the_last_session_that_waits_for_it() -> None:
    world = World(4)
    for number in (0, 2):
        world.subscribe(number, 10)
        world.fanout.blocked(world.sessions[number])
    world.publish("market.S0")
    group = world.sessions[0].group
    assert group is not None
    assert group.backlog is not None
    world.fanout.left(world.sessions[0])
    world.fanout.unblocked(world.sessions[2])
    assert group.backlog is None


@pytest.mark.parametrize("held", ["as it was", "merged"])
def test_a_session_that_blocks_again_gets_the_rest_when_it_goes_on_again(held: str) -> None:
    world = World(1, hold=HoldLimits(hold_s=1000.0 if held == "as it was" else 0.0))
    world.subscribe(0, 10)
    session = world.sessions[0]
    world.fanout.blocked(session)
    large = b'"%b"' % (b"x" * PORTION_BYTES)
    for _ in range(4):
        world.fanout.publish("market.S0", EncodedPayload(large))
        world.clock.advance(1.0)
    connection: Any = session.connection
    connection.then = lambda: world.fanout.blocked(session)
    for number in range(1, 5):
        world.fanout.unblocked(session)
        assert len(connection.blocks) == number
        # What is published meanwhile comes behind it.
        world.publish("market.S0")
        world.clock.advance(0.1)
    connection.then = None
    world.fanout.unblocked(session)
    assert [line.partition(" - ")[2] for line in connection.lines] == [
        *[large.decode()] * 4,
        *[f'{{"n":{number}}}' for number in range(1, 5)],
    ]


def test_a_backlog_is_let_go_when_the_session_that_waits_for_it_leaves() -> None:
    world = World(4, hold=HoldLimits(hold_s=0.2))
    for number in (0, 2):
        world.subscribe(number, 10)
    world.publish("market.S0")
    world.clock.advance(1.0)
    world.fanout.blocked(world.sessions[0])
    world.publish("market.S0")
    world.clock.advance(0.01)
    world.fanout.left(world.sessions[0])
    group = world.sessions[2].group
    assert group is not None
    assert group.backlog is None
    # The next one to block has all of its time.
    world.clock.advance(60.0)
    world.fanout.blocked(world.sessions[2])
    world.publish("market.S0")
    world.clock.advance(0.05)
    assert world.condensed == 0


def test_what_waits_behind_a_reply_to_a_session_that_then_blocks_is_neither_merged_nor_refused() -> None:
    world = World(1)
    world.subscribe(0, 10)
    session = world.sessions[0]
    world.publish("market.S0")
    world.publish("market.S0")
    world.reply(0)
    world.publish("market.S0")
    world.fanout.blocked(session)
    session.outbox.refuse = True  # type: ignore[attr-defined]
    world.clock.advance(0.1)
    assert world.overflows == []
    assert world.got() == world.expected


def test_what_waits_for_a_blocked_session_is_told_while_it_is_held_and_when_it_is_merged() -> None:
    world = World(1, hold=HoldLimits(0.2, 10_000))
    [session] = world.sessions
    world.subscribe(0, TOPICS["market.S0"])
    world.publish("market.S0")
    assert session.waiting() == (0, 0)
    world.fanout.blocked(session)
    sizes = []
    for _ in range(3):
        world.publish("market.S0")
        world.clock.advance(0.01)
        sizes.append(session.waiting())
    assert [events for _, events in sizes] == [1, 2, 3]
    assert 0 < sizes[0][0] < sizes[1][0] < sizes[2][0]
    world.clock.advance(0.3)
    world.publish("market.S0")
    world.clock.advance(0.3)
    assert session.backlog is None
    assert session.waiting() == (sum(len(payload) for _, _, payload, _, _ in session.outbox.kept), 4)  # type: ignore[attr-defined]
    world.fanout.unblocked(session)
    assert session.waiting() == (0, 0)
