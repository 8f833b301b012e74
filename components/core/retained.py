"""What a subscription with ``get_retained`` begins with: the newest event of every topic that it receives.

Owns the choice; never touches a session or a router. Crossbar retains one event per topic and gives it to exact
subscriptions only; here patterns get theirs too.

- An event that came longer ago than the age limit is left out, and one of a symbol that is not granted.
- Of ticks at a rate it is the one from which ``seq`` goes on (see ``rates``).
- ``market.status`` is part of every pattern that matches it, however old: it is published when it changes. Exact subscriptions
  have it from Crossbar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from components.core.grants import Grants
from components.core.market import Market, Received
from components.core.rates import Event, RateConflator
from components.core.topics import is_rate_topic, receives, symbol_and_family
from components.uris import MARKET_STATUS, tick_topic


class RetainedEvents:
    """The newest events, for who subscribes late."""

    def __init__(
        self, market: Market, rates: RateConflator, max_age_s: float | None, monotonic_s: Callable[[], float]
    ) -> None:
        """Choose from ``market`` and ``rates`` what came at most ``max_age_s`` ago by their clock, ``monotonic_s``."""
        self._market = market
        self._rates = rates
        self._max_age_s = max_age_s
        self._monotonic_s = monotonic_s
        self.status: bytes | None = None
        """``market.status`` as published last, JSON."""

    def received_by(self, uri: str, match: str, grants: Grants) -> list[Event]:
        """Return the newest events, ``(topic, payload)``, of what a session's new subscription receives."""
        oldest_s = float("-inf") if self._max_age_s is None else self._monotonic_s() - self._max_age_s
        topics = [uri] if match == "exact" else self._matching(uri, match)
        events = []
        for topic in topics:
            event = self._newest(topic)
            if event is not None and event[1] >= oldest_s and grants.allows("subscribe", topic):
                events.append((topic, event[0]))
        if match != "exact" and self.status is not None and receives(uri, match, MARKET_STATUS):
            events.append((MARKET_STATUS, self.status))
        return events

    def _matching(self, uri: str, match: str) -> list[str]:
        return [topic for topic in self._topics(uri, match) if receives(uri, match, topic)]

    def _topics(self, uri: str, match: str) -> Iterator[str]:
        rates = self._rates.named_rates(uri, match)
        for topic in self._market.topics():
            yield topic
            if rates and not symbol_and_family(topic)[1]:
                yield from (f"{topic}.{rate.name}" for rate in rates)

    def _newest(self, topic: str) -> Received | None:
        if not is_rate_topic(topic):
            return self._market.last_event(topic)
        symbol, _ = symbol_and_family(topic)
        return self._rates.last_event(topic, self._market.last_event(tick_topic(symbol)))
