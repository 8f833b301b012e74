"""Ticks at a rate that the client chooses: the trades of an interval in one tick, made once for all who subscribe.

Owns what is accumulated, from when to when, and what is made of it; never touches a clock, a session or a router.

Rules:

- A topic ``market.<SYMBOL>.<rate>`` is made while a subscription receives it (see ``topics``), from the first to the last. What
  was accumulated and not made when the last one ends is let go.
- At the end of an interval one tick is made of each symbol's trades in it, merged as ``merge`` says; of a lone trade the tick
  as it came; of none nothing.
- A later epoch begins with what was accumulated of the one before, so that no tick stands for trades of both.
- ``seq`` adds up: every tick begins where the topic's last one ended. So what a late joiner is given is the topic's last
  tick; where none was made yet and no trade is waiting, the newest trade's, behind which the topic begins; and in between
  nothing, since no tick ends where the first one will begin.
- What is no tick is left out and counted; ``seq`` shows the hole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from components.core.market import Received
from components.core.merge import Stream, TickAccumulator, Unmergeable, stream_of
from components.core.topics import named_family, reaches_family, receives, symbol_and_family
from components.uris import MARKET_PREFIX

MIN_INTERVAL_MS = 10
MAX_INTERVAL_MS = 3_600_000

_NAME = re.compile(r"every_([1-9][0-9]{0,6})(ms|s)")

Event = tuple[str, bytes]
"""``(topic, payload)``."""


class InvalidRates(ValueError):
    """A list of rates that cannot be; the text is one line for the operator."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One tick per interval."""

    name: str
    """The topic's third component: ``every_100ms``."""

    interval_ms: int


def parse_rates(names: object) -> tuple[Rate, ...]:
    """Return the rates in a list of names such as ``every_100ms`` and ``every_1s``.

    Raises:
        InvalidRates: no list, a name that is none, an interval below 10 ms or above an hour, or one interval twice.
    """
    if not isinstance(names, list | tuple):
        raise InvalidRates(f"rates must be a list of names such as every_100ms, was {names!r}")
    by_interval: dict[int, Rate] = {}
    for name in names:
        said = _NAME.fullmatch(name) if isinstance(name, str) else None
        if said is None:
            raise InvalidRates(f"a rate must be named every_<N>ms or every_<N>s, was {name!r}")
        interval_ms = int(said[1]) * (1000 if said[2] == "s" else 1)
        if not MIN_INTERVAL_MS <= interval_ms <= MAX_INTERVAL_MS:
            raise InvalidRates(f"a rate must be from {MIN_INTERVAL_MS} ms to {MAX_INTERVAL_MS} ms, was {name!r}")
        if interval_ms in by_interval:
            raise InvalidRates(f"rates must differ, {name!r} is {by_interval[interval_ms].name!r} again")
        by_interval[interval_ms] = Rate(name, interval_ms)
    return tuple(by_interval.values())


DEFAULT_RATES = parse_rates(["every_100ms", "every_500ms", "every_1s"])

_Targets = tuple[tuple[dict[str, TickAccumulator], str], ...]


class RateConflator:
    """All topics of ticks at a rate, of one realm."""

    def __init__(self, rates: Iterable[Rate] = DEFAULT_RATES) -> None:
        self.rates = tuple(rates)
        self._rates = {rate.name: rate for rate in self.rates}
        self._exact: set[str] = set()
        self._patterns: set[tuple[str, str]] = set()
        self._uses = dict.fromkeys(self.rates, 0)
        self._epoch = 0
        self._waiting: dict[Rate, dict[str, TickAccumulator]] = {rate: {} for rate in self._uses}
        """Trades of the interval that goes on, by the topic that they are for."""
        self._made: dict[str, Received] = {}
        """The last tick of each topic, of this epoch, and when it was made."""
        self._targets: dict[str, _Targets] = {}
        """Where a topic's events go; empty for most."""
        self.unmergeable = 0
        """Events on topics of ticks that were none."""

    @property
    def in_use(self) -> list[Rate]:
        """The rates that somebody is subscribed to."""
        return [rate for rate, uses in self._uses.items() if uses]

    # Subscriptions

    def subscribed(self, uri: str, match: str) -> None:
        """Take note that a subscription has its first subscriber."""
        rates = self._named_rates(uri, match)
        if not rates or self._is_noted(uri, match):
            return
        if match == "exact":
            self._exact.add(uri)
        else:
            self._patterns.add((uri, match))
        for rate in rates:
            self._uses[rate] += 1
        self._targets.clear()

    def unsubscribed(self, uri: str, match: str) -> None:
        """Take note that a subscription has lost its last subscriber."""
        if not self._is_noted(uri, match):
            return
        for rate in self._named_rates(uri, match):
            self._uses[rate] -= 1
        if match == "exact":
            self._exact.discard(uri)
            self._let_go([uri])
        else:
            self._patterns.discard((uri, match))
            self._let_go([*self._made, *(topic for waiting in self._waiting.values() for topic in waiting)])
        self._targets.clear()

    def _is_noted(self, uri: str, match: str) -> bool:
        return uri in self._exact if match == "exact" else (uri, match) in self._patterns

    def _named_rates(self, uri: str, match: str) -> list[Rate]:
        # A pattern that names no third component has no part in this.
        if not uri.startswith(MARKET_PREFIX) or not named_family(uri):
            return []
        return [rate for rate in self._uses if reaches_family(uri, match, (rate.name,))]

    def _is_wanted(self, topic: str) -> bool:
        return topic in self._exact or any(receives(uri, match, topic) for uri, match in self._patterns)

    def _let_go(self, topics: Iterable[str]) -> None:
        for topic in topics:
            if not self._is_wanted(topic):
                self._made.pop(topic, None)
                for waiting in self._waiting.values():
                    waiting.pop(topic, None)

    # Events

    def begin_epoch(self, epoch: int) -> list[Event]:
        """Be told the epoch of the events that come; return what is still to be published of the one before."""
        if epoch == self._epoch:
            return []
        self._epoch = epoch
        events = [event for rate in self.rates for event in self._end_interval(rate)]
        self._made.clear()
        return events

    def add(self, events: Iterable[tuple[str, int, bytes]]) -> None:
        """Accumulate a batch's events, ``(topic, seq, payload)``; those that no rate in use is of are passed over."""
        for topic, _, payload in events:
            targets = self._targets.get(topic)
            if targets is None:
                targets = self._targets[topic] = self._find_targets(topic)
            for waiting, rate_topic in targets:
                accumulator = waiting.get(rate_topic) or TickAccumulator()
                try:
                    accumulator.add(payload)
                except Unmergeable:
                    self.unmergeable += 1
                else:
                    waiting[rate_topic] = accumulator

    def _find_targets(self, topic: str) -> _Targets:
        symbol, family = symbol_and_family(topic)
        if not symbol or family or stream_of(topic) is not Stream.TICKS:
            return ()
        return tuple(
            (waiting, f"{topic}.{rate.name}")
            for rate, waiting in self._waiting.items()
            if self._is_wanted(f"{topic}.{rate.name}")
        )

    def make(self, rate: Rate, now_s: float) -> list[Event]:
        """End an interval of a rate: return one tick of each symbol that traded in it, and begin the next interval."""
        events = self._end_interval(rate)
        self._made.update((topic, (payload, now_s)) for topic, payload in events)
        return events

    def _end_interval(self, rate: Rate) -> list[Event]:
        waiting = self._waiting[rate]
        events = [(topic, accumulator.render()) for topic, accumulator in waiting.items()]
        waiting.clear()
        return events

    # Late joiners

    def last_event(self, topic: str, newest_tick: Received | None) -> Received | None:
        """Return the event after which a late joiner's ``seq`` goes on without overlap or hole, ``None`` where there is none.

        ``newest_tick`` is the newest tick of the topic's symbol, one per trade, as far as all events were added.
        """
        rate = self._rates.get(symbol_and_family(topic)[1])
        if rate is None:
            return None
        made = self._made.get(topic)
        if made is None and topic not in self._waiting[rate]:
            return newest_tick
        return made
