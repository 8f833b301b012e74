"""Pages of a listing that is gone through bit by bit, in the order of a number and then of an id. Pure.

A page holds what comes first behind a *cursor*, the place of the last row of the page before. Nothing of a listing is kept
between two pages: what has moved meanwhile may be seen twice, or not at all, and what stands still is seen once.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Any

CURSOR_PATTERN = r"^-?\d{1,19}:\d{1,19}\Z"

Place = tuple[int, int]
"""A row's number, as it is sorted, and its id: rows come in the order of their places, which all differ."""


def read_cursor(cursor: str) -> Place:
    """Return the place that a cursor names; it is a text that ``CURSOR_PATTERN`` matches."""
    number, _, row_id = cursor.partition(":")
    return int(number), int(row_id)


class PageBuilder:
    """Picks a page out of rows that come in any order. Holds no more than a page and one row."""

    def __init__(self, limit: int, after: str | None = None, *, ascending: bool = False) -> None:
        """Pick the first ``limit`` rows (at least 1) behind the cursor ``after``.

        The greatest number comes first, unless ``ascending``.
        """
        self.total = 0
        """How many rows have been offered."""
        self._limit = limit
        self._after = None if after is None else read_cursor(after)
        self._sign = 1 if ascending else -1
        # A heap whose first is the last of those that were picked: places are turned round.
        self._picked: list[tuple[int, int, Any]] = []

    def offer(self, number: int, row_id: int, row: Any) -> None:
        """Take a row into account. Ids differ, so that rows are never compared."""
        self.total += 1
        place = (self._sign * number, row_id)
        if self._after is not None and place <= self._after:
            return
        entry = (-place[0], -place[1], row)
        if len(self._picked) <= self._limit:
            heapq.heappush(self._picked, entry)
        elif entry[:2] > self._picked[0][:2]:
            heapq.heapreplace(self._picked, entry)

    def page(self) -> tuple[list[tuple[Place, Any]], str | None]:
        """Return the rows with their places, and the cursor behind which the next page begins; ``None``: there is none."""
        return cut([((-number, -row_id), row) for number, row_id, row in self._picked], self._limit, more=False)


def cut(rows: Iterable[tuple[Place, Any]], limit: int, *, more: bool) -> tuple[list[tuple[Place, Any]], str | None]:
    """Return the first rows by their places, and the next page's cursor; ``more``: there are others behind all of these.

    With the rows of the same page of several listings, and ``more`` if one of them has a next page, that is the page of all
    of these listings together.
    """
    ordered = sorted(rows, key=lambda entry: entry[0])
    page = ordered[:limit]
    if not page or (len(ordered) == len(page) and not more):
        return page, None
    number, row_id = page[-1][0]
    return page, f"{number}:{row_id}"
