"""Observations that count many times, by bounds."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from components.core.histogram import Histogram

BOUNDS = (0.0, 1.0, 2.5, 10.0)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0, 2.5, 3.0, 10.0, 11.0]), st.integers(0, 1000))))
def test_a_bound_has_all_that_do_not_exceed_it(observed: list[tuple[float, int]]) -> None:
    histogram = Histogram(BOUNDS)
    for value, times in observed:
        histogram.observe(value, times)
    assert histogram.cumulative() == [
        (bound, sum(times for value, times in observed if value <= bound)) for bound in (*BOUNDS, inf)
    ]
    assert histogram.count == sum(times for _, times in observed)
    assert histogram.sum == sum(value * times for value, times in observed)
