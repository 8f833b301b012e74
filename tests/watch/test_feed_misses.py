"""What no feed got, as far as the feeds say."""

from __future__ import annotations

import pytest

from components.watch.feed_misses import MAX_FEEDS, FeedMisses
from components.watch.messages import Message, decode
from components.watch.screen import Screen
from tests.watch.test_board import live_board, texts


def status(feed: str, count: int, in_this_lead: int | None = None, started: int | None = 1) -> Message:
    since_lead = None if in_this_lead is None else {"missed_trades": in_this_lead}
    return Message(
        type="status",
        feed=feed,
        started=started,
        state="live",
        counters={"missed_trades": count},
        since_lead=since_lead,
    )


@pytest.mark.parametrize(
    ("told", "total", "more"),
    [
        # Before anybody looked.
        ([status("a", 7)], 0, False),
        ([status("a", 7), status("a", 9)], 2, False),
        # Another gateway may be a moment behind.
        ([status("a", 7), status("a", 9), status("a", 8), status("a", 9)], 2, False),
        # Another feed takes over, which had counted before that; then the first one leads again.
        ([status("a", 7), status("b", 100, 3)], 3, False),
        ([status("a", 7), status("b", 100, 3), status("a", 27, 5)], 8, False),
        # The same feed, started anew.
        ([status("a", 7), status("a", 4, 4, started=2)], 4, False),
        # Feeds of an earlier version do not say since when.
        ([status("a", 7), status("b", 100, started=None)], 0, True),
        ([status("a", 7, started=None), status("a", 2, started=None)], 0, True),
    ],
)
def test_what_feeds_count_is_added_up(told: list[Message], total: int, more: bool) -> None:
    misses = FeedMisses()
    assert misses.total is None
    for each in told:
        misses.take(each)
    assert (misses.total, misses.more) == (total, more)


def test_what_says_nothing_of_it_counts_nothing() -> None:
    misses = FeedMisses()
    for text in (
        '{"type":"status"}',
        '{"type":"status","feed":"a","counters":[]}',
        '{"type":"status","feed":"a","counters":{"missed_trades":"5"}}',
        '{"type":"status","feed":"a","counters":{"missed_trades":-1}}',
    ):
        misses.take(decode(text)[0])
    assert misses.total is None


def test_feeds_without_number_are_not_remembered_for_ever() -> None:
    misses = FeedMisses()
    for number in range(3 * MAX_FEEDS):
        misses.take(status(f"feed-{number}", 9, 0))
    assert len(misses._counts) == MAX_FEEDS


def test_the_head_tells_of_it_before_what_may_be_cut() -> None:
    board = live_board()
    board.take(status("a", 5), 101.0)
    assert "feed missed" not in "".join(texts(Screen().lines(board, 102.0, 80, 20)))
    board.take(status("a", 1170), 103.0)
    assert "gaps 0  missed 0  feed missed 1,165  merged" in texts(Screen().lines(board, 104.0, 80, 20))[2]
