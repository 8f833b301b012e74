"""Who is due when many are to have their turn within a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.spread import MIN_STEP_S, next_step


def times(number: int, over_s: float) -> list[float]:
    """Return when each has its turn, in s, where the first has it at once."""
    now_s, due = 0.0, [0.0]
    while len(due) < number:
        wait_s, some = next_step(number - len(due), over_s - now_s)
        now_s += wait_s
        due += [now_s] * some
    return due


def test_few_have_their_turn_at_equal_distances() -> None:
    assert times(4, 10.0) == pytest.approx([0.0, 2.5, 5.0, 7.5])


def test_without_a_time_all_are_due_at_once() -> None:
    assert next_step(50, 0.0) == (0.0, 50)
    assert next_step(50, -1.0) == (0.0, 50)


@given(st.integers(1, 20_000), st.floats(0, 60))
def test_all_have_had_their_turn_in_time_and_in_each_part_of_it_as_many(number: int, over_s: float) -> None:
    due = times(number, over_s)
    assert len(due) == number
    assert due[-1] <= over_s + 1e-9
    for part in (0.25, 0.5, 0.75):
        done = sum(each <= part * over_s for each in due)
        # A step's worth more or less, and one for the end of each.
        assert abs(done - part * number) <= 2 + number * MIN_STEP_S / max(over_s, MIN_STEP_S)
