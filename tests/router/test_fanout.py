"""The fan-out against an oracle that delivers at once: the same script gives every session the same, in the same order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from components.core.payload import EncodedPayload
from components.router.engine.blocked import MAX_MOVES, PORTION_BYTES, SLICE, HoldLimits
from components.router.engine.events import Event
from components.router.engine.fanout import ENOUGH, GATHER, MAX_CACHED_TOPICS, FanOut
from components.router.engine.groups import Subscriber

PATTERN = 99
WRITE_S = 0.001
TOPICS = {f"market.S{number}": 10 + number for number in range(4)}


class PlainEncoding:
    """One line per event, so that a test can read what was written."""

    def __init__(self, joined: bool) -> None:
        self.joined = joined
        self.made = 0

    def frames(self, events: Sequence[Event]) -> list[bytes]:
        self.made += len(events)
        return [
            b"%d %b %b\n"
            % (event.subscription, (event.topic if event.topic_shown else "-").encode(), event.payload.json)
            for event in events
        ]

    def pieces(self, frames: list[bytes]) -> list[bytes]:
        return [b"".join(frames)] if self.joined else frames


class FakeConnection:
    def __init__(self, encoding: PlainEncoding, clock: Clock) -> None:
        self.encoding = encoding
        self.blocks: list[bytes] = []
        self.clock = clock
        self.write_s = WRITE_S
        self.given_up = False
        self.fails = False
        self.then: Callable[[], None] | None = None
        """Called from within each write, as Twisted tells its producers."""

    def write(self, block: bytes) -> None:
        assert self.encoding.joined
        if self.fails:
            raise OSError("broken")
        self.blocks.append(block)
        if self.then is not None:
            self.then()
        # Time passes, but the reactor has no turn in which a timer could fire.
        self.clock.rightNow += self.write_s

    def write_each(self, frames: Iterable[bytes]) -> None:
        assert not self.encoding.joined
        self.blocks.extend(frames)

    def give_up(self) -> None:
        self.given_up = True

    @property
    def lines(self) -> list[str]:
        return b"".join(self.blocks).decode().splitlines()


class KeepingOutbox:
    """Merges nothing, so that what comes out is what went in."""

    def __init__(self) -> None:
        self.kept: list[tuple[int, str, bytes, int, int]] = []
        self.refuse = False

    def add(self, subscription: int, topic: str, payload: bytes, events: int = 1) -> str | None:
        assert events == 1
        if self.refuse:
            return "full"
        self.kept.append((subscription, topic, payload, 0, 0))
        return None

    def drain(self) -> Iterator[tuple[int, str, bytes, int, int]]:
        while self.kept:
            yield self.kept.pop(0)

    def discard(self) -> None:
        self.kept.clear()

    def __bool__(self) -> bool:
        return bool(self.kept)

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def bytes(self) -> int:
        return sum(len(payload) for _, _, payload, _, _ in self.kept)


class KeepingCondenser:
    """Merges nothing either."""

    def __init__(self) -> None:
        self.events: list[tuple[int, str, bytes]] = []

    def add(self, subscription: int, topic: str, payload: bytes) -> None:
        self.events.append((subscription, topic, payload))

    def condensed(self) -> list[tuple[int, str, bytes, int]]:
        return [(*event, 1) for event in self.events]


class World:
    """A fan-out, its sessions, and what each of them ought to have got."""

    def __init__(self, sessions: int = 3, *, window_s: float = 0.005, hold: HoldLimits | None = None) -> None:
        self.condensed = 0
        self.clock = Clock()
        self.overflows: list[tuple[Subscriber, Any]] = []
        self.fanout = FanOut(
            self.clock,
            self.match,
            lambda *overflow: self.overflows.append(overflow),
            self.condenser,
            window_s,
            hold,
        )
        self.encodings = [PlainEncoding(True), PlainEncoding(False)]
        self.sessions = [
            Subscriber(FakeConnection(self.encodings[number % 2], self.clock), KeepingOutbox())
            for number in range(sessions)
        ]
        self.expected: list[list[str]] = [[] for _ in range(sessions)]
        self.published = 0

    def condenser(self) -> KeepingCondenser:
        self.condensed += 1
        return KeepingCondenser()

    def match(self, topic: str) -> list[tuple[int, bool]]:
        taken = {subscription for session in self.sessions for subscription in session.subscriptions}
        found = [(TOPICS[topic], False)] if TOPICS[topic] in taken else []
        return [*found, (PATTERN, True)] if PATTERN in taken else found

    def subscribe(self, number: int, subscription: int) -> None:
        if subscription not in self.sessions[number].subscriptions:
            self.fanout.subscribed(self.sessions[number], subscription, subscription == PATTERN)
            self.fanout.subscriptions_changed()

    def unsubscribe(self, number: int, subscription: int) -> None:
        if subscription in self.sessions[number].subscriptions:
            self.fanout.unsubscribed(self.sessions[number], subscription)
            self.fanout.subscriptions_changed()

    def publish(self, topic: str) -> None:
        self.published += 1
        payload = b'{"n":%d}' % self.published
        for session, expected in zip(self.sessions, self.expected, strict=True):
            for subscription in (TOPICS[topic], PATTERN):
                if subscription in session.subscriptions:
                    shown = topic if subscription == PATTERN else "-"
                    expected.append(f"{subscription} {shown} {payload.decode()}")
        self.fanout.publish(topic, EncodedPayload(payload))

    def reply(self, number: int) -> None:
        session = self.sessions[number]
        self.fanout.catch_up(session)
        self.expected[number].append("reply")
        session.connection.blocks.append(b"reply\n")  # type: ignore[attr-defined]

    def settle(self) -> None:
        for session in self.sessions:
            if session.blocked:
                self.fanout.unblocked(session)
        self.clock.advance(1.0)

    def got(self) -> list[list[str]]:
        return [session.connection.lines for session in self.sessions]  # type: ignore[attr-defined]


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


def turn(clock: Clock) -> None:
    """Do what a reactor does in one turn: the calls that are due, and not those that they ask for."""
    for call in [call for call in clock.getDelayedCalls() if call.getTime() <= clock.seconds()]:
        clock.calls.remove(call)
        call.called = 1
        call.func(*call.args, **call.kw)


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


def test_payloads_reach_the_encoding_untouched() -> None:
    world = World(1)
    world.subscribe(0, PATTERN)
    world.fanout.publish("market.S0", EncodedPayload(b'{"price":0.35280000}'))
    line = world.got()[0][0]
    assert line == '99 market.S0 {"price":0.35280000}'
    assert json.loads(line.split(" ", 2)[2], parse_float=str) == {"price": "0.35280000"}


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
