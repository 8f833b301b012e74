"""What is known of the market and of the line to it. Pure: messages and times come in.

Rules:

- A symbol's ticks are one sequence across connections. A tick says by ``seq``, ``merged`` and ``dropped`` on which one it
  follows; what lies between that and the last one is missed, whether or not the gateway has said so.
- An age grows whatever happens: it is the gateway's time at which the tick came, less the exchange's of the tick, and what
  has gone by since.
- What is shown is live only while the line and the feed behind it are; else it is told since when it is not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from components.watch.feed_misses import FeedMisses
from components.watch.messages import Message

RATE_WINDOW_S = 5
SAMPLES = 60
"""Of a symbol's price, one each second."""

FEED_IS_LIVE = frozenset({"live", "stale"})
"""States of ``market.status`` in which what comes is current."""


AHEAD = "ahead"
"""The reason of a gap that is none yet: who resumes is ahead of the gateway."""


class Line(Enum):
    """The connection to the gateway."""

    CONNECTING = "connecting"
    LIVE = "live"
    WAITING = "waiting"


class Rate:
    """How many a second, over the last five whole seconds."""

    def __init__(self) -> None:
        self._begun: int | None = None
        self._seconds: deque[tuple[int, int]] = deque(maxlen=RATE_WINDOW_S + 1)

    def add(self, number: int, now_s: float) -> None:
        """Count what has come."""
        second = int(now_s)
        if self._begun is None:
            self._begun = second
        if self._seconds and self._seconds[-1][0] == second:
            number += self._seconds.pop()[1]
        self._seconds.append((second, number))

    def per_s(self, now_s: float) -> float | None:
        """Return the rate; ``None`` before there is one to tell."""
        now = int(now_s)
        if self._begun is None or now == self._begun:
            return None
        window_s = min(RATE_WINDOW_S, now - self._begun)
        return sum(number for second, number in self._seconds if now - window_s <= second < now) / window_s


@dataclass(slots=True)
class Row:
    """What is known of one symbol."""

    symbol: str
    price: Decimal | int | None = None
    direction: int = 0
    """1 where the last price that differed was lower, -1 where it was higher."""
    volume: Decimal | int | None = None
    bid: Decimal | int | None = None
    ask: Decimal | int | None = None
    seq: int | None = None
    follows: int | None = None
    """The ``seq`` that the next tick follows on; ``None`` at the beginning of an epoch."""
    gaps: int = 0
    missed: int = 0
    """As far as it is known: see ``lost_epochs``."""
    lost_epochs: int = 0
    """How many of the gaps are the end of an epoch, of which nobody can tell how far it went."""
    behind: int = 0
    """How often a gateway did not have yet what had been shown, and went on from what it had."""
    merged: int = 0
    """Ticks that came within another one."""
    dropped: int = 0
    listed: bool = True
    """``False``: the feed follows it no longer, and nothing will come."""
    rate: Rate = field(default_factory=Rate)
    samples: deque[float | None] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    _age_s: float = 0.0
    _age_at_s: float | None = None

    def age_s(self, now_s: float) -> float | None:
        """Return how old the last tick is; ``None`` where there was none."""
        return None if self._age_at_s is None else self._age_s + now_s - self._age_at_s

    def take_tick(self, tick: Message, now_s: float, gateway_ms: float, *, is_news: bool) -> None:
        """Take a tick; of one that the gateway had before, trades are not counted as coming now."""
        before = tick.seq - tick.merged - tick.dropped
        if self.follows is not None and before > self.follows:
            self.gaps += 1
            self.missed += before - self.follows
        self.seq = self.follows = tick.seq
        self.dropped += tick.dropped
        if is_news:
            self.merged += tick.merged - 1
            self.rate.add(tick.merged, now_s)
        if self.price is not None and tick.price != self.price:
            self.direction = 1 if tick.price > self.price else -1
        self.price, self.volume = tick.price, tick.volume
        self._age_s, self._age_at_s = max(0.0, (gateway_ms - tick.ts) / 1000), now_s

    def miss(self, gap: Message) -> None:
        """Take note that ticks will not come, or that what comes begins before what has come."""
        if gap.reason == AHEAD:
            # The same epoch goes on: the next tick says by its number whether any are missing.
            self.behind += 1
            return
        self.gaps += 1
        if gap.to_seq is None:
            self.follows = None
            self.lost_epochs += 1
        else:
            self.missed += max(0, gap.to_seq - max(gap.from_seq - 1, self.follows or 0))
            self.follows = max(gap.to_seq, self.follows or 0)


class Board:
    """All of it."""

    def __init__(self, now_s: float, wall_ms: float) -> None:
        """Begin with nothing; ``now_s`` never goes back, ``wall_ms`` is Unix time by this machine's clock."""
        self.rows: dict[str, Row] = {}
        self.epoch = 0
        self.epochs = 0
        """How many have begun while this looked on."""
        self.ticks = 0
        self.rate = Rate()
        self.line = Line.CONNECTING
        self.url = ""
        self.reason = ""
        """Why the line is down."""
        self.retry_at_s: float | None = None
        self.connections = 0
        """Times that the line has been live."""
        self.round_trip_s: float | None = None
        self.status: Message | None = None
        self.feed_misses = FeedMisses()
        """What is in nobody's sequence, and so in no row."""
        self.note = ""
        self.unknown: list[str] = []
        """What is wished for and is not there, a line each."""
        self._line_down_ms: float | None = wall_ms
        self._wall_offset_ms = wall_ms - now_s * 1000
        self._clock_offset_ms = 0.0
        """What the gateway's clock is ahead of this machine's."""
        self._sampled_s = now_s

    def wall_ms(self, now_s: float) -> float:
        """Return Unix time by this machine's clock."""
        return now_s * 1000 + self._wall_offset_ms

    def not_live_since_ms(self) -> float | None:
        """Return since when nothing here is current, Unix time; ``None`` while it is, 0 where nobody knows."""
        if self._line_down_ms is not None:
            return self._line_down_ms
        if self.status is not None and self.status.state not in FEED_IS_LIVE:
            return float(self.status.since or 0)
        return None

    # The line

    def connecting(self, url: str) -> None:
        """Take note of an attempt."""
        self.line, self.url, self.retry_at_s = Line.CONNECTING, url, None

    def live(self) -> None:
        """Take note that everything is subscribed to."""
        self.line, self.reason = Line.LIVE, ""
        self.connections += 1
        self._line_down_ms = None

    def lost(self, reason: str, retry_in_s: float, now_s: float) -> None:
        """Take note that there is no line."""
        self.line, self.reason, self.retry_at_s = Line.WAITING, reason, now_s + retry_in_s
        self.round_trip_s = None
        # An attempt that fails does not make it live in between.
        if self._line_down_ms is None:
            self._line_down_ms = self.wall_ms(now_s)

    def answered(self, pong: Message, asked_s: float, now_s: float) -> None:
        """Take the answer to a ping that was sent at ``asked_s``."""
        self.round_trip_s = now_s - asked_s
        self._clock_offset_ms = pong.time - self.wall_ms((asked_s + now_s) / 2)

    # The market

    def begin(self, symbols: Iterable[str]) -> None:
        """Have a row for each of these, and no others."""
        self.rows = {symbol: self.rows.get(symbol) or Row(symbol) for symbol in symbols}

    def listed(self, symbols: Sequence[str], unknown: Sequence[str]) -> list[Row]:
        """Take note of which symbols there are, and of what there is not; return the rows of which that is news."""
        there = frozenset(symbols)
        changed = [row for row in self.rows.values() if row.listed is not (row.symbol in there)]
        for row in changed:
            row.listed = not row.listed
        self.unknown = list(unknown)
        return changed

    def resume_from(self) -> tuple[int, dict[str, int]]:
        """Return epoch and ``seq`` by symbol from which what was missed is to be asked for."""
        return self.epoch, {symbol: row.follows for symbol, row in self.rows.items() if row.follows is not None}

    def take(self, message: Message, now_s: float) -> None:
        """Take what the gateway says."""
        if not message.type:
            self._take_event(message, now_s)
        elif message.type == "gap":
            self._row(message.symbol).miss(message)
        elif message.type in ("status", "subscribed", "resumed"):
            if message.type == "status":
                self.status = message
                self.feed_misses.take(message)
            self._enter(message.epoch)

    def sample(self, now_s: float) -> None:
        """Take a sample of each price if a second has gone by; none while it is not current."""
        if now_s - self._sampled_s < 1:
            return
        self._sampled_s = now_s
        current = self.not_live_since_ms() is None
        for row in self.rows.values():
            row.samples.append(float(row.price) if current and row.price is not None else None)

    def _take_event(self, event: Message, now_s: float) -> None:
        row = self._row(event.symbol)
        if event.price is None:
            row.bid, row.ask = event.bid, event.ask
            return
        # What came before all was subscribed to may be the newest of long ago.
        is_news = self.line is Line.LIVE
        row.take_tick(event, now_s, self.wall_ms(now_s) + self._clock_offset_ms, is_news=is_news)
        if is_news:
            self.ticks += event.merged
            self.rate.add(event.merged, now_s)

    def _row(self, symbol: str) -> Row:
        row = self.rows.get(symbol)
        if row is None:
            # One that has been listed since.
            row = self.rows[symbol] = Row(symbol)
        return row

    def _enter(self, epoch: int) -> None:
        if epoch in (0, self.epoch):
            return
        if self.epoch:
            for row in self.rows.values():
                row.follows = None
        self.epoch = epoch
        self.epochs += 1
