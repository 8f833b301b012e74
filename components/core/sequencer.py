"""Number each symbol's trades and best prices, drop what came twice, and count what never came.

Rules:

- ``seq`` starts at 1 per topic and epoch and has no holes: what is dropped here takes no number.
- Trades are known by the exchange's trade ids, which have no holes in a healthy stream. An id that was seen is a
  duplicate, unless the trade happened later than the last one: then the exchange began its numbering anew.
- Best prices are known by their update id, which grows but has holes by nature, and which carries no time: a connection's
  first update of a symbol is taken as it is.

Pure: times come in as arguments.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from components.core.binance import BookTicker, Trade
from components.uris import book_topic, tick_topic

TRADES_STALE_FACTOR = 10

Event = tuple[str, int, bytes]
"""``(topic, seq, payload as JSON bytes)``, as a batch carries it: a plain tuple, since one is made per message."""


@dataclass(slots=True)
class SequenceCounters:
    """What happened since the feed started; each only grows."""

    ticks: int = 0
    books: int = 0
    duplicates: int = 0
    gaps: int = 0
    missed_trades: int = 0
    """Trades that the exchange made and this feed never got, over all gaps."""

    id_resets: int = 0
    unknown_symbols: int = 0


@dataclass(slots=True)
class _Symbol:
    name: str
    tick_topic: str
    book_topic: str
    tick_seq: int = 0
    book_seq: int = 0
    last_trade_id: int | None = None
    last_trade_ts_ms: int = 0
    last_update_id: int | None = None
    last_tick_s: float = 0.0
    last_book_s: float = 0.0


@dataclass(slots=True)
class Sequencer:
    """Sequences of all symbols of one feed under one epoch."""

    symbols: tuple[str, ...]
    counters: SequenceCounters = field(default_factory=SequenceCounters)
    _by_name: dict[str, _Symbol] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Number everything from 1 again and forget which ids were seen."""
        self._by_name = {name: _Symbol(name, tick_topic(name), book_topic(name)) for name in self.symbols}

    def connection_started(self, names: Iterable[str], now_s: float) -> None:
        """Take note that symbols come by a connection made anew: update ids are compared within one connection only."""
        for name in names:
            symbol = self._by_name[name]
            symbol.last_update_id = None
            symbol.last_tick_s = symbol.last_book_s = now_s

    def tick(self, trade: Trade, now_s: float) -> Event | None:
        """Return the tick of a trade, or ``None`` for a duplicate or a symbol that is not ours.

        Payload: ``{"symbol","price","volume","side","ts","id","seq"}``, price and volume with the exchange's digits.
        """
        symbol = self._by_name.get(trade.symbol)
        if symbol is None:
            self.counters.unknown_symbols += 1
            return None
        symbol.last_tick_s = now_s
        last_id = symbol.last_trade_id
        if last_id is not None:
            if trade.last_trade_id <= last_id:
                if trade.ts_ms <= symbol.last_trade_ts_ms:
                    self.counters.duplicates += 1
                    return None
                self.counters.id_resets += 1
            elif trade.first_trade_id > last_id + 1:
                self.counters.gaps += 1
                self.counters.missed_trades += trade.first_trade_id - last_id - 1
        symbol.last_trade_id = trade.last_trade_id
        symbol.last_trade_ts_ms = trade.ts_ms
        symbol.tick_seq += 1
        self.counters.ticks += 1
        payload = (
            f'{{"symbol":"{symbol.name}","price":{trade.price},"volume":{trade.volume},"side":"{trade.side}",'
            f'"ts":{trade.ts_ms},"id":{trade.id},"seq":{symbol.tick_seq}}}'
        )
        return symbol.tick_topic, symbol.tick_seq, payload.encode()

    def book(self, ticker: BookTicker, now_s: float, now_ms: int) -> Event | None:
        """Return the best bid and ask of a book ticker, or ``None`` for an old one or a symbol that is not ours.

        Payload: ``{"symbol","bid","bid_volume","ask","ask_volume","received_ts","id","seq"}``; ``received_ts`` is the feed's
        own time in ms, since the exchange gives none.
        """
        symbol = self._by_name.get(ticker.symbol)
        if symbol is None:
            self.counters.unknown_symbols += 1
            return None
        symbol.last_book_s = now_s
        if symbol.last_update_id is not None and ticker.update_id <= symbol.last_update_id:
            self.counters.duplicates += 1
            return None
        symbol.last_update_id = ticker.update_id
        symbol.book_seq += 1
        self.counters.books += 1
        payload = (
            f'{{"symbol":"{symbol.name}","bid":{ticker.bid},"bid_volume":{ticker.bid_volume},"ask":{ticker.ask},'
            f'"ask_volume":{ticker.ask_volume},"received_ts":{now_ms},"id":{ticker.update_id},"seq":{symbol.book_seq}}}'
        )
        return symbol.book_topic, symbol.book_seq, payload.encode()

    def stale(self, now_s: float, after_s: float) -> list[str]:
        """Return the symbols of which a stream is silent, in configured order.

        Best prices are silent after ``after_s`` seconds, trades after ten times that: a market may well quote and not trade.
        """
        return [
            symbol.name
            for symbol in self._by_name.values()
            if now_s - symbol.last_book_s > after_s or now_s - symbol.last_tick_s > TRADES_STALE_FACTOR * after_s
        ]
