"""The fan-out against an oracle that delivers at once: the same script gives every session the same, in the same order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from components.core.payload import EncodedPayload
from components.router.engine.blocked import HoldLimits
from components.router.engine.events import Event
from components.router.engine.fanout import ENOUGH, GATHER, MAX_CACHED_TOPICS, FanOut
from tests.router.engine.world import PATTERN, TOPICS, WRITE_S, KeepingCondenser, World, turn

sessions = st.integers(0, 2)
subscriptions = st.sampled_from([*TOPICS.values(), PATTERN])
steps = st.one_of(
    st.tuples(st.just("subscribe"), sessions, subscriptions),
    st.tuples(st.just("unsubscribe"), sessions, subscriptions),
    st.tuples(st.just("publish"), st.sampled_from(sorted(TOPICS))),
    st.tuples(st.just("publish"), st.sampled_from(sorted(TOPICS))),
    st.tuples(st.just("reply"), sessions),
    st.tuples(st.just("advance"), st.sampled_from([0.0, 0.001, 0.004, 0.1])),
    st.tuples(st.just("block"), sessions),
    st.tuples(st.just("unblock"), sessions),
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(steps, max_size=60),
    st.sampled_from([0.0, 0.05, 1.0]),
    st.sampled_from([1, 200, 10_000]),
    st.sampled_from([0, 1, 64]),
)
def test_every_session_gets_exactly_what_immediate_delivery_would_give_it(
    script: list[tuple[Any, ...]], hold_s: float, hold_bytes: int, many: int
) -> None:
    world = World(hold=HoldLimits(hold_s, hold_bytes))
    world.fanout.many = many
    for step, *words in script:
        match step:
            case "advance":
                world.clock.advance(words[0])
            case "block":
                world.fanout.blocked(world.sessions[words[0]])
            case "unblock":
                world.fanout.unblocked(world.sessions[words[0]])
            case _:
                getattr(world, step)(*words)
    world.settle()
    assert world.got() == world.expected


@pytest.mark.parametrize("number", [0, 1])
def test_retained_events_come_in_one_block_behind_what_waited_and_before_what_follows(number: int) -> None:
    world = World()
    world.subscribe(number, 10)
    world.publish("market.S0")
    world.publish("market.S0")
    world.subscribe(number, PATTERN)
    connection: Any = world.sessions[number].connection
    before = len(connection.blocks)
    retained = [(topic, EncodedPayload(b"0")) for topic in ("market.S1", "market.S2")]
    world.fanout.send_retained(world.sessions[number], PATTERN, retained)
    assert len(connection.blocks) == before + (1 if connection.encoding.joined else 2)
    world.expected[number] += ["99 market.S1 0", "99 market.S2 0"]
    world.publish("market.S1")
    world.settle()
    assert world.got() == world.expected


def test_a_session_that_left_gets_no_retained_events() -> None:
    world = World()
    world.subscribe(0, 10)
    world.fanout.left(world.sessions[0])
    world.fanout.send_retained(world.sessions[0], 10, [("market.S0", EncodedPayload(b"0"))])
    assert world.got()[0] == []


def test_a_lone_event_is_not_delayed() -> None:
    world = World()
    world.subscribe(0, 10)
    world.clock.advance(1.0)
    world.publish("market.S0")
    assert world.got()[0] == ['10 - {"n":1}']


def test_a_burst_is_written_once_while_events_are_gathered() -> None:
    world = World(1)
    world.subscribe(0, 10)
    for _ in range(50):
        world.publish("market.S0")
    assert len(world.sessions[0].connection.blocks) == 1  # type: ignore[attr-defined]
    world.clock.advance(GATHER * WRITE_S + 1e-6)
    assert len(world.sessions[0].connection.blocks) == 2  # type: ignore[attr-defined]
    assert world.got() == world.expected


def test_events_are_gathered_in_proportion_to_what_writing_costs_but_no_longer_than_a_window() -> None:
    world = World(1, window_s=GATHER * WRITE_S / 2)
    world.subscribe(0, 10)
    world.publish("market.S0")
    world.publish("market.S0")
    world.clock.advance(GATHER * WRITE_S / 2 + 1e-6)
    assert len(world.sessions[0].connection.blocks) == 2  # type: ignore[attr-defined]


def test_events_that_are_due_are_written_when_someone_asks_before_the_timer_comes() -> None:
    world = World(1)
    world.subscribe(0, 10)
    world.publish("market.S0")
    world.publish("market.S0")
    world.fanout.flush_if_due()
    assert len(world.sessions[0].connection.blocks) == 1  # type: ignore[attr-defined]
    world.clock.rightNow += GATHER * WRITE_S + 1e-6
    world.fanout.flush_if_due()
    assert world.got() == world.expected


def test_those_of_whom_many_get_the_same_are_written_to_first() -> None:
    world = World(7)
    order: list[int] = []
    for number, session in enumerate(world.sessions):
        write = session.connection.write
        session.connection.write = lambda block, n=number, w=write: (order.append(n), w(block))  # type: ignore[method-assign,misc]
        session.connection.encoding = world.encodings[0]
    for number in range(7):
        world.subscribe(number, 10)
    for number in (0, 1, 2):
        world.subscribe(number, 11 + number)
    world.clock.advance(1.0)
    world.publish("market.S0")
    assert sorted(order[:4]) == [3, 4, 5, 6]
    assert sorted(order[4:]) == [0, 1, 2]


def test_nothing_waits_longer_for_a_clock_that_was_set_back() -> None:
    world = World(1)
    world.subscribe(0, 10)
    world.publish("market.S0")
    world.clock.rightNow -= 3600
    world.publish("market.S0")
    assert world.got() == world.expected


def test_once_enough_events_wait_a_turn_without_more_ends_the_gathering() -> None:
    world = World(1, window_s=10.0)
    world.subscribe(0, 10)
    world.sessions[0].connection.write_s = 1.0  # type: ignore[attr-defined]
    world.publish("market.S0")
    for _ in range(ENOUGH):
        world.publish("market.S0")
    turn(world.clock)
    world.publish("market.S0")
    turn(world.clock)
    assert len(world.got()[0]) == 1
    turn(world.clock)
    assert world.got() == world.expected
    assert len(world.sessions[0].connection.blocks) == 2  # type: ignore[attr-defined]
    assert not world.clock.getDelayedCalls()


def test_a_long_burst_is_flushed_from_within() -> None:
    world = World(1)
    world.subscribe(0, 10)
    for _ in range(10):
        world.publish("market.S0")
        world.clock.rightNow += 0.002
    assert len(world.sessions[0].connection.blocks) >= 3  # type: ignore[attr-defined]


def test_a_batch_is_one_write() -> None:
    world = World(1)
    world.subscribe(0, 10)
    world.fanout.publish_batch([("market.S0", EncodedPayload(b"%d" % number)) for number in range(100)])
    assert len(world.sessions[0].connection.blocks) == 1  # type: ignore[attr-defined]


def test_frames_are_made_once_for_all_sessions_of_an_encoding() -> None:
    world = World(30)
    for number in range(30):
        world.subscribe(number, 10)
        if number % 3 == 0:
            world.subscribe(number, 11)
    world.clock.advance(1.0)
    for topic in ("market.S0", "market.S1") * 5:
        world.publish(topic)
    world.clock.advance(1.0)
    assert world.got() == world.expected
    assert [encoding.made for encoding in world.encodings] == [10, 10]


def test_an_event_nobody_is_subscribed_to_costs_nothing_and_goes_nowhere() -> None:
    world = World()
    world.publish("market.S0")
    world.clock.advance(1.0)
    assert world.fanout.flushes == 0


def test_topics_without_end_do_not_fill_the_memory() -> None:
    fanout = FanOut(Clock(), lambda topic: [], lambda subscriber, overflow: None, KeepingCondenser)
    for number in range(MAX_CACHED_TOPICS + 5):
        fanout.publish(f"services.x.{number}", EncodedPayload(b"1"))
    assert len(fanout._matches) == 5


def test_a_session_that_left_gets_nothing_more() -> None:
    world = World()
    world.subscribe(0, 10)
    world.subscribe(1, 10)
    world.clock.advance(1.0)
    world.publish("market.S0")
    world.publish("market.S0")
    world.fanout.left(world.sessions[0])
    world.clock.advance(1.0)
    assert len(world.got()[0]) == 1
    assert len(world.got()[1]) == 2


def test_a_session_that_goes_on_changing_many_subscriptions_is_in_no_group_until_it_settles() -> None:
    world = World()
    world.fanout.many = 1
    for subscription in (10, 11, 12):
        world.subscribe(0, subscription)
        world.publish("market.S0")
        world.clock.advance(1.0)
    assert len(world.fanout._groups) == 0
    world.publish("market.S0")
    world.clock.advance(1.0)
    assert len(world.fanout._groups) == 1
    assert len(world.got()[0]) == 4
    world.fanout.left(world.sessions[0])
    assert not world.fanout._settling


def test_groups_of_sessions_that_left_are_forgotten() -> None:
    world = World()
    for number in range(3):
        world.subscribe(number, 10 + number)
    world.publish("market.S0")
    assert len(world.fanout._groups) == 3
    for session in world.sessions:
        world.fanout.left(session)
    assert len(world.fanout._groups) == 0
    assert not world.fanout._groups._by_subscription


def test_payloads_reach_the_encoding_untouched() -> None:
    world = World(1)
    world.subscribe(0, PATTERN)
    world.fanout.publish("market.S0", EncodedPayload(b'{"price":0.35280000}'))
    line = world.got()[0][0]
    assert line == '99 market.S0 {"price":0.35280000}'
    assert json.loads(line.split(" ", 2)[2], parse_float=str) == {"price": "0.35280000"}


def test_an_event_that_cannot_be_encoded_is_left_out_and_nothing_else_is() -> None:
    world = World(3)
    for number in range(3):
        world.subscribe(number, 10)

    def frames(events: Sequence[Event]) -> list[bytes]:
        if any(event.payload.json == b"poison" for event in events):
            raise ValueError("poison")
        return [event.payload.json + b"\n" for event in events]

    world.encodings[1].frames = frames  # type: ignore[method-assign]
    world.fanout.publish_batch([("market.S0", EncodedPayload(json)) for json in (b"1", b"poison", b"2")])
    world.fanout.publish("market.S0", EncodedPayload(b"3"))
    world.clock.advance(1.0)
    assert world.got()[1] == ["1", "2", "3"]
    assert world.got()[0] == world.got()[2] == ["10 - 1", "10 - poison", "10 - 2", "10 - 3"]


def test_a_connection_that_cannot_be_written_to_is_given_up_and_the_others_get_each_event_once() -> None:
    world = World(6)
    for number in (0, 2, 4):
        world.subscribe(number, 10)
    broken: Any = world.sessions[2].connection
    broken.fails = True
    world.publish("market.S0")
    world.publish("market.S0")
    world.clock.advance(1.0)
    assert broken.given_up
    assert world.got()[0] == world.got()[4] == world.expected[0]


def test_what_is_published_from_within_a_write_is_not_lost() -> None:
    world = World(1)
    world.subscribe(0, 10)
    connection: Any = world.sessions[0].connection

    def publish_once() -> None:
        connection.then = None
        world.publish("market.S0")

    connection.then = publish_once
    world.publish("market.S0")
    world.clock.advance(1.0)
    assert world.got() == world.expected


def batch(*topics: str) -> list[tuple[str, EncodedPayload]]:
    return [(topic, EncodedPayload(b"{}")) for topic in topics]


def test_the_age_of_the_oldest_trade_counts_once_for_each_delivery_of_its_flush() -> None:
    world = World()
    unix = Clock()
    unix.advance(1_700_000_000)
    world.fanout._unix_s = unix.seconds
    for number in range(3):
        world.subscribe(number, TOPICS["market.S0"])
    world.fanout.publish_batch(batch("market.S0"), lambda: 1_700_000_000_000 - 40)
    ages = world.fanout.ages
    assert (ages.count, round(ages.sum, 6)) == (3, 0.12)
    # Gathered: the first batch that waits is the oldest; one without a trade has no age.
    world.fanout.publish_batch(batch("market.S0"))
    world.fanout.publish_batch(batch("market.S0", "market.S0"), lambda: 1_700_000_000_000 - 300)
    world.fanout.publish_batch(batch("market.S0"), lambda: 1_700_000_000_000)
    world.clock.advance(1.0)
    assert (ages.count, round(ages.sum, 4)) == (3 + 12, round(0.12 + 12 * 0.3, 4))
    world.fanout.publish_batch(batch("market.S0"))
    world.clock.advance(1.0)
    assert ages.count == 15


def test_a_batch_that_nobody_gets_leaves_no_age_to_the_next() -> None:
    world = World(1)
    world.fanout._unix_s = lambda: 1_700_000_000.0
    world.fanout.publish_batch(batch("market.S0"), lambda: 1_600_000_000_000)
    world.subscribe(0, TOPICS["market.S0"])
    world.fanout.publish_batch(batch("market.S0"), lambda: 1_700_000_001_000)
    # By a clock that is behind the exchange's.
    assert (world.fanout.ages.count, world.fanout.ages.sum) == (1, 0.0)
