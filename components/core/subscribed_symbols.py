"""How many symbols somebody is subscribed to, told subscription by subscription. Pure.

Whatever clients subscribe to, telling the number takes time by the market's symbols alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from components.uris import MARKET_PREFIX

_REALM_OF_TOPICS = MARKET_PREFIX.rstrip(".")


class SubscribedSymbols:
    """Of the clients of one router worker."""

    def __init__(self) -> None:
        self._exact: Counter[str] = Counter()
        self._prefixes: Counter[str] = Counter()
        """Of symbols; the empty one stands for all."""

    def subscribed(self, uri: str, match: str) -> None:
        """Be told that a subscription has its first client; ``match`` is exact, prefix or wildcard."""
        self._count(uri, match, 1)

    def unsubscribed(self, uri: str, match: str) -> None:
        """Be told that a subscription has lost its last client."""
        self._count(uri, match, -1)

    def _count(self, uri: str, match: str, change: int) -> None:
        first, *rest = uri.split(".")
        if match == "prefix":
            if not (first == _REALM_OF_TOPICS if rest else _REALM_OF_TOPICS.startswith(first)):
                return
            counter = self._exact if len(rest) > 1 else self._prefixes
        else:
            if first != _REALM_OF_TOPICS and not (match == "wildcard" and first == ""):
                return
            counter = self._exact
            if match == "wildcard" and rest and not rest[0]:
                counter = self._prefixes
        symbol = rest[0] if rest else ""
        counter[symbol] += change
        if not counter[symbol]:
            del counter[symbol]

    def number(self, symbols: Iterable[str]) -> int:
        """Return how many of the market's symbols have a subscriber."""
        exact, prefixes = self._exact, self._prefixes
        return sum(
            symbol in exact or any(symbol[:length] in prefixes for length in range(len(symbol) + 1))
            for symbol in symbols
        )
