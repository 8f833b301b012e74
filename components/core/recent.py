"""What a feed got lately from the exchange, written or not: what it goes on from when it takes the lead.

Trades of the last seconds in the order in which they came, the newest best prices and statistics of each symbol, and when each
symbol was heard last. Pure: times come in as arguments.

Bounds: trades are kept for ``keep_s`` seconds; beyond ``max_trades`` the oldest go sooner, which ``dropped`` counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from components.core.binance import BookTicker, MiniTicker, Trade

KEEP_S = 30.0
"""Longer than any taking over of the lead: the lease, its loss noticed, and what waited in the leader's queue."""

MAX_TRADES = 100_000
TRADES_STALE_FACTOR = 10

Reached = tuple[int | None, int | None]
"""Id of the last trade's message, and update id; ``None`` where there was none."""


@dataclass(slots=True)
class KeptBook:
    """Best prices as they came."""

    ticker: BookTicker
    received_ms: int
    """Wall clock, ms since 1970."""


@dataclass(slots=True)
class _Symbol:
    opened_ms: int = 0
    last_tick_s: float = 0.0
    last_book_s: float = 0.0
    first_trade_id: int | None = None
    last_trade_id: int | None = None
    book: BookTicker | None = None
    book_received_ms: int = 0
    day: MiniTicker | None = None
    day_due_since_s: float | None = None
    """When the first trade came for which there are no statistics yet."""


class Recent:
    """Of the symbols that one connection or all of them bring."""

    def __init__(self, symbols: Iterable[str], keep_s: float = KEEP_S, max_trades: int = MAX_TRADES) -> None:
        self.dropped = 0
        """Trades that had to go before their time, since the start."""
        self._by_name = {name: _Symbol() for name in symbols}
        self._trades: deque[tuple[float, Trade]] = deque()
        self._keep_s = keep_s
        self._max_trades = max_trades

    def set_symbols(self, names: Iterable[str], now_s: float, now_ms: int) -> None:
        """Keep what comes of these symbols from here on, in this order, and of no others; what is new was heard just now."""
        before = self._by_name
        self._by_name = {name: before.get(name) or _Symbol(now_ms, now_s, now_s) for name in names}
        if before.keys() - self._by_name.keys():
            # A symbol that comes back soon must not bring along what was written before it was let go.
            self._trades = deque(kept for kept in self._trades if kept[1].symbol in self._by_name)

    def connection_started(self, names: Iterable[str], now_s: float, now_ms: int) -> None:
        """Take note that symbols come by a connection made anew: who was silent on the one before is not silent on this one."""
        for name in names:
            symbol = self._by_name[name]
            symbol.opened_ms = now_ms
            symbol.last_tick_s = symbol.last_book_s = now_s
            symbol.day_due_since_s = None

    def tick(self, trade: Trade, now_s: float) -> None:
        """Keep a trade; one of a symbol that is not ours is passed over (the sequencer counts it)."""
        symbol = self._by_name.get(trade.symbol)
        if symbol is None:
            return
        symbol.last_tick_s = now_s
        symbol.last_trade_id = trade.id
        if symbol.day_due_since_s is None:
            symbol.day_due_since_s = now_s
        if symbol.first_trade_id is None:
            symbol.first_trade_id = trade.id
        self._trades.append((now_s, trade))

    def book(self, ticker: BookTicker, now_s: float, now_ms: int) -> None:
        """Keep best prices in place of those that came before."""
        symbol = self._by_name.get(ticker.symbol)
        if symbol is not None:
            symbol.last_book_s = now_s
            symbol.book = ticker
            symbol.book_received_ms = now_ms

    def day(self, ticker: MiniTicker) -> None:
        """Keep the statistics of a day in place of those that came before."""
        symbol = self._by_name.get(ticker.symbol)
        if symbol is not None:
            symbol.day = ticker
            symbol.day_due_since_s = None

    def forget(self, now_s: float) -> None:
        """Let go what is too old or too much; to be called after each read, which makes the bounds hold but for one read."""
        trades = self._trades
        oldest_s = now_s - self._keep_s
        while trades and trades[0][0] < oldest_s:
            trades.popleft()
        while len(trades) > self._max_trades:
            trades.popleft()
            self.dropped += 1

    def merge(self, other: Recent) -> None:
        """Take over what another one kept of some of the symbols, by a connection that was open beside theirs.

        Trades that both have are in it twice then: who goes on from them drops those he has had.
        """
        for name, theirs in other._by_name.items():
            symbol = self._by_name[name]
            symbol.opened_ms = theirs.opened_ms
            if theirs.last_trade_id is not None:
                symbol.last_trade_id = theirs.last_trade_id
            symbol.last_tick_s = max(symbol.last_tick_s, theirs.last_tick_s)
            symbol.last_book_s = max(symbol.last_book_s, theirs.last_book_s)
            book = theirs.book
            if book is not None and (symbol.book is None or symbol.book.update_id < book.update_id):
                symbol.book, symbol.book_received_ms = book, theirs.book_received_ms
            symbol.day_due_since_s = theirs.day_due_since_s
            day = theirs.day
            if day is not None and (symbol.day is None or symbol.day.ts_ms < day.ts_ms):
                symbol.day = day
        self._trades.extend(other._trades)
        while len(self._trades) > self._max_trades:
            self._trades.popleft()
            self.dropped += 1
        self.dropped += other.dropped

    def reached(self, since_s: float) -> dict[str, Reached]:
        """Return how far each symbol has come that was heard after ``since_s``."""
        return {
            name: (
                symbol.last_trade_id if symbol.last_tick_s > since_s else None,
                symbol.book.update_id if symbol.book is not None and symbol.last_book_s > since_s else None,
            )
            for name, symbol in self._by_name.items()
            if symbol.last_tick_s > since_s or symbol.last_book_s > since_s
        }

    def behind(self, reached: Mapping[str, Reached]) -> list[str]:
        """Return the symbols of which a connection has not brought what another one had, trades or best prices."""
        behind = []
        for name, symbol in self._by_name.items():
            trade_id, update_id = reached.get(name, (None, None))
            book_id = None if symbol.book is None else symbol.book.update_id
            if _is_behind(symbol.last_trade_id, trade_id) or _is_behind(book_id, update_id):
                behind.append(name)
        return behind

    def lies_before(self, following: Recent) -> list[str]:
        """Return the symbols of which a connection has not yet brought the trade that the next one began with."""
        apart = []
        for name, theirs in following._by_name.items():
            last_id = self._by_name[name].last_trade_id
            if _is_behind(last_id, theirs.first_trade_id):
                apart.append(name)
        return apart

    def trades(self, now_s: float) -> Iterator[Trade]:
        """Yield the trades of the last ``keep_s`` seconds."""
        oldest_s = now_s - self._keep_s
        return (trade for came_s, trade in self._trades if came_s >= oldest_s)

    def books(self) -> Iterator[KeptBook]:
        """Yield the newest best prices of each symbol that has had any."""
        return (
            KeptBook(symbol.book, symbol.book_received_ms)
            for symbol in self._by_name.values()
            if symbol.book is not None
        )

    def days(self) -> Iterator[MiniTicker]:
        """Yield the newest statistics of each symbol that has had any."""
        return (symbol.day for symbol in self._by_name.values() if symbol.day is not None)

    def opened_ms(self) -> dict[str, int]:
        """Return when each symbol's connection was made, ms since 1970; 0 before the first."""
        return {name: symbol.opened_ms for name, symbol in self._by_name.items()}

    @property
    def trades_kept(self) -> int:
        """How many trades are kept."""
        return len(self._trades)

    def stale(self, now_s: float, after_s: float) -> list[str]:
        """Return the symbols of which a stream is silent, in configured order.

        Best prices are silent after ``after_s`` seconds, trades after ten times that: a market may well quote and not trade.
        """
        return [
            name
            for name, symbol in self._by_name.items()
            if now_s - symbol.last_book_s > after_s or now_s - symbol.last_tick_s > TRADES_STALE_FACTOR * after_s
        ]

    def unheard(self) -> list[str]:
        """Return the symbols of which neither a trade nor best prices have come, in configured order."""
        return [name for name, symbol in self._by_name.items() if symbol.book is None and symbol.last_trade_id is None]

    def without_day(self, now_s: float, after_s: float) -> list[str]:
        """Return the symbols that have traded without statistics for ``after_s`` seconds, in configured order."""
        return [
            name
            for name, symbol in self._by_name.items()
            if symbol.day_due_since_s is not None and now_s - symbol.day_due_since_s > after_s
        ]


def _is_behind(mine: int | None, theirs: int | None) -> bool:
    return theirs is not None and (mine is None or mine < theirs)
