"""What a gateway sees of the feeds that lead: changes, never what was counted before it was there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.leading_feed import MAX_KNOWN_FEEDS, FeedChanges, LeadingFeed


def status(feed: str = "one", epoch: int = 7, reconnects: int = 0, gaps: int = 0, missed: int = 0) -> dict[str, Any]:
    """Return the status of a feed of a version that said neither when it started nor what it counted since it leads."""
    return {
        "feed": feed,
        "epoch": epoch,
        "state": "live",
        "exchange": {"reconnects": reconnects},
        "counters": {"gaps": gaps, "missed_trades": missed},
    }


def later_status(
    feed: str = "one", started: int = 1, missed: int = 0, since_lead: int = 0, lead: int = 1
) -> dict[str, Any]:
    counted = {"lead": lead, "reconnects": 0, "gaps": since_lead, "missed_trades": since_lead}
    return status(feed, gaps=missed, missed=missed) | {"started": started, "since_lead": counted}


def test_what_a_feed_misses_as_it_takes_over_is_counted_and_nothing_that_it_missed_before() -> None:
    feed = LeadingFeed()
    feed.look(later_status("one", missed=9, since_lead=9))
    assert feed.look(later_status("two", missed=70, since_lead=50)) == FeedChanges(
        took_over=("one", "two"), gaps=50, missed_trades=50
    )
    assert feed.look(later_status("two", missed=73, since_lead=53)) == FeedChanges(gaps=3, missed_trades=3)
    # What it found to be missing while it was cut off, and another one led already, that one has counted.
    assert feed.look(later_status("one", missed=60, since_lead=1, lead=2)).missed_trades == 1
    assert feed.missed_trades == 54


def test_a_gateway_that_has_just_started_counts_nothing_of_the_past() -> None:
    feed = LeadingFeed()
    assert feed.look(later_status(missed=9, since_lead=9)) == FeedChanges()


def test_a_feed_that_was_started_anew_under_its_name_counts_for_itself() -> None:
    feed = LeadingFeed()
    feed.look(later_status(started=1, missed=5, since_lead=5))
    # More than its namesake had: nothing falls by which it could be known.
    assert feed.look(later_status(started=2, missed=7, since_lead=7)) == FeedChanges(gaps=7, missed_trades=7)
    assert feed.look(later_status(started=2, missed=8, since_lead=8)) == FeedChanges(gaps=1, missed_trades=1)


def test_a_feed_of_an_earlier_version_beside_a_later_one() -> None:
    feed = LeadingFeed()
    feed.look(status("old", missed=5))
    assert feed.look(later_status("new", missed=4, since_lead=4)).missed_trades == 4
    assert feed.look(status("old", missed=6)).missed_trades == 1
    assert feed.look(status("old, too", missed=6)) == FeedChanges(took_over=("old", "old, too"))
    assert feed.look(status("old", missed=2)).missed_trades == 2


def test_of_a_feed_that_leads_again_trades_count_as_of_its_new_lead_and_connections_as_of_the_last_look() -> None:
    def heard(lead: int, reconnects: int, missed: int, since_lead: int) -> FeedChanges:
        said = later_status(missed=missed, since_lead=since_lead, lead=lead)
        said["exchange"]["reconnects"] = reconnects
        return feed.look(said)

    feed = LeadingFeed()
    heard(1, reconnects=0, missed=3, since_lead=3)
    # It has counted five that never arrived, and then the same again; meanwhile it had a connection made anew.
    assert heard(2, reconnects=1, missed=13, since_lead=5) == FeedChanges(reconnects=1, gaps=5, missed_trades=5)
    assert heard(2, reconnects=1, missed=14, since_lead=6) == FeedChanges(gaps=1, missed_trades=1)


def test_a_lead_that_is_heard_of_again_is_counted_on_from_where_it_was() -> None:
    """As after a failover to a Redis that has not got the last status: what that one says is older than what was heard."""

    def heard(name: str, lead: int, since_lead: int) -> int:
        return feed.look(later_status(name, missed=99 * lead, since_lead=since_lead, lead=lead)).missed_trades

    feed = LeadingFeed()
    heard("zero", 1, since_lead=0)
    assert heard("one", 1, since_lead=9) == 9
    assert heard("two", 4, since_lead=50) == 50
    assert heard("one", 1, since_lead=7) == 0
    assert heard("two", 4, since_lead=53) == 3
    assert heard("one", 1, since_lead=10) == 1
    assert heard("one", 2, since_lead=5) == 5
    assert heard("one", 1, since_lead=10) == 0
    assert heard("one", 2, since_lead=6) == 1
    assert feed.missed_trades == 9 + 50 + 3 + 1 + 5 + 1


class Process:
    """A feed, from its start to its end."""

    def __init__(self, name: str, started: int) -> None:
        self.name, self.started = name, started
        self.missed = self.missed_before_lead = self.leads = 0

    def take_lead(self) -> None:
        self.missed_before_lead = self.missed
        self.leads += 1

    def status(self) -> dict[str, Any]:
        since_lead = self.missed - self.missed_before_lead
        return later_status(self.name, self.started, self.missed, since_lead, self.leads)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.lists(st.integers(0, 9), max_size=3)), max_size=20),
    st.integers(0, 5),
)
def test_whoever_leads_what_is_missed_from_the_first_look_on_is_counted_once(
    leads: list[tuple[str, bool, list[int]]], first_heard: int
) -> None:
    feeds = {name: Process(name, 1) for name in "abc"}
    gateway = LeadingFeed()
    missed = 0
    for place, (name, starts_anew, misses) in enumerate(leads):
        if starts_anew:
            feeds[name] = Process(name, feeds[name].started + 1)
        feed = feeds[name]
        feed.take_lead()
        # What is missing when it takes over, and then more of it; each time it is heard, once the gateway is there.
        for first, more in enumerate([*misses, 0]):
            feed.missed += more
            if place >= first_heard:
                gateway.look(feed.status())
                missed += 0 if place == first_heard and not first else more
    assert gateway.missed_trades == gateway.gaps == missed


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
    "odd",
    [
        {},
        {"exchange": 3, "counters": []},
        {"feed": 1, "epoch": "x", "exchange": {"reconnects": -1}},
        {"started": "x", "since_lead": 5},
        {"started": 5, "since_lead": {"missed_trades": "x", "gaps": -1}},
        {"started": 5, "since_lead": {"lead": 3, "missed_trades": "x", "gaps": -1}},
    ],
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
