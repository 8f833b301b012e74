"""Rates: what may be done at once, and what a second brings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from components.core.token_bucket import TokenBucket


def test_it_holds_its_burst_at_first_and_no_more() -> None:
    bucket = TokenBucket(rate=1.0, burst=3, now_s=100.0)
    assert [bucket.take(100.0) for _ in range(4)] == [1, 1, 1, 0]


def test_a_second_brings_as_many_as_the_rate_says() -> None:
    bucket = TokenBucket(rate=2.0, burst=5, now_s=0.0)
    assert bucket.take(0.0, 5) == 5
    assert bucket.take(0.4) == 0
    assert bucket.take(1.0, 5) == 2


def test_time_without_use_brings_no_more_than_the_burst() -> None:
    bucket = TokenBucket(rate=10.0, burst=2, now_s=0.0)
    assert bucket.take(1000.0, 9) == 2


def test_of_too_many_it_gives_as_many_as_there_are() -> None:
    assert TokenBucket(rate=0.001, burst=4, now_s=0.0).take(0.0, 10) == 4


@given(
    st.floats(0.01, 1e4),
    st.integers(1, 1000),
    st.lists(st.tuples(st.floats(0, 10), st.integers(1, 50)), max_size=50),
)
def test_in_no_time_does_it_give_more_than_burst_and_rate_allow(
    rate: float, burst: int, asked: list[tuple[float, int]]
) -> None:
    bucket = TokenBucket(rate, burst, 0.0)
    now = given_ = 0.0
    for pause, number in asked:
        now += pause
        given_ += bucket.take(now, number)
        assert given_ <= burst + rate * now + 1e-6 * (1 + rate * now)
