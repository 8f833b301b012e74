"""What a gateway sees of the feeds that lead, one after the other, by their status: what changed between two looks. Pure.

A feed counts since its own start, and another one that takes the lead has counted other things. So what is counted here grows
by what a feed has counted since it was last heard; what it had counted before it was first heard is not known to be new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_KNOWN_FEEDS = 16
"""Feeds whose counts are remembered; with more, the one that was heard least lately is forgotten."""

_COUNTED = ("gaps", "missed_trades")


@dataclass(frozen=True, slots=True)
class FeedChanges:
    """Since the look before."""

    took_over: tuple[str, str] | None = None
    """The names of the feed that led and of the one that leads."""

    began_epoch: tuple[int, int] | None = None
    """The epoch that was, and the one that is."""

    reconnects: int = 0
    """Connections to the exchange that were lost and made anew."""

    gaps: int = 0
    missed_trades: int = 0


class LeadingFeed:
    """What has been seen since this gateway's start; each count only grows."""

    def __init__(self) -> None:
        self.takeovers = 0
        self.epochs = 0
        """Those that began after the first that was heard of."""
        self.reconnects = 0
        self.gaps = 0
        self.missed_trades = 0
        self._name: str | None = None
        self._epoch = 0
        self._counts: dict[str, dict[str, int]] = {}
        """By feed; the one heard last stands last."""

    def look(self, status: Mapping[str, Any]) -> FeedChanges:
        """Take a status as ``market.status`` answers it; what is missing in it, or is of another type, is passed over."""
        if status.get("state") == "feed_lost":
            # What it says is what the last one said.
            return FeedChanges()
        grown = self._grown(status)
        changes = FeedChanges(self._taken_over(status), self._begun_epoch(status), **grown)
        self.takeovers += changes.took_over is not None
        self.epochs += changes.began_epoch is not None
        self.reconnects += changes.reconnects
        self.gaps += changes.gaps
        self.missed_trades += changes.missed_trades
        return changes

    def _taken_over(self, status: Mapping[str, Any]) -> tuple[str, str] | None:
        name = status.get("feed")
        if not isinstance(name, str):
            return None
        before, self._name = self._name, name
        return None if before is None or before == name else (before, name)

    def _begun_epoch(self, status: Mapping[str, Any]) -> tuple[int, int] | None:
        epoch = _number(status.get("epoch"))
        before, self._epoch = self._epoch, epoch or self._epoch
        return (before, epoch) if before and epoch and epoch != before else None

    def _grown(self, status: Mapping[str, Any]) -> dict[str, int]:
        exchange, counters = status.get("exchange"), status.get("counters")
        counts = {"reconnects": _number(exchange.get("reconnects")) if isinstance(exchange, Mapping) else 0}
        counts |= {name: _number(counters.get(name)) if isinstance(counters, Mapping) else 0 for name in _COUNTED}
        name = str(status.get("feed"))
        before = self._counts.pop(name, None)
        self._counts[name] = counts
        if len(self._counts) > MAX_KNOWN_FEEDS:
            del self._counts[next(iter(self._counts))]
        if before is None:
            return dict.fromkeys(counts, 0)
        # A feed that has started anew counts from 0 again.
        return {name: count - before[name] if count >= before[name] else count for name, count in counts.items()}


def _number(value: object) -> int:
    return value if type(value) is int and value > 0 else 0
