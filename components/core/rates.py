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
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from components.core.market import Received
from components.core.merge import Stream, TickAccumulator, Unmergeable, stream_of
from components.core.topics import named_family, reaches_family, symbol_and_family
from components.uris import MARKET_PREFIX, tick_topic

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

ANY = ""
"""Stands for every symbol, as it does in a wildcard."""

_Targets = tuple[tuple[dict[str, TickAccumulator], str], ...]


class RateConflator:
    """All topics of ticks at a rate, of one realm."""

    def __init__(self, rates: Iterable[Rate] = DEFAULT_RATES) -> None:
        self.rates = tuple(rates)
        self._rates = {rate.name: rate for rate in self.rates}
        self._subscriptions: set[tuple[str, str]] = set()
        self._wanted: Counter[tuple[str, Rate]] = Counter()
        """How many subscriptions want a symbol's ticks at a rate; those to all symbols count for the symbol ``ANY``."""
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
        if (uri, match) in self._subscriptions:
            return
        for symbol, rate in self._named(uri, match):
            self._subscriptions.add((uri, match))
            self._wanted[symbol, rate] += 1
            self._uses[rate] += 1
            self._forget_targets(symbol)

    def unsubscribed(self, uri: str, match: str) -> None:
        """Take note that a subscription has lost its last subscriber."""
        if (uri, match) not in self._subscriptions:
            return
        self._subscriptions.discard((uri, match))
        for symbol, rate in self._named(uri, match):
            self._uses[rate] -= 1
            self._wanted[symbol, rate] -= 1
            if not self._wanted[symbol, rate]:
                del self._wanted[symbol, rate]
                self._let_go(symbol, rate)
            self._forget_targets(symbol)

    def named_rates(self, uri: str, match: str) -> list[Rate]:
        """Return the rates that a subscription's third component names; none where it has none."""
        if not uri.startswith(MARKET_PREFIX) or not named_family(uri):
            return []
        return [rate for rate in self.rates if reaches_family(uri, match, (rate.name,))]

    def _named(self, uri: str, match: str) -> list[tuple[str, Rate]]:
        # What names a rate names one symbol, or, as a wildcard, any: its second component is whole.
        symbol, _ = symbol_and_family(uri)
        if not symbol and match != "wildcard":
            return []
        return [(symbol, rate) for rate in self.named_rates(uri, match)]

    def _is_wanted(self, symbol: str, rate: Rate) -> bool:
        return (symbol, rate) in self._wanted or (ANY, rate) in self._wanted

    def _let_go(self, symbol: str, rate: Rate) -> None:
        waiting = self._waiting[rate]
        if symbol == ANY:
            topics = [topic for topic in (*self._made, *waiting) if topic.endswith("." + rate.name)]
        else:
            topics = [f"{tick_topic(symbol)}.{rate.name}"]
        for topic in topics:
            if not self._is_wanted(symbol_and_family(topic)[0], rate):
                self._made.pop(topic, None)
                waiting.pop(topic, None)

    def _forget_targets(self, symbol: str) -> None:
        if symbol == ANY:
            self._targets.clear()
        else:
            self._targets.pop(tick_topic(symbol), None)

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
            if self._is_wanted(symbol, rate)
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

    def end(self, symbol: str) -> list[Event]:
        """Be told that a symbol's ticks come no more for the time being; return what was accumulated of it."""
        events: list[Event] = []
        for rate in self.rates:
            topic = f"{tick_topic(symbol)}.{rate.name}"
            self._made.pop(topic, None)
            accumulator = self._waiting[rate].pop(topic, None)
            if accumulator is not None:
                events.append((topic, accumulator.render()))
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
