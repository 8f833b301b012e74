"""What a gateway sees of the feeds that lead, one after the other, by their status: what changed between two looks. Pure.

A feed counts from its own start, and says besides what it has counted since it took the lead. Rules:

- Of a feed that goes on leading, what it has counted since it was last heard.
- Of one that takes over, what it has counted since it took the lead. What it had counted before that in a lead of its own was
  heard then; what it found to be missing when it was cut off from the bus, and did not know that it led no more, the one that
  took over from it has made good, or counted as well. One that was started anew, be it under the same name, has taken over.
- Of one that has lost the lead and leads again, and nobody was heard in between, the same of trades: it goes on from what had
  arrived, and finds missing again what it had found besides. Of connections, what it has counted since it was last heard.
- A lead that was heard of before, as when a bus has lost the last status, is counted on from where it was.
- Of the first one that is heard, nothing of the past: a gateway that has just started was not there.
- A feed of an earlier version says neither when it started nor what it has counted since it leads. Each counts what it has
  counted since it was last heard, then, whoever led meanwhile; what it had counted before it was first heard is not known to
  be new, and when its counts fall it was started anew.

What a feed counts between its last word and the end of its lead, a second at most, is not counted here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_KNOWN_FEEDS = 16
"""Feeds whose counts are remembered; with more, the one that was heard least lately is forgotten."""

NO_FEED_WRITES = "no feed writes to the bus"
"""How what a gateway says of itself begins while it hears no feed, and serves what it has."""

NO_FEED_YET = "no feed has reported"
"""What it says instead while it has nothing to serve."""

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


@dataclass(slots=True)
class _Heard:
    """What is known of a feed."""

    counts: dict[str, int]
    """Since its start."""

    lead: int = 0
    """The last of its leads that was heard of, from 1; 0 where it does not say so."""

    in_lead: dict[str, int] = field(default_factory=dict)
    """Counted in that one."""


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

        self._epoch = 0
        self._heard: dict[_Process, _Heard] = {}
        """The one heard last stands last."""

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
        last, self._last = self._last, process
        before = self._heard.pop(process, None)
        heard = self._heard[process] = before or _Heard(counts)
        if len(self._heard) > MAX_KNOWN_FEEDS:
            del self._heard[next(iter(self._heard))]
        since_start = _grown_since(heard.counts, counts, falls=process.started_ms is None)
        in_this_lead = _grown_in_lead(heard, _mapping(status.get("since_lead")))
        if last is None:
            return dict.fromkeys(counts, 0)
        if in_this_lead is None:
            return since_start
        return in_this_lead if process != last else since_start | {name: in_this_lead[name] for name in _COUNTED}


def _grown_since(known: dict[str, int], counts: Mapping[str, int], *, falls: bool) -> dict[str, int]:
    """Return by how much counts are more than is known, and know them; where one ``falls`` it has begun anew."""
    grown = {}
    for name, count in counts.items():
        before = 0 if falls and count < known[name] else known[name]
        grown[name] = max(count - before, 0)
        known[name] = before + grown[name]
    return grown


def _grown_in_lead(heard: _Heard, said: Mapping[str, Any]) -> dict[str, int] | None:
    """Return what is new of a feed's counts in a lead; ``None`` where it does not say what these are."""
    lead = _number(said.get("lead"))
    if not lead:
        return None
    counts = {name: _number(said.get(name)) for name in heard.counts}
    if lead < heard.lead:
        return dict.fromkeys(counts, 0)
    if lead > heard.lead:
        heard.lead, heard.in_lead = lead, dict.fromkeys(counts, 0)
    return _grown_since(heard.in_lead, counts, falls=False)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> int:
    return value if type(value) is int and value > 0 else 0
