"""Which subscription reaches which topic, with Crossbar's own matching as the oracle."""

from __future__ import annotations

import pytest
from crossbar.router.observation import UriObservationMap
from hypothesis import given
from hypothesis import strategies as st

from components.core.topics import is_rate_topic, matches, reaches_family, receives, symbol_and_family

parts = st.sampled_from(["market", "BTC", "BTCUSDT", "every_1s", "every_", "book", ""])
uris = st.lists(parts, min_size=1, max_size=4).map(".".join)
topics = st.lists(parts.filter(bool), min_size=1, max_size=4).map(".".join)


@given(uris, st.sampled_from(["exact", "prefix", "wildcard"]), topics)
def test_a_subscription_matches_what_crossbar_says(uri: str, match: str, topic: str) -> None:
    subscriptions = UriObservationMap()
    subscriptions.add_observer("session", uri, match)
    # Crossbar's trie of prefixes passes over the empty one, which no session is granted.
    if uri or match != "prefix":
        assert matches(uri, match, topic) == bool(subscriptions.match_observations(topic))


@pytest.mark.parametrize(
    ("topic", "symbol", "family"),
    [
        ("market.BTCUSDT", "BTCUSDT", ""),
        ("market.BTCUSDT.book", "BTCUSDT", "book"),
        ("market.BTCUSDT.every_1s", "BTCUSDT", "every_1s"),
        ("market.BTCUSDT.every_1s.x", "BTCUSDT", "every_1s.x"),
        ("services.x.every_1s", "", ""),
        ("market", "", ""),
    ],
)
def test_a_topic_names_its_symbol_and_its_kind(topic: str, symbol: str, family: str) -> None:
    assert symbol_and_family(topic) == (symbol, family)
    assert is_rate_topic(topic) is family.startswith("every_")


@pytest.mark.parametrize(
    ("uri", "match", "received"),
    [
        ("market.BTCUSDT.every_1s", "exact", True),
        ("market..every_1s", "wildcard", True),
        ("market.BTCUSDT.every_", "prefix", True),
        ("market.BTCUSDT.e", "prefix", True),
        ("market.", "prefix", False),
        ("market.BTCUSDT", "prefix", False),
        ("market.BTCUSDT.", "prefix", False),
        ("market..", "wildcard", False),
        ("market.BTCUSDT.", "wildcard", False),
        ("market..every_500ms", "wildcard", False),
        ("market.BTCUSDT", "exact", False),
    ],
)
def test_ticks_at_a_rate_reach_only_who_names_their_kind(uri: str, match: str, received: bool) -> None:
    assert receives(uri, match, "market.BTCUSDT.every_1s") is received


def test_other_topics_reach_every_pattern_that_matches() -> None:
    for uri, match in (("market.", "prefix"), ("market.BTC", "prefix"), ("market..", "wildcard")):
        assert receives(uri, match, "market.BTCUSDT.book")


@pytest.mark.parametrize(
    ("uri", "match", "reached"),
    [
        ("market.", "prefix", True),
        ("market.BTC", "prefix", True),
        ("market.BTCUSDT.", "prefix", True),
        ("market.BTCUSDT.every_", "prefix", True),
        ("market.BTCUSDT.every_7", "prefix", False),
        ("market.BTCUSDT.every_1s.", "prefix", False),
        ("market..book", "wildcard", True),
        ("market..every_1s", "wildcard", True),
        ("market..every_7ms", "wildcard", False),
        ("market..every_", "wildcard", False),
        ("market..book.", "wildcard", False),
        ("market.BTCUSDT.every_1s", "exact", True),
        ("market.BTCUSDT.every_7ms", "exact", False),
    ],
)
def test_a_kind_that_there_is_not_can_be_told_from_the_subscription(uri: str, match: str, reached: bool) -> None:
    assert reaches_family(uri, match, ("book", "every_1s")) is reached
