"""How many symbols have a subscriber, however they are subscribed to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.subscribed_symbols import SubscribedSymbols
from components.core.topics import matches

SYMBOLS = ["BTCUSDT", "BTCEUR", "ETHUSDT"]
FAMILIES = ["", ".book", ".every_1s"]


@pytest.mark.parametrize(
    ("uri", "match", "number"),
    [
        ("market.BTCUSDT", "exact", 1),
        ("market.BTCUSDT.book", "exact", 1),
        ("market.NONSENSE", "exact", 0),
        ("market.status", "exact", 0),
        ("services.BTCUSDT", "exact", 0),
        ("market.", "prefix", 3),
        ("market", "prefix", 3),
        ("m", "prefix", 3),
        ("", "prefix", 3),
        ("market.BTC", "prefix", 2),
        ("market.BTCUSDT.every_", "prefix", 1),
        ("market.BTC.", "prefix", 0),
        ("marketing.", "prefix", 0),
        ("market..book", "wildcard", 3),
        ("..book", "wildcard", 3),
        ("market.BTCUSDT.", "wildcard", 1),
        (".ETHUSDT.book", "wildcard", 1),
        ("services..book", "wildcard", 0),
    ],
)
def test_a_subscription_is_to_these_many(uri: str, match: str, number: int) -> None:
    subscribed = SubscribedSymbols()
    subscribed.subscribed(uri, match)
    assert subscribed.number(SYMBOLS) == number
    subscribed.unsubscribed(uri, match)
    assert subscribed.number(SYMBOLS) == 0


parts = st.sampled_from(["market", "services", "", "BTC", *SYMBOLS, "book", "every_1s"])
subscriptions = st.tuples(st.lists(parts, min_size=1, max_size=3).map(".".join), st.sampled_from(["exact", "prefix"]))


@given(st.lists(st.tuples(subscriptions, st.booleans()), max_size=20))
def test_whatever_comes_and_goes_it_is_what_the_subscriptions_match(
    changes: list[tuple[tuple[str, str], bool]],
) -> None:
    subscribed = SubscribedSymbols()
    there: set[tuple[str, str]] = set()
    for subscription, comes in changes:
        if comes and subscription not in there:
            there.add(subscription)
            subscribed.subscribed(*subscription)
        elif not comes and subscription in there:
            there.discard(subscription)
            subscribed.unsubscribed(*subscription)
    reached = {
        symbol
        for symbol in SYMBOLS
        for uri, match in there
        # Of exact ones, and of prefixes that go on behind the symbol, any family is the symbol's.
        if any(matches(uri, match, f"market.{symbol}{family}") for family in FAMILIES)
        or uri.startswith(f"market.{symbol}.")
    }
    assert subscribed.number(SYMBOLS) == len(reached)
