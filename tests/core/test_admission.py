"""Numbers and rates that bound who is let in, and what they cost in memory."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from components.core import admission
from components.core.admission import Admission, Bound, Refused

TOTAL = Bound("total", 3)
PER_KEY = Bound("per_key", 2)
RATE = Bound("rate", 10.0)


def test_there_is_room_up_to_the_bounds_and_again_when_one_leaves() -> None:
    inside = Admission(TOTAL, PER_KEY)
    assert inside.take("a", 0) is None
    assert inside.take("a", 0) is None
    assert inside.take("a", 0) == Refused(PER_KEY, 0.0)
    assert inside.take("b", 0) is None
    assert inside.take("c", 0) == Refused(TOTAL, 0.0)
    inside.release("a")
    assert inside.take("c", 0) is None
    assert (inside.number, inside["a"], inside["b"], inside["c"]) == (3, 1, 1, 1)


def test_who_has_no_key_is_bound_by_the_total_only() -> None:
    inside = Admission(TOTAL, PER_KEY, RATE)
    assert [inside.take(None, 0) for _ in range(4)] == [None, None, None, Refused(TOTAL, 0.0)]
    inside.release(None)
    assert inside.number == 2
    assert inside.keys_known == 0


def test_without_bounds_all_are_let_in() -> None:
    inside = Admission()
    assert all(inside.take("a", 0) is None for _ in range(1000))


def test_so_many_may_come_at_once_and_so_many_a_second_after_that() -> None:
    inside = Admission(rate_per_key=RATE, burst_per_key=5)
    assert [inside.take("a", 0.0) for _ in range(5)] == [None] * 5
    refused = inside.take("a", 0.0)
    assert refused is not None
    assert refused.limit == RATE
    assert refused.retry_after_s == pytest.approx(0.1)
    # Another is not held to it.
    assert inside.take("b", 0.0) is None
    assert inside.take("a", 0.1) is None
    assert inside.take("a", 0.1) is not None
    assert [inside.take("a", 0.6) for _ in range(5)] == [None] * 5
    assert inside.take("a", 0.6) is not None


def test_being_refused_does_not_put_off_when_there_is_room() -> None:
    inside = Admission(rate_per_key=RATE)
    assert inside.take("a", 0.0) is None
    assert all(inside.take("a", 0.05) is not None for _ in range(100))
    assert inside.take("a", 0.1) is None


def test_one_who_is_not_in_cannot_leave() -> None:
    inside = Admission()
    with pytest.raises(KeyError):
        inside.release("a")
    assert inside.number == 0


def test_a_key_is_forgotten_when_nobody_is_in_and_its_rate_is_full_again() -> None:
    inside = Admission(rate_per_key=RATE, burst_per_key=5)
    for number in range(1000):
        assert inside.take(str(number), 0.0) is None
        inside.release(str(number))
    assert inside.take("late", 10.0) is None
    assert inside.keys_known == 2


def test_of_the_keys_whose_rate_is_known_there_are_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_RATED_KEYS", 10)
    inside = Admission(rate_per_key=RATE)
    for number in range(100):
        inside.take(str(number), 0.0)
        inside.release(str(number))
    assert inside.keys_known == 10
    # The last ones are still held to it.
    assert inside.take("99", 0.0) is not None
    assert inside.take("0", 0.0) is None


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 2)), max_size=60), st.integers(1, 5))
def test_in_no_time_do_more_of_a_key_come_than_its_burst_and_rate_allow(
    arrivals: list[tuple[str, float]], burst: int
) -> None:
    inside = Admission(rate_per_key=RATE, burst_per_key=burst)
    now_s, times = 0.0, []
    for key, wait_s in arrivals:
        now_s += wait_s / 10
        if inside.take(key, now_s) is None:
            times.append((key, now_s))
    for key in "ab":
        own = [time_s for other, time_s in times if other == key]
        for first, begin_s in enumerate(own):
            for last, end_s in enumerate(own[first:], 1):
                assert last <= burst + (end_s - begin_s) * RATE.value + 1e-6


class Counting(RuleBasedStateMachine):
    """Admission against a plain count."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = Admission(TOTAL, PER_KEY)
        self.model: Counter[str | None] = Counter()

    @rule(key=st.sampled_from(["a", "b", "c", None]))
    def take(self, key: str | None) -> None:
        full = self.model.total() >= TOTAL.value or (key is not None and self.model[key] >= PER_KEY.value)
        refused = self.inside.take(key, 0.0)
        assert (refused is not None) == full
        if refused is None:
            self.model[key] += 1

    @precondition(lambda self: self.model.total() > 0)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from([key for key, number in self.model.items() if number]))
        self.inside.release(key)
        self.model[key] -= 1

    @invariant()
    def agrees(self) -> None:
        assert self.inside.number == self.model.total()
        assert self.inside.keys_known == len([key for key, number in self.model.items() if number and key is not None])


TestCounting = Counting.TestCase
