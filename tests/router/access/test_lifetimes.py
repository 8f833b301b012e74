"""Sessions end with their tokens, on a clock that a test turns."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any
from weakref import ref

import pytest
from twisted.internet.task import Clock

from components.core.closing import CloseReason
from components.router.access.lifetimes import LOOK_AGAIN_S, SLICE, Lifetime, Lifetimes

TURN_S = 0.001


class TurningClock(Clock):
    """A clock by which nothing happens in the same turn, as with a reactor."""

    def callLater(self, delay: float, *call: Any, **arguments: Any) -> Any:
        return super().callLater(max(delay, TURN_S), *call, **arguments)


class Session:
    """As much of a session as a lifetime knows."""


class World:
    """Lifetimes, the two clocks, and whom they have closed."""

    def __init__(self) -> None:
        self.clock = TurningClock()
        self.set_forward_s = 1_000_000.0
        """How far the wall clock is ahead of the other."""
        self.closed: list[tuple[int, CloseReason]] = []
        self.lifetimes = Lifetimes(self.clock, lambda: self.clock.seconds() + self.set_forward_s)

    def exp_in(self, seconds: float) -> int:
        return int(self.clock.seconds() + self.set_forward_s + seconds)

    def join(self, session_id: int, ttl_s: float, grace_s: float = 0.0, **extra: Any) -> Lifetime:
        lifetime = Lifetime(
            Session(),
            session_id,
            "alice",
            {"exp": self.exp_in(ttl_s)} | extra,
            grace_s,
            lambda reason: self.closed.append((session_id, reason)),
        )
        self.lifetimes.add(lifetime)
        return lifetime

    def whom(self) -> list[int]:
        return [session_id for session_id, _ in self.closed]


@pytest.fixture
def world() -> World:
    return World()


def test_a_session_is_closed_when_its_token_and_the_grace_are_over(world: World) -> None:
    world.join(1, 10, grace_s=5)
    world.clock.advance(14.9)
    assert world.closed == []
    world.clock.advance(0.2)
    assert world.closed == [(1, CloseReason.TOKEN_EXPIRED)]


def test_each_session_ends_in_its_time_whatever_the_order_of_their_joins(world: World) -> None:
    times = list(range(1, 200))
    random.Random(1).shuffle(times)
    for time in times:
        world.join(time, time)
    for time in range(1, 200):
        world.clock.advance(1)
        assert world.whom() == list(range(1, time + 1))


def test_a_session_that_has_left_is_not_closed_and_leaves_no_timer(world: World) -> None:
    world.join(1, 10)
    world.lifetimes.remove(1)
    assert world.clock.getDelayedCalls() == []
    world.clock.advance(20)
    assert world.closed == []


@pytest.mark.parametrize("ttl_s", [5, 30])
def test_a_renewed_session_ends_with_its_other_token(world: World, ttl_s: int) -> None:
    world.join(1, 10)
    world.lifetimes.renew(1, {"exp": world.exp_in(ttl_s)})
    world.clock.advance(ttl_s - 0.5)
    assert world.closed == []
    world.clock.advance(1)
    assert world.whom() == [1]


def test_a_wall_clock_that_was_set_is_noticed_within_a_minute(world: World) -> None:
    world.join(1, 7200)
    world.clock.advance(1)
    world.set_forward_s += 7200
    world.clock.advance(LOOK_AGAIN_S)
    assert world.whom() == [1]


def test_a_wall_clock_that_was_set_back_ends_nobody_early(world: World) -> None:
    world.join(1, 30)
    world.set_forward_s -= 1000
    world.clock.pump([30.0] * 34)
    assert world.closed == []
    world.clock.pump([30.0] * 2)
    assert world.whom() == [1]


def test_many_that_end_at_once_are_closed_a_slice_in_a_turn(world: World) -> None:
    for session_id in range(10_000):
        world.join(session_id, 10)
    world.clock.advance(10)
    for turn in range(1, 10_000 // SLICE + 1):
        assert len(world.closed) == turn * SLICE
        for session_id in world.whom()[-SLICE:]:
            world.lifetimes.remove(session_id)
        world.clock.advance(TURN_S)
    assert world.clock.getDelayedCalls() == []
    assert len(set(world.whom())) == len(world.closed) == 10_000


def test_who_renews_while_others_are_being_closed_stays(world: World) -> None:
    for session_id in range(SLICE + 1):
        world.join(session_id, 10)
    world.clock.advance(10)
    world.lifetimes.renew(SLICE, {"exp": world.exp_in(100)})
    world.clock.advance(TURN_S)
    assert sorted(world.whom()) == list(range(SLICE))
    world.clock.advance(61)
    world.clock.advance(61)
    assert world.whom()[-1] == SLICE


def test_who_cannot_be_closed_keeps_nobody_else_alive(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(Lifetimes, "life_log", SimpleNamespace(failure=said.append))

    def fail(reason: CloseReason) -> None:
        raise OSError("gone")

    world.join(1, 10).close = fail
    world.join(2, 10)
    world.clock.advance(10)
    assert world.whom() == [2]
    assert len(said) == 1


def test_the_revoked_are_closed_at_once_and_counted(world: World) -> None:
    world.join(1, 10, jti="a")
    world.join(2, 10, jti="b")
    assert world.lifetimes.close_revoked(lambda lifetime: lifetime.jti == "a") == 1
    assert world.closed == [(1, CloseReason.TOKEN_REVOKED)]


def test_sessions_that_come_and_go_or_renew_leave_nothing_behind(world: World) -> None:
    world.join(0, 10_000)
    for session_id in range(1, 20_000):
        world.join(session_id, 9_000)
        world.lifetimes.remove(session_id)
        world.lifetimes.renew(0, {"exp": world.exp_in(10_000 + session_id)})
    assert len(world.lifetimes) == 1
    assert len(world.lifetimes._ends) < 2_000


def test_a_session_that_has_left_is_not_kept_until_its_token_ends(world: World) -> None:
    world.join(1, 3_600)
    gone = world.join(2, 3_600)
    session = ref(gone.session)
    world.lifetimes.remove(2)
    assert session() is None
