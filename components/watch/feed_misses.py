"""Trades that the exchange made and no feed got, feed by feed, as ``market.status`` counts them. Pure.

They have no ``seq``, since nobody has them, and so are not among the ticks that a row has missed. The rules are those of the
page's ``feed-misses.js``:

- What the first feed had counted when it was heard first was before anybody looked.
- Of a feed that goes on leading, what it has counted since it was last heard.
- Of one that has taken over, what it has counted since it took the lead, as far as it had not been heard of.
- A count that falls is an old word: one gateway may be a moment behind another. A feed that was started anew is another one.
- Feeds of an earlier version say neither: what such a one had counted when it came in, or was started anew, nobody knows.
"""

from __future__ import annotations

from typing import Any

from components.watch.messages import Message

MAX_FEEDS = 16
"""Feeds that are remembered; with more, the one that was heard least lately is let go."""

_Feed = tuple[str, int | None]
"""Name and start."""


class FeedMisses:
    """Adds up what the feeds say."""

    def __init__(self) -> None:
        self.total: int | None = None
        """Trades of all symbols since the first word, as far as it is known; ``None`` before it."""
        self.more = False
        """Whether there may be more, nobody knows how many."""
        self._counts: dict[_Feed, int] = {}
        self._last: _Feed | None = None

    def take(self, status: Message) -> None:
        """Take what ``market.status`` says."""
        count = _count(status.counters)
        if status.feed is None or count is None:
            return
        feed = (status.feed, status.started)
        known = self._counts.pop(feed, None)
        in_this_lead = _count(status.since_lead)
        grown = 0
        if known is not None:
            grown = max(0, count - known)
            if feed != self._last and in_this_lead is not None:
                grown = min(grown, in_this_lead)
            self.more |= status.started is None and count < known
        elif self._last is not None:
            grown = in_this_lead or 0
            self.more |= in_this_lead is None and count > 0
        self.total = (self.total or 0) + grown
        self._last = feed
        self._counts[feed] = max(count, known or 0)
        if len(self._counts) > MAX_FEEDS:
            del self._counts[next(iter(self._counts))]


def _count(counters: Any) -> int | None:
    """Return the trades of one of a status' two groups of counters, if it has them."""
    missed = counters.get("missed_trades") if isinstance(counters, dict) else None
    return missed if isinstance(missed, int) and missed >= 0 else None
