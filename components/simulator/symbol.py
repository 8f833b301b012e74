"""One simulated instrument: its price walk, order book, ids and minute bar, and the frames made of them.

Pure: random bits and times (ms) come in, bytes go out. Everything is counted in whole ticks and steps, so prices are
on the exchange's grid and no digit passes through a float. Each frame has the fields, order and eight decimals of
Binance's spot streams.
"""

from __future__ import annotations

from collections import deque

from components.instruments import Instrument
from components.simulator.amounts import UNIT, Bar, eight_decimals, scaled
from components.simulator.past import past_hours

Frame = tuple[str, bytes]
"""Stream name and payload; a plain tuple because one is made per trade, up to 50,000 a second."""

MINUTE_MS = 60_000
LEVELS = 10
"""Price levels the book holds on each side."""

_ORDER_NOTIONAL = 400
_STEP_PER_MILLION = 30
_PULL = 512
_DAY_HOURS = 24


class SimulatedSymbol:
    """An instrument whose trades are decided by the random bits it is given, and by nothing else."""

    __slots__ = (
        "_agg_format",
        "_book_format",
        "_depth_seen",
        "_depth_seen_id",
        "_gap",
        "_hour",
        "_hours",
        "_move_chance",
        "_move_range",
        "_name",
        "_salt",
        "_spread",
        "_start",
        "_step",
        "_tick",
        "_trade_format",
        "_typical",
        "agg_id",
        "ask_steps",
        "bid",
        "bid_steps",
        "changed",
        "instrument",
        "minute",
        "stream",
        "trade_id",
        "update_id",
        "wants_agg",
        "wants_book",
        "wants_trade",
    )

    def __init__(self, instrument: Instrument, salt: int, trades_per_hour: int) -> None:
        """Set the walk to its start; ``salt`` (32 random bits) decides first ids, the book's depth and the day before.

        That day had some ``trades_per_hour`` trades an hour.
        """
        self.instrument = instrument
        self._tick = scaled(instrument.tick_size)
        self._step = scaled(instrument.step_size)
        price = scaled(instrument.price)
        self._start = price // self._tick
        self._salt = salt
        self._spread = max(1, self._start // 200_000)
        self._gap = max(1, self._start // 20_000)
        self._typical = max(1, _ORDER_NOTIONAL * UNIT * UNIT // (price * self._step))
        # A trade moves the price by about 30 millionths; where a tick is coarser than that, only now and then.
        millionths = self._start * _STEP_PER_MILLION
        self._move_range = max(1, 2 * millionths // 1_000_000)
        self._move_chance = min(65_536, millionths * millionths * 65_536 // 10**12)

        self.bid = self._start
        self.bid_steps = self.ask_steps = self._typical
        self.trade_id = 1_000_000 + salt % 1_000_000_000
        self.agg_id = self.trade_id // 2
        self.update_id = self.trade_id * 3
        self.minute = Bar(self.bid, self.bid, self.bid, self.bid)
        self._hour = Bar(self.bid, self.bid, self.bid, self.bid)
        past_steps = trades_per_hour * (1 + self._typical)
        past = past_hours(salt, self.bid, past_steps, _DAY_HOURS - 1)
        self._hours: deque[Bar] = deque(past, maxlen=_DAY_HOURS - 1)
        self.changed = False
        self._depth_seen: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self._depth_seen_id = 0

        self.wants_trade = self.wants_agg = self.wants_book = False
        symbol = instrument.symbol.encode()
        lower = instrument.symbol.lower()
        self.stream = {kind: f"{lower}@{kind}" for kind in KINDS}
        self._name = symbol
        self._trade_format = (
            b'{"e":"trade","E":%%d,"s":"%b","t":%%d,"p":"%%b","q":"%%d.%%08d","T":%%d,"m":%%b,"M":true}' % symbol
        )
        self._agg_format = (
            b'{"e":"aggTrade","E":%%d,"s":"%b","a":%%d,"p":"%%b","q":"%%b","f":%%d,"l":%%d,"T":%%d,"m":%%b,"M":true}'
            % symbol
        )
        self._book_format = b'{"u":%%d,"s":"%b","b":"%%b","B":"%%b","a":"%%b","A":"%%b"}' % symbol

    def trade(self, bits: int, time_ms: int, frames: list[Frame]) -> int:
        """Let one taker order trade (one to three trades), move the book, append the wanted frames.

        ``bits`` are 56 random bits. Returns how many trades it made.
        """
        fills = _FILLS[bits & 15]
        buyer_is_maker = bits & 16
        move = (bits >> 5) & 0xFFFF
        direction = (bits >> 21) & 0xFFFF
        size = (bits >> 37) & 1023
        weight = (bits >> 47) & 511
        ticks = self.bid if buyer_is_maker else self.bid + self._spread
        step, typical, first_id = self._step, self._typical, self.trade_id + 1
        price = b"%d.%08d" % divmod(ticks * self._tick, UNIT) if self.wants_trade or self.wants_agg else b""
        maker = b"true" if buyer_is_maker else b"false"
        total = 0
        for fill in range(fills):
            steps = 1 + (typical * ((size + 341 * fill) & 1023) * weight >> 17)
            total += steps
            if self.wants_trade:
                whole, rest = divmod(steps * step, UNIT)
                frames.append(
                    (
                        self.stream["trade"],
                        self._trade_format % (time_ms, first_id + fill, price, whole, rest, time_ms, maker),
                    )
                )
        self.trade_id += fills
        self.agg_id += 1
        if self.wants_agg:
            quantity = eight_decimals(total * step)
            frames.append(
                (
                    self.stream["aggTrade"],
                    self._agg_format % (time_ms, self.agg_id, price, quantity, first_id, self.trade_id, time_ms, maker),
                )
            )
        self._count(ticks, total, fills, first_id, taker_buys=not buyer_is_maker)
        self._move_book(move, direction)
        if self.wants_book:
            frames.append((self.stream["bookTicker"], self.book_ticker()))
        return fills

    def _count(self, ticks: int, steps: int, trades: int, first_id: int, *, taker_buys: bool) -> None:
        bar = self.minute
        if not bar.trades:
            bar.open = bar.high = bar.low = ticks
            bar.first_id = first_id
        elif ticks > bar.high:
            bar.high = ticks
        elif ticks < bar.low:
            bar.low = ticks
        turnover = ticks * steps
        bar.close = ticks
        bar.volume += steps
        bar.turnover += turnover
        bar.trades += trades
        if taker_buys:
            bar.taker_volume += steps
            bar.taker_turnover += turnover
        self.changed = True

    def _move_book(self, move: int, direction: int) -> None:
        if move < self._move_chance:
            distance = 1 + (direction * self._move_range >> 16)
            # The further from its start, the likelier the price turns back: it never runs away or reaches zero.
            if (direction * 40_503) & 0xFFFF < 32_768 + (self._start - self.bid) * _PULL // self._start:
                self.bid += distance
            else:
                self.bid = max(1, self.bid - distance)
        self.bid_steps = 1 + (self._typical * move >> 13)
        self.ask_steps = 1 + (self._typical * direction >> 13)
        self.update_id += 1

    def book_ticker(self) -> bytes:
        """Return the ``@bookTicker`` payload: best bid and ask."""
        ask = self.bid + self._spread
        return self._book_format % (
            self.update_id,
            b"%d.%08d" % divmod(self.bid * self._tick, UNIT),
            b"%d.%08d" % divmod(self.bid_steps * self._step, UNIT),
            b"%d.%08d" % divmod(ask * self._tick, UNIT),
            b"%d.%08d" % divmod(self.ask_steps * self._step, UNIT),
        )

    def close_minute(self, end_ms: int, frames: list[Frame] | None) -> None:
        """Start the next minute at ``end_ms``; with ``frames``, append the closed bar's kline."""
        if frames is not None:
            frames.append((self.stream["kline_1m"], self.kline(end_ms, end_ms - MINUTE_MS, closed=True)))
        self._hour.include(self.minute)
        close = self.minute.close
        self.minute = Bar(close, close, close, close)
        if end_ms % (60 * MINUTE_MS) == 0:
            self._hours.append(self._hour)
            self._hour = Bar(close, close, close, close)

    def kline(self, time_ms: int, open_ms: int, *, closed: bool = False) -> bytes:
        """Return the ``@kline_1m`` payload of the running minute, which began at ``open_ms``."""
        bar = self.minute
        return (
            b'{"e":"kline","E":%d,"s":"%b","k":{"t":%d,"T":%d,"s":"%b","i":"1m","f":%d,"L":%d,"o":"%b","c":"%b",'
            b'"h":"%b","l":"%b","v":"%b","n":%d,"x":%b,"q":"%b","V":"%b","Q":"%b","B":"0"}}'
        ) % (
            time_ms,
            self._name,
            open_ms,
            open_ms + MINUTE_MS - 1,
            self._name,
            bar.first_id,
            self.trade_id if bar.trades else -1,
            self._price(bar.open),
            self._price(bar.close),
            self._price(bar.high),
            self._price(bar.low),
            self._quantity(bar.volume),
            bar.trades,
            b"true" if closed else b"false",
            self._turnover(bar.turnover),
            self._quantity(bar.taker_volume),
            self._turnover(bar.taker_turnover),
        )

    def mini_ticker(self, time_ms: int) -> bytes:
        """Return the ``@miniTicker`` payload over the last 24 h; that window moves on by whole hours."""
        day: Bar | None = None
        for bar in (*self._hours, self._hour, self.minute):
            if day is None:
                day = Bar(bar.open, bar.high, bar.low, bar.close, bar.volume, bar.turnover)
            else:
                day.include(bar)
        if day is None:
            raise AssertionError("a symbol always has a running minute")
        return b'{"e":"24hrMiniTicker","E":%d,"s":"%b","c":"%b","o":"%b","h":"%b","l":"%b","v":"%b","q":"%b"}' % (
            time_ms,
            self._name,
            self._price(day.close),
            self._price(day.open),
            self._price(day.high),
            self._price(day.low),
            self._quantity(day.volume),
            self._turnover(day.turnover),
        )

    def book(self) -> tuple[dict[int, int], dict[int, int]]:
        """Return bids and asks: quantity in steps by price in ticks, best first."""
        bids, asks = {self.bid: self.bid_steps}, {self.bid + self._spread: self.ask_steps}
        below = (self.bid - 1) // self._gap * self._gap
        above = ((self.bid + self._spread) // self._gap + 1) * self._gap
        for level in range(LEVELS - 1):
            if (price := below - level * self._gap) > 0:
                bids[price] = self._resting(price)
            asks[above + level * self._gap] = self._resting(above + level * self._gap)
        return bids, asks

    def _resting(self, ticks: int) -> int:
        return 1 + (self._typical * (((ticks ^ self._salt) * 2_654_435_761 >> 7) & 1023) >> 7)

    def watch_depth(self) -> None:
        """Begin the depth stream: the next update tells what changed from here on."""
        self._depth_seen, self._depth_seen_id = self.book(), self.update_id

    def depth_update(self, time_ms: int) -> bytes | None:
        """Return the ``@depth@100ms`` payload of what changed since the last one, or ``None`` if nothing did."""
        if self.update_id == self._depth_seen_id:
            return None
        before, book = self._depth_seen, self.book()
        payload = b'{"e":"depthUpdate","E":%d,"s":"%b","U":%d,"u":%d,"b":[%b],"a":[%b]}' % (
            time_ms,
            self._name,
            self._depth_seen_id + 1,
            self.update_id,
            self._levels(_difference(before[0], book[0])),
            self._levels(_difference(before[1], book[1])),
        )
        self._depth_seen, self._depth_seen_id = book, self.update_id
        return payload

    def depth_snapshot(self) -> bytes:
        """Return the whole book in the form of the exchange's ``GET /api/v3/depth``."""
        bids, asks = self.book()
        return b'{"lastUpdateId":%d,"bids":[%b],"asks":[%b]}' % (
            self.update_id,
            self._levels(bids),
            self._levels(asks),
        )

    def _levels(self, levels: dict[int, int]) -> bytes:
        return b",".join(
            b'["%b","%b"]' % (self._price(ticks), self._quantity(steps)) for ticks, steps in levels.items()
        )

    def _price(self, ticks: int) -> bytes:
        return eight_decimals(ticks * self._tick)

    def _quantity(self, steps: int) -> bytes:
        return eight_decimals(steps * self._step)

    def _turnover(self, ticks_times_steps: int) -> bytes:
        return eight_decimals(ticks_times_steps * self._tick * self._step // UNIT)


KINDS = ("trade", "aggTrade", "bookTicker", "miniTicker", "kline_1m", "depth@100ms")
"""The streams a simulated symbol has."""

_FILLS = (3, 2, 2, *([1] * 13))


def _difference(before: dict[int, int], after: dict[int, int]) -> dict[int, int]:
    gone = {price: 0 for price in before if price not in after}
    return gone | {price: steps for price, steps in after.items() if before.get(price) != steps}
