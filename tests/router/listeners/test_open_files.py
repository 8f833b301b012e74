"""Each connection is an open file."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from components.router.listeners.open_files import RESERVE, raise_limit, too_few


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    """Return the process's limits, which are what they were at the test's end."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_limit_is_raised_as_far_as_it_may_be(limits: tuple[int, int]) -> None:
    _, hard = limits
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    assert raise_limit() == hard
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)


def test_the_operator_is_told_when_there_are_too_few() -> None:
    assert too_few(1000 + RESERVE, 1000) is None
    assert too_few(resource.RLIM_INFINITY, 10**9) is None
    told = too_few(1024, 10_000)
    assert told is not None
    assert "need 10256 open files and the limit is 1024" in told
