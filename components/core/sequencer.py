"""Number each symbol's trades, best prices and statistics, drop what came twice, and count what never came.

Rules:

- ``seq`` starts at 1 per topic and epoch and has no holes: what is dropped here takes no number. Who takes an epoch over from
  another feed goes on from the newest event of each topic, and a symbol that was not followed for a while from its own.
- Trades are known by the exchange's ids, which have no holes in a healthy stream: the trade's, or the aggregate's where the
  stream is ``aggTrade``. An id that was seen is a duplicate, unless the trade happened later than the last one: then the
  exchange began its numbering anew.
- What another feed wrote is known by its payload alone, which has the message's id and not the trades in an aggregate.
  Messages are compared by their ids, therefore; trades that never came are counted by the trades' ids where those are known.
- Best prices are known by their update id, which grows but has holes by nature, and which carries no time. Ids are compared
  among connections that were open at the same time; the first update by a connection that was opened later is taken as it
  is. An id that stays below the newest for ten seconds is of a numbering begun anew.
- Statistics of a day are known by the exchange's time, whatever the connection. A time that stays below the newest for ten
  seconds is of a clock that was set back.

Pure: times come in as arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from components.core.batch import Standing
from components.core.binance import BookTicker, MiniTicker, Trade
from components.core.recent import KeptBook
from components.uris import BOOK_FAMILY, DAY_FAMILY, tick_topic, topic_of

OLDER_NUMBERING_MS = 1000
"""A kept trade that happened so long before the newest one is older, whatever its id."""

RESET_AFTER_S = 10.0
"""Marks of updates that stay below the newest for so long are of a numbering, or a clock, begun anew."""

Event = tuple[str, int, bytes]
"""``(topic, seq, payload as JSON bytes)``, as a batch carries it: a plain tuple, since one is made per message."""

_Whole = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _WrittenTick(msgspec.Struct):
    id: _Whole
    ts: _Whole


class _WrittenBook(msgspec.Struct):
    id: _Whole
    received_ts: _Whole


class _WrittenDay(msgspec.Struct):
    ts: _Whole


_written_tick = msgspec.json.Decoder(_WrittenTick)
_written_book = msgspec.json.Decoder(_WrittenBook)
_written_day = msgspec.json.Decoder(_WrittenDay)


class UnusableStanding(ValueError):
    """A standing from which no feed can go on; the text says what is wrong with it."""


@dataclass(slots=True)
class SequenceCounters:
    """What happened since the feed started; each only grows."""

    ticks: int = 0
    books: int = 0
    day_updates: int = 0
    duplicates: int = 0
    gaps: int = 0
    missed_trades: int = 0
    """Trades that the exchange made and no feed got, over all gaps.

    Of aggregates that are missing where one feed follows another only the number is known: each counts as one.
    """

    id_resets: int = 0
    unknown_symbols: int = 0


@dataclass(slots=True)
class _Updates:
    """A stream of which each update takes the place of the one before, known by a mark that grows: an id, or a time."""

    topic: str
    seq: int = 0
    mark: int | None = None
    """Of the newest; ``None`` where any is newer."""
    below_since_s: float | None = None

    def have(self, mark: int) -> bool:
        """Tell whether this mark, or a greater one, is written."""
        return self.mark is not None and mark <= self.mark

    def are_below_for_long(self, mark: int, now_s: float) -> bool:
        """Tell whether what has come lately had lower marks than the newest, and nothing else."""
        if mark == self.mark:
            return False
        if self.below_since_s is None:
            self.below_since_s = now_s
        return now_s - self.below_since_s >= RESET_AFTER_S


@dataclass(slots=True)
class _Symbol:
    name: str
    tick_topic: str
    book: _Updates
    day: _Updates
    tick_seq: int = 0
    last_id: int | None = None
    """Of the last message: a trade's, or an aggregate's."""
    last_trade_id: int | None = None
    """``None`` as well where another feed wrote the last message."""
    last_trade_ts_ms: int = 0
    was_away: bool = False
    """It was not followed until a moment ago: what lies between its last trade and the next one is not missed."""

    @property
    def has_events(self) -> bool:
        """Tell whether anything of it has been numbered in this epoch."""
        return bool(self.tick_seq or self.book.seq or self.day.seq)

    @classmethod
    def named(cls, name: str) -> _Symbol:
        """Return a symbol of which nothing is written."""
        book, day = (_Updates(topic_of(name, family)) for family in (BOOK_FAMILY, DAY_FAMILY))
        return cls(name, tick_topic(name), book, day)


@dataclass(slots=True)
class Sequencer:
    """Sequences of all symbols of one feed under one epoch."""

    symbols: tuple[str, ...]
    counters: SequenceCounters = field(default_factory=SequenceCounters)
    _by_name: dict[str, _Symbol] = field(init=False, repr=False)
    _resting: dict[str, _Symbol] = field(init=False, repr=False)
    """Symbols that are not followed any more and have had events in this epoch: no more than the exchange has."""

    _written: Mapping[str, tuple[int, bytes]] = field(init=False, repr=False)
    """The newest event of each topic, by what this epoch was continued from."""

    def __post_init__(self) -> None:
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Number everything from 1 again and forget which ids were seen."""
        self._by_name = {name: _Symbol.named(name) for name in self.symbols}
        self._resting, self._written = {}, {}

    def set_symbols(self, symbols: tuple[str, ...]) -> None:
        """Number these from here on, and no others. One that comes back goes on where it was in this epoch.

        What was traded while a symbol was not followed is not missed.
        """
        before, self.symbols = self._by_name, symbols
        self._by_name = {name: before.pop(name) if name in before else self._followed_again(name) for name in symbols}
        for name, symbol in before.items():
            if symbol.has_events:
                symbol.was_away = True
                self._resting[name] = symbol

    def _followed_again(self, name: str) -> _Symbol:
        symbol = self._resting.pop(name, None)
        if symbol is None:
            symbol = _Symbol.named(name)
            symbol.was_away = True
            for stream in (symbol.book, symbol.day):
                stream.seq = self._written.get(stream.topic, (0, b""))[0]
            symbol.tick_seq = self._written.get(symbol.tick_topic, (0, b""))[0]
        return symbol

    def continue_epoch(self, standing: Standing, opened_ms: Mapping[str, int]) -> None:
        """Go on behind what another feed, or this one, has written of an epoch.

        ``opened_ms`` has when each symbol's connection was made, ms since 1970. A symbol that the standing lacks has had no
        event in the epoch, and begins at 1; topics that are not ours are left alone until ``set_symbols`` names them.

        Raises:
            UnusableStanding: a payload is none that a feed writes. Nothing has changed then.
        """
        by_name: dict[str, _Symbol] = {}
        for name in self.symbols:
            symbol = by_name[name] = _Symbol.named(name)
            try:
                if symbol.tick_topic in standing.newest:
                    symbol.tick_seq, payload = standing.newest[symbol.tick_topic]
                    tick = _written_tick.decode(payload)
                    symbol.last_id, symbol.last_trade_ts_ms = tick.id, tick.ts
                if symbol.book.topic in standing.newest:
                    symbol.book.seq, payload = standing.newest[symbol.book.topic]
                    book = _written_book.decode(payload)
                    if opened_ms.get(name, 0) <= book.received_ts:
                        symbol.book.mark = book.id
                if symbol.day.topic in standing.newest:
                    symbol.day.seq, payload = standing.newest[symbol.day.topic]
                    symbol.day.mark = _written_day.decode(payload).ts
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise UnusableStanding(f"the newest event of {name} is not a feed's: {error}") from error
        self._by_name = by_name
        # What rests is in the standing, since it was written.
        self._resting, self._written = {}, standing.newest

    def connection_started(self, names: Iterable[str]) -> None:
        """Take note that symbols come by a connection made anew, after the one before had ended."""
        for name in names:
            self._by_name[name].book.mark = None

    def tick(self, trade: Trade) -> Event | None:
        """Return the tick of a trade, or ``None`` for a duplicate or a symbol that is not ours.

        Payload: ``{"symbol","price","volume","side","ts","id","seq"}``, price and volume with the exchange's digits.
        """
        symbol = self._by_name.get(trade.symbol)
        if symbol is None:
            self._count_unknown(trade.symbol)
            return None
        last_id = symbol.last_id
        if last_id is not None:
            if trade.id <= last_id:
                if trade.ts_ms <= symbol.last_trade_ts_ms:
                    self.counters.duplicates += 1
                    return None
                self.counters.id_resets += 1
            else:
                last_trade_id = symbol.last_trade_id
                missed = trade.id - last_id - 1 if last_trade_id is None else trade.first_trade_id - last_trade_id - 1
                if missed > 0 and not symbol.was_away:
                    self.counters.gaps += 1
                    self.counters.missed_trades += missed
        symbol.was_away = False
        symbol.last_id = trade.id
        symbol.last_trade_id = trade.last_trade_id
        symbol.last_trade_ts_ms = trade.ts_ms
        symbol.tick_seq += 1
        self.counters.ticks += 1
        payload = (
            f'{{"symbol":"{symbol.name}","price":{trade.price},"volume":{trade.volume},"side":"{trade.side}",'
            f'"ts":{trade.ts_ms},"id":{trade.id},"seq":{symbol.tick_seq}}}'
        )
        return symbol.tick_topic, symbol.tick_seq, payload.encode()

    def kept_tick(self, trade: Trade) -> Event | None:
        """Return the tick of a trade that was kept, or ``None`` where it is written already, which is no duplicate to count.

        Kept trades may go back to before the exchange began its numbering anew: their greater ids are not newer.
        """
        symbol = self._by_name.get(trade.symbol)
        if symbol is not None and symbol.last_id is not None:
            older_ms = symbol.last_trade_ts_ms - trade.ts_ms
            if older_ms > OLDER_NUMBERING_MS or (older_ms >= 0 and trade.id <= symbol.last_id):
                return None
        return self.tick(trade)

    def book(self, ticker: BookTicker, now_s: float, now_ms: int) -> Event | None:
        """Return the best bid and ask of a book ticker, or ``None`` for an old one or a symbol that is not ours.

        Payload: ``{"symbol","bid","bid_volume","ask","ask_volume","received_ts","id","seq"}``; ``received_ts`` is the feed's
        own time in ms, since the exchange gives none.
        """
        symbol = self._by_name.get(ticker.symbol)
        if symbol is None:
            self._count_unknown(ticker.symbol)
            return None
        book = symbol.book
        if not self._is_next(book, ticker.update_id, now_s):
            return None
        self.counters.books += 1
        payload = (
            f'{{"symbol":"{symbol.name}","bid":{ticker.bid},"bid_volume":{ticker.bid_volume},"ask":{ticker.ask},'
            f'"ask_volume":{ticker.ask_volume},"received_ts":{now_ms},"id":{ticker.update_id},"seq":{book.seq}}}'
        )
        return book.topic, book.seq, payload.encode()

    def day(self, ticker: MiniTicker, now_s: float) -> Event | None:
        """Return the statistics of a mini ticker, or ``None`` for old ones or a symbol that is not ours.

        Payload: ``{"symbol","last","open","high","low","volume","quote_volume","ts","seq"}``, with the exchange's digits;
        ``ts`` is the exchange's time in ms.
        """
        symbol = self._by_name.get(ticker.symbol)
        if symbol is None:
            self._count_unknown(ticker.symbol)
            return None
        day = symbol.day
        if not self._is_next(day, ticker.ts_ms, now_s):
            return None
        self.counters.day_updates += 1
        payload = (
            f'{{"symbol":"{symbol.name}","last":{ticker.last},"open":{ticker.open},"high":{ticker.high},'
            f'"low":{ticker.low},"volume":{ticker.volume},"quote_volume":{ticker.quote_volume},'
            f'"ts":{ticker.ts_ms},"seq":{day.seq}}}'
        )
        return day.topic, day.seq, payload.encode()

    def _count_unknown(self, name: str) -> None:
        # What the exchange had sent before it heard that a symbol is not wanted any more was asked for.
        if name not in self._resting:
            self.counters.unknown_symbols += 1

    def _is_next(self, updates: _Updates, mark: int, now_s: float) -> bool:
        """Number an update, and tell whether it is to be written; count it where it is not."""
        if updates.have(mark):
            if not updates.are_below_for_long(mark, now_s):
                self.counters.duplicates += 1
                return False
            self.counters.id_resets += 1
        updates.below_since_s = None
        updates.mark = mark
        updates.seq += 1
        return True

    def kept_book(self, kept: KeptBook, now_s: float) -> Event | None:
        """Return best prices that were kept, or ``None`` where these or newer ones are written already."""
        symbol = self._by_name.get(kept.ticker.symbol)
        if symbol is not None and symbol.book.have(kept.ticker.update_id):
            return None
        return self.book(kept.ticker, now_s, kept.received_ms)

    def kept_day(self, ticker: MiniTicker, now_s: float) -> Event | None:
        """Return statistics that were kept, or ``None`` where these or newer ones are written already."""
        symbol = self._by_name.get(ticker.symbol)
        if symbol is not None and symbol.day.have(ticker.ts_ms):
            return None
        return self.day(ticker, now_s)
