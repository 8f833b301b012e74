"""What a gateway sees of the feeds that lead: changes, never what a feed had counted before."""

from __future__ import annotations

from typing import Any

import pytest

from components.core.leading_feed import MAX_KNOWN_FEEDS, FeedChanges, LeadingFeed


def status(feed: str = "one", epoch: int = 7, reconnects: int = 0, gaps: int = 0, missed: int = 0) -> dict[str, Any]:
    return {
        "feed": feed,
        "epoch": epoch,
        "state": "live",
        "exchange": {"reconnects": reconnects},
        "counters": {"gaps": gaps, "missed_trades": missed},
    }


def test_what_a_feed_had_counted_before_is_not_new() -> None:
    feed = LeadingFeed()
    assert feed.look(status(reconnects=5, gaps=3, missed=9)) == FeedChanges()
    assert feed.look(status(reconnects=6, gaps=3, missed=11)) == FeedChanges(reconnects=1, missed_trades=2)
    assert feed.look(status(reconnects=6, gaps=3, missed=11)) == FeedChanges()
    assert (feed.reconnects, feed.gaps, feed.missed_trades) == (1, 0, 2)


def test_a_feed_that_takes_the_lead_is_told_once_and_counts_for_itself() -> None:
    feed = LeadingFeed()
    feed.look(status("one", reconnects=5))
    assert feed.look(status("two", reconnects=100)) == FeedChanges(took_over=("one", "two"))
    assert feed.look(status("two", reconnects=101)) == FeedChanges(reconnects=1)
    assert feed.look(status("one", reconnects=7)) == FeedChanges(took_over=("two", "one"), reconnects=2)
    assert (feed.takeovers, feed.reconnects) == (2, 3)


def test_a_feed_that_starts_anew_counts_from_zero() -> None:
    feed = LeadingFeed()
    feed.look(status(missed=50))
    assert feed.look(status(missed=3)) == FeedChanges(missed_trades=3)


def test_an_epoch_that_begins_is_told() -> None:
    feed = LeadingFeed()
    feed.look(status(epoch=0))
    assert feed.look(status(epoch=7)).began_epoch is None
    assert feed.look(status(epoch=9)).began_epoch == (7, 9)
    assert feed.epochs == 1


def test_what_the_last_one_said_is_no_news_when_none_is_heard() -> None:
    feed = LeadingFeed()
    feed.look(status())
    assert feed.look({**status("none", 9, reconnects=3), "state": "feed_lost"}) == FeedChanges()


@pytest.mark.parametrize(
    "odd", [{}, {"exchange": 3, "counters": []}, {"feed": 1, "epoch": "x", "exchange": {"reconnects": -1}}]
)
def test_a_status_that_says_nothing_changes_nothing(odd: dict[str, Any]) -> None:
    feed = LeadingFeed()
    feed.look(status(reconnects=2))
    assert feed.look(odd) == FeedChanges()
    assert feed.look(status(reconnects=2)) == FeedChanges()


def test_feeds_without_number_are_not_remembered() -> None:
    feed = LeadingFeed()
    for number in range(MAX_KNOWN_FEEDS + 1):
        feed.look(status(str(number), reconnects=1))
    assert feed.look(status("0", reconnects=9)).reconnects == 0
    assert feed.look(status(str(MAX_KNOWN_FEEDS), reconnects=9)).reconnects == 8
