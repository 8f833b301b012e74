"""What can go wrong in a benchmark, each with a text of one line."""

from __future__ import annotations


class BenchError(Exception):
    """The benchmark, or one measurement of it, cannot be made."""


class LoadError(BenchError):
    """The load generator gave up, or did not answer in time."""


class NotInstalled(BenchError):
    """A system that is optional is not there."""
