"""What a gateway sees of the feeds that lead, one after the other, by their status: what changed between two looks. Pure.

A feed counts from its own start, and says besides what it has counted since it took the lead. Rules:

- Of a feed that goes on leading, what it has counted since it was last heard.
- Of one that has lost the lead and leads again, and nobody else was heard meanwhile, the same of its connections; but of trades
  what it has found to be missing since it took the lead anew: it goes on from what has arrived, and counts again what had not.
- Of one that takes over, what it has counted since it took the lead. What it had counted before that in a lead of its own was
  heard then; what it found to be missing when it was cut off from the bus, and did not know that it led no more, the one that
  took over from it has made good, or counted as well. One that was started anew, be it under the same name, has taken over.
- Of the first one that is heard, nothing of the past: a gateway that has just started was not there.
- A feed of an earlier version says neither when it started nor what it has counted since it leads. Each counts what it has
  counted since it was last heard, then, whoever led meanwhile; what it had counted before it was first heard is not known to
  be new, and when its counts fall it was started anew.

What a feed counts between its last word and the end of its lead, a second at most, is not counted here.
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


@dataclass(frozen=True, slots=True)
class _Process:
    """A feed from its start to its end."""

    name: str
    started_ms: int | None
    """``None`` where it does not say so: then all of this name are taken for one."""


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
        self._last: _Process | None = None
        """That was heard."""

        self._last_lead = 0
        """Which of its leads it was, from 1; 0 where it does not say so."""

        self._epoch = 0
        self._counts: dict[_Process, dict[str, int]] = {}
        """Of each feed; the one heard last stands last."""

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
        counters = _mapping(status.get("counters"))
        counts = {"reconnects": _number(_mapping(status.get("exchange")).get("reconnects"))}
        counts |= {name: _number(counters.get(name)) for name in _COUNTED}
        process = _Process(str(status.get("feed")), _number(status.get("started")) or None)
        in_this_lead = status.get("since_lead")
        lead = _number(_mapping(in_this_lead).get("lead"))
        last, self._last = self._last, process
        last_lead, self._last_lead = self._last_lead, lead
        before = self._counts.pop(process, None)
        self._counts[process] = counts
        if len(self._counts) > MAX_KNOWN_FEEDS:
            del self._counts[next(iter(self._counts))]
        if last is None:
            return dict.fromkeys(counts, 0)
        if process != last and isinstance(in_this_lead, Mapping):
            return {name: _number(in_this_lead.get(name)) for name in counts}
        if before is None:
            return dict.fromkeys(counts, 0)
        grown = {name: count - before[name] if count >= before[name] else count for name, count in counts.items()}
        if process == last and lead and lead != last_lead:
            grown |= {name: _number(_mapping(in_this_lead).get(name)) for name in _COUNTED}
        return grown


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> int:
    return value if type(value) is int and value > 0 else 0
