"""Pages of a listing."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from components.core.paging import CURSOR_PATTERN, PageBuilder, Place, cut

numbers = st.integers(-(2**53), 2**53) | st.integers(0, 3)
listings = st.dictionaries(st.integers(1, 2**53), numbers, max_size=40)


def page_of(
    rows: Iterable[tuple[int, int]], limit: int, after: str | None, ascending: bool
) -> tuple[list[tuple[Place, int]], str | None]:
    builder = PageBuilder(limit, after, ascending=ascending)
    for row_id, number in rows:
        builder.offer(number, row_id, row_id)
    return builder.page()


def in_order(rows: dict[int, int], ascending: bool) -> list[int]:
    return sorted(rows, key=lambda row_id: (rows[row_id] if ascending else -rows[row_id], row_id))


@given(rows=listings, limit=st.integers(1, 9), ascending=st.booleans(), shuffle=st.randoms())
def test_the_pages_of_a_listing_are_the_listing(
    rows: dict[int, int], limit: int, ascending: bool, shuffle: object
) -> None:
    seen: list[int] = []
    after = None
    while True:
        shuffled = list(rows.items())
        shuffle.shuffle(shuffled)  # type: ignore[attr-defined]
        page, after = page_of(shuffled, limit, after, ascending)
        assert len(page) == limit or after is None
        seen += [row for _, row in page]
        if after is None:
            break
        assert re.match(CURSOR_PATTERN, after)
    assert seen == in_order(rows, ascending)


@given(
    parts=st.lists(listings, min_size=1, max_size=4),
    limit=st.integers(1, 9),
    ascending=st.booleans(),
)
def test_pages_of_several_listings_together_are_those_of_all(
    parts: list[dict[int, int]], limit: int, ascending: bool
) -> None:
    everything: dict[int, int] = {}
    for part in parts:
        for row_id in everything.keys() & part.keys():
            del part[row_id]
        everything |= part
    seen: list[int] = []
    after = None
    while True:
        pages = [page_of(part.items(), limit, after, ascending) for part in parts]
        page, after = cut(
            [row for rows, _ in pages for row in rows], limit, more=any(cursor is not None for _, cursor in pages)
        )
        seen += [row for _, row in page]
        if after is None:
            break
    assert seen == in_order(everything, ascending)


def test_what_moves_before_the_cursor_is_not_seen_again_and_what_was_offered_is_counted() -> None:
    page, after = page_of([(1, 10), (2, 20), (3, 30)], 2, None, False)
    assert [row for _, row in page] == [3, 2]
    builder = PageBuilder(2, after)
    for row_id, number in [(1, 40), (2, 20), (3, 30), (4, 5)]:
        builder.offer(number, row_id, row_id)
    assert [row for _, row in builder.page()[0]] == [4]
    assert builder.total == 4
