"""The worker's time is shared between connections whose messages wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from components.router.engine.turns import SLICE_S, TURN_S, Turns

MESSAGE_S = 1 / 8192
"""So that sums of it are exact."""


class Reactor:
    """Time that passes by work alone, and calls that wait for the next turn."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.calls: list[Callable[[], Any]] = []

    def seconds(self) -> float:
        return self.now_s

    def callLater(self, delay_s: float, call: Callable[[], Any]) -> object:
        assert delay_s == 0
        self.calls.append(call)
        return object()

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()


class Sender:
    """A connection with messages, each of which takes a while."""

    def __init__(self, clock: Reactor, name: str, messages: int, handled: list[str]) -> None:
        self.clock = clock
        self.name = name
        self.messages = messages
        self.handled = handled
        self.failed = False
        self.wrong = False

    def take_turn(self, until_s: float) -> bool:
        if self.wrong:
            raise ValueError("nobody foresaw this")
        while self.messages:
            self.clock.now_s += MESSAGE_S
            self.messages -= 1
            self.handled.append(self.name)
            if self.clock.seconds() >= until_s:
                break
        return self.messages > 0

    def fail(self) -> None:
        self.failed = True


def test_messages_are_handled_at_once_while_there_is_time() -> None:
    clock, handled = Reactor(), list[str]()
    turns = Turns(clock)
    turns.ready(Sender(clock, "a", 1, handled))
    turns.ready(Sender(clock, "b", 1, handled))
    assert handled == ["a", "b"]
    assert len(turns) == 0


def test_those_that_wait_have_a_slice_each_in_turn() -> None:
    clock, handled = Reactor(), list[str]()
    turns = Turns(clock, turn_s=4 * MESSAGE_S, slice_s=2 * MESSAGE_S)
    for name in "abc":
        turns.ready(Sender(clock, name, 4, handled))
    # The first had its slice at once, and as long as it waits the others wait behind it.
    assert "".join(handled) == "aa"
    clock.turn()
    assert "".join(handled) == "aa" + "aabb"
    clock.turn()
    clock.turn()
    assert "".join(handled) == "aa" + "aabb" + "ccbb" + "cc"


def test_a_turn_of_the_reactor_has_no_more_than_its_time() -> None:
    clock, handled = Reactor(), list[str]()
    turns = Turns(clock)
    for number in range(20):
        turns.ready(Sender(clock, str(number), 100, handled))
    first = len(handled)
    assert first * MESSAGE_S <= TURN_S + SLICE_S + MESSAGE_S
    began_s = clock.seconds()
    clock.turn()
    assert clock.seconds() - began_s <= TURN_S + SLICE_S + MESSAGE_S


def test_one_that_sends_much_is_not_before_one_that_sends_little() -> None:
    clock, handled = Reactor(), list[str]()
    turns = Turns(clock)
    turns.ready(Sender(clock, "much", 1000, handled))
    turns.ready(Sender(clock, "little", 1, handled))
    clock.turn()
    assert "little" in handled
    assert handled.count("much") < 1000


def test_what_must_not_wait_comes_before_each_slice() -> None:
    clock, handled = Reactor(), list[str]()
    turns = Turns(clock, turn_s=4 * MESSAGE_S, slice_s=2 * MESSAGE_S)
    turns.come_first(lambda: handled.append("."))
    turns.ready(Sender(clock, "a", 4, handled))
    turns.ready(Sender(clock, "b", 4, handled))
    clock.turn()
    assert "".join(handled) == ".aa.aa.bb"


def test_in_the_end_everything_is_handled_and_nothing_is_left_to_do() -> None:
    clock, handled = Reactor(), list[str]()
    turns = Turns(clock)
    for name in "abc":
        turns.ready(Sender(clock, name, 50, handled))
    for _ in range(1000):
        clock.turn()
    assert {name: handled.count(name) for name in "abc"} == {"a": 50, "b": 50, "c": 50}
    assert not clock.calls


def test_one_that_goes_wrong_is_dropped_and_the_others_have_their_turn() -> None:
    clock, handled = Reactor(), list[str]()
    turns = Turns(clock)
    bad, good = Sender(clock, "bad", 1, handled), Sender(clock, "good", 1, handled)
    turns.ready(Sender(clock, "much", 100, handled))
    turns.ready(bad)
    turns.ready(good)
    bad.wrong = True
    clock.turn()
    assert bad.failed
    assert not good.failed
    assert "good" in handled
