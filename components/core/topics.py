"""What a topic below ``market.`` is of, and which subscriptions reach it.

What a feed makes of every symbol is listed here, once; snapshots, rights and the plain protocols follow the list.

Topics that are derived from others, the ticks at a rate, reach only a subscription that names their kind in its third
component: ``market.BTCUSDT.every_1s``, the wildcard ``market..every_1s``, the prefix ``market.BTCUSDT.every_``. Any other
pattern passes them by, since what ``market.`` receives must not depend on what others subscribe to.
"""

from __future__ import annotations

from collections.abc import Iterable

from components.uris import BOOK_FAMILY, DAY_FAMILY, MARKET_PREFIX, RATE_PREFIX

TICK, BOOK, DAY = "tick", "book", "day"

STREAMS = {TICK: "", BOOK: BOOK_FAMILY, DAY: DAY_FAMILY}
"""What a feed makes of each symbol: the name by which snapshots and plain clients know it → its topics' third component."""

NEWEST_WINS = frozenset({BOOK_FAMILY, DAY_FAMILY})
"""Families of which an event stands for all that came before it."""


def symbol_and_family(topic: str) -> tuple[str, str]:
    """Return ``("BTCUSDT", "every_1s")`` for ``market.BTCUSDT.every_1s``, ``("BTCUSDT", "")`` for its trades' ticks.

    Of a topic outside ``market.`` both are empty.
    """
    if not topic.startswith(MARKET_PREFIX):
        return "", ""
    symbol, _, family = topic[len(MARKET_PREFIX) :].partition(".")
    return symbol, family


def is_rate_topic(topic: str) -> bool:
    """Tell whether a topic is, by its form, that of a symbol's ticks at a rate."""
    return symbol_and_family(topic)[1].startswith(RATE_PREFIX)


def named_family(uri: str) -> str:
    """Return what a subscription's URI, pattern or not, has as its third and following components; may be empty."""
    return ".".join(uri.split(".")[2:])


def matches(uri: str, match: str, topic: str) -> bool:
    """Tell whether a subscription (``match``: exact, prefix or wildcard) matches a topic, as WAMP says.

    Source: WAMP specification, "Pattern-based Subscriptions".
    """
    if match == "prefix":
        return topic.startswith(uri)
    if match == "wildcard":
        wanted, parts = uri.split("."), topic.split(".")
        return len(wanted) == len(parts) and all(want in ("", part) for want, part in zip(wanted, parts, strict=True))
    return topic == uri


def receives(uri: str, match: str, topic: str) -> bool:
    """Tell whether a subscription gets a topic's events: it matches, and names the kind where the topic is a derived one."""
    return matches(uri, match, topic) and (named_family(uri) != "" or not is_rate_topic(topic))


def reaches_family(uri: str, match: str, families: Iterable[str]) -> bool:
    """Tell whether one of ``families`` could be what a subscription below ``market.`` names as its third component.

    One that names none, such as ``market.`` or the wildcard ``market.BTCUSDT.``, reaches something in any case.
    """
    named = named_family(uri)
    if not named:
        return True
    if match == "prefix":
        return any(family.startswith(named) for family in families)
    return named in families
