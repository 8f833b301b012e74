"""When garbage is collected."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from twisted.internet.task import Clock

from components.router.garbage import (
    FREED_GONE,
    GONE_PER_S,
    INTERVAL_S,
    MAX_GONE,
    MIN_GONE,
    SETTLED_S,
    THRESHOLDS,
    Garbage,
)


class Circle:
    """Refers to itself, so that nothing but a collection lets it go."""

    alive = 0

    def __init__(self) -> None:
        self.me = self
        Circle.alive += 1

    def __del__(self) -> None:
        Circle.alive -= 1


@pytest.fixture
def started() -> Iterator[tuple[Clock, Garbage]]:
    """Return a schedule that has begun; the collector is as it was at the test's end."""
    thresholds = gc.get_threshold()
    clock = Clock()
    garbage = Garbage(clock)
    garbage.start()
    clock.advance(SETTLED_S)
    yield clock, garbage
    garbage._loop.stop()
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def go(clock: Clock, garbage: Garbage, connections: int) -> None:
    """Let connections go."""
    for _ in range(connections):
        garbage.connection_gone()
    clock.advance(0)


def test_old_garbage_goes_when_many_connections_have(started: tuple[Clock, Garbage]) -> None:
    clock, garbage = started
    assert gc.get_threshold() == THRESHOLDS
    Circle()
    gc.collect(1)
    Circle()
    go(clock, garbage, MAX_GONE - 1)
    assert Circle.alive == 1
    go(clock, garbage, 1)
    assert Circle.alive == 0


def test_connections_that_leave_something_are_cleared_away_sooner(
    started: tuple[Clock, Garbage], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, garbage = started
    with monkeypatch.context() as much:
        much.setattr(gc, "collect", lambda: 2 * MAX_GONE)
        go(clock, garbage, MAX_GONE)
    Circle()
    go(clock, garbage, MIN_GONE - 1)
    assert Circle.alive == 1
    go(clock, garbage, 1)
    assert Circle.alive == 0


def test_connections_that_leave_nothing_cost_no_collection(started: tuple[Clock, Garbage]) -> None:
    clock, garbage = started
    go(clock, garbage, MAX_GONE)
    Circle()
    go(clock, garbage, FREED_GONE - 1)
    assert Circle.alive == 1
    go(clock, garbage, 1)
    assert Circle.alive == 0


def test_a_worker_that_has_much_to_go_through_does_it_less_often(
    started: tuple[Clock, Garbage], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, garbage = started
    took_s = 3 * MIN_GONE / GONE_PER_S
    with monkeypatch.context() as slow:
        slow.setattr(gc, "collect", lambda: (clock.advance(took_s), 10**6)[1])
        go(clock, garbage, MAX_GONE)
    Circle()
    go(clock, garbage, 2 * MIN_GONE)
    assert Circle.alive == 1
    go(clock, garbage, MIN_GONE)
    assert Circle.alive == 0


def test_it_goes_now_and_then_without(started: tuple[Clock, Garbage]) -> None:
    clock, _ = started
    Circle()
    clock.advance(INTERVAL_S)
    assert Circle.alive == 0


def test_what_a_worker_starts_with_is_gone_through_no_more(started: tuple[Clock, Garbage]) -> None:
    assert gc.get_freeze_count() > 10_000
