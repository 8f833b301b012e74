"""Waits between attempts."""

from __future__ import annotations

import pytest

from components.core.backoff import Backoff


@pytest.mark.parametrize(("failures", "most"), [(0, 0.25), (1, 0.5), (2, 1.0), (3, 2.0), (4, 3.0), (50, 3.0)])
def test_the_wait_doubles_up_to_its_cap(failures: int, most: float) -> None:
    assert Backoff(lambda: 1.0).delay_s(failures) == most
    assert Backoff(lambda: 0.5).delay_s(failures) == most / 2


def test_a_policy_violation_is_followed_by_a_long_wait_that_doubles() -> None:
    backoff = Backoff(lambda: 0.0)
    waits = []
    for _ in range(6):
        backoff.policy_violation()
        waits.append(backoff.delay_s(0))
    assert waits == [10.0, 20.0, 40.0, 80.0, 120.0, 120.0]


def test_a_good_connection_forgives_violations() -> None:
    backoff = Backoff(lambda: 1.0)
    backoff.policy_violation()
    backoff.succeeded()
    assert backoff.delay_s(0) == 0.25
