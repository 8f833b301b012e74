"""A histogram of whole numbers of observations, each of which may count many times. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from math import inf


class Histogram:
    """Observations by the least bound that they do not exceed; only grows."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Count between ``bounds``, which grow; what is above the last is counted too."""
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self.sum = 0.0
        """Of all observations."""

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value, ``times`` times at once."""
        self._counts[bisect_left(self._bounds, value)] += times
        self.sum += value * times

    @property
    def count(self) -> int:
        """How many observations there are."""
        return sum(self._counts)

    def cumulative(self) -> list[tuple[float, int]]:
        """Return for each bound, and infinity, how many observations do not exceed it."""
        return list(zip((*self._bounds, inf), accumulate(self._counts), strict=True))
