"""Waits between attempts."""

from __future__ import annotations

import pytest

from components.core.backoff import Backoff


@pytest.mark.parametrize("share", [1.0, 0.5, 0.0])
def test_the_wait_doubles_up_to_its_cap_and_is_a_random_share_of_it(share: float) -> None:
    backoff = Backoff(lambda: share)
    waits = [backoff.next_delay_s() for _ in range(20)]
    assert waits == [share * most for most in [0.25, 0.5, 1.0, 2.0, 4.0, *[4.5] * 15]]


def test_after_a_good_connection_the_wait_is_short_again() -> None:
    backoff = Backoff(lambda: 1.0)
    for _ in range(5):
        backoff.next_delay_s()
    backoff.succeeded()
    assert backoff.next_delay_s() == 0.25


def test_an_announced_end_needs_no_wait() -> None:
    backoff = Backoff(lambda: 1.0)
    backoff.announced()
    assert [backoff.next_delay_s(), backoff.next_delay_s()] == [0.0, 0.25]


def test_a_policy_violation_is_followed_by_a_long_wait_that_doubles() -> None:
    backoff = Backoff(lambda: 0.0)
    waits = []
    for _ in range(6):
        backoff.policy_violation()
        waits.append(backoff.next_delay_s())
    assert waits == [10.0, 20.0, 40.0, 80.0, 120.0, 120.0]


def test_a_good_connection_forgives_violations() -> None:
    backoff = Backoff(lambda: 1.0)
    backoff.policy_violation()
    backoff.succeeded()
    assert backoff.next_delay_s() == 0.25
