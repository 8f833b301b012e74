"""The simulated market: when which symbol trades, and when the periodic streams are due; pure and repeatable.

Everything follows from seed, rate and start time: the n-th trade happens at its own moment whatever the steps in which
time is told and whoever listens. No clock, no I/O, no global random numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Protocol

from components.instruments import INSTRUMENTS, Instrument
from components.simulator.symbol import MINUTE_MS, Frame, SimulatedSymbol

GRID_MS = 100
"""Pace of ``@depth@100ms``; the other periodic streams and the minute's end fall on this grid too."""

MINI_TICKER_MS = 1_000
KLINE_MS = 2_000


class FrameSource(Protocol):
    """Where a simulated exchange's frames come from: a market of its own, or a recording."""

    def watch(self, stream: str) -> None:
        """Begin to make a stream's frames; a name this source does not know stays silent."""

    def unwatch(self, stream: str) -> None:
        """Make no more frames of a stream."""

    def advance(self, now_ms: int) -> Sequence[Frame]:
        """Return the watched streams' frames up to ``now_ms``, in order."""


class SimulatedMarket:
    """All instruments under one seed; a ``FrameSource``.

    If time is told more than ``max_lag_ms`` late (the process was suspended), the missed time is skipped instead of
    being made up for in one burst; ``skipped_ms`` counts it.
    """

    def __init__(
        self,
        *,
        seed: int,
        rate_per_s: int,
        start_ms: int,
        instruments: Sequence[Instrument] = INSTRUMENTS,
        max_lag_ms: int = 1_000,
    ) -> None:
        """Open the market at ``start_ms`` with ``rate_per_s`` trades a second over all instruments."""
        if not instruments:
            raise ValueError("a market needs at least one instrument")
        if rate_per_s < 1:
            raise ValueError(f"rate_per_s must be >= 1, was {rate_per_s}")
        random = Random(seed)  # noqa: S311  repeatable prices, no secrets
        self._bits = random.getrandbits
        shares = {one.symbol.lower(): max(1, one.activity) for one in instruments}
        trades_per_hour = {name: 3600 * rate_per_s * share // sum(shares.values()) for name, share in shares.items()}
        self.symbols = {
            name: SimulatedSymbol(one, random.getrandbits(32), trades_per_hour[name])
            for name, one in zip(shares, instruments, strict=True)
        }
        self._lottery = [self.symbols[name] for name, share in shares.items() for _ in range(share)]
        self._rate_per_s = rate_per_s
        self._origin_ms = start_ms
        self._trades = 0
        self._now_ms = start_ms
        self._next_grid_ms = start_ms // GRID_MS * GRID_MS + GRID_MS
        self._max_lag_ms = max_lag_ms
        self._depth: dict[str, SimulatedSymbol] = {}
        self._klines: dict[str, SimulatedSymbol] = {}
        self._tickers: dict[str, SimulatedSymbol] = {}
        self.trades_made = 0
        self.skipped_ms = 0

    @property
    def rate_per_s(self) -> int:
        """Trades per second over all instruments."""
        return self._rate_per_s

    @rate_per_s.setter
    def rate_per_s(self, rate_per_s: int) -> None:
        if rate_per_s < 1:
            raise ValueError(f"rate_per_s must be >= 1, was {rate_per_s}")
        self._rate_per_s, self._origin_ms, self._trades = rate_per_s, self._now_ms, 0

    def watch(self, stream: str) -> None:
        """Begin to make a stream's frames; a name this market does not know stays silent."""
        self._want(stream, wanted=True)

    def unwatch(self, stream: str) -> None:
        """Make no more frames of a stream."""
        self._want(stream, wanted=False)

    def _want(self, stream: str, *, wanted: bool) -> None:
        name, _, kind = stream.partition("@")
        symbol = self.symbols.get(name)
        if symbol is None:
            return
        if kind == "trade":
            symbol.wants_trade = wanted
        elif kind == "aggTrade":
            symbol.wants_agg = wanted
        elif kind == "bookTicker":
            symbol.wants_book = wanted
        elif kind == "miniTicker":
            _keep(self._tickers, name, symbol, wanted=wanted)
        elif kind == "kline_1m":
            _keep(self._klines, name, symbol, wanted=wanted)
        elif kind == "depth@100ms":
            if wanted and name not in self._depth:
                symbol.watch_depth()
            _keep(self._depth, name, symbol, wanted=wanted)

    def advance(self, now_ms: int) -> list[Frame]:
        """Let the market run up to ``now_ms``; return the watched frames in order of their time."""
        frames: list[Frame] = []
        if now_ms <= self._now_ms:
            return frames
        if (lag_ms := now_ms - self._now_ms) > self._max_lag_ms:
            self._skip(lag_ms - self._max_lag_ms, frames)
        while self._next_grid_ms <= now_ms:
            self._trade_until(self._next_grid_ms, frames)
            self._close_grid(self._next_grid_ms, frames)
            self._next_grid_ms += GRID_MS
        self._trade_until(now_ms, frames)
        self._now_ms = now_ms
        return frames

    def _skip(self, missed_ms: int, frames: list[Frame]) -> None:
        self.skipped_ms += missed_ms
        self._origin_ms += missed_ms
        self._now_ms += missed_ms
        before_ms = self._next_grid_ms
        self._next_grid_ms = max(before_ms, self._now_ms // GRID_MS * GRID_MS + GRID_MS)
        last_end_ms = (self._next_grid_ms - 1) // MINUTE_MS * MINUTE_MS
        for end_ms in range((before_ms + MINUTE_MS - 1) // MINUTE_MS * MINUTE_MS, last_end_ms + 1, MINUTE_MS):
            self._close_minute(end_ms, frames)

    def _trade_until(self, end_ms: int, frames: list[Frame]) -> None:
        """Make every trade whose time is before ``end_ms``."""
        origin_ms, rate, bits, lottery = self._origin_ms, self._rate_per_s, self._bits, self._lottery
        entries, trades = len(lottery), self._trades
        due = ((end_ms - origin_ms) * rate - 1) // 1000 + 1
        while trades < due:
            chance = bits(72)
            trades += lottery[(chance >> 56) % entries].trade(chance, origin_ms + trades * 1000 // rate, frames)
        self.trades_made += trades - self._trades
        self._trades = trades

    def _close_grid(self, time_ms: int, frames: list[Frame]) -> None:
        for name, symbol in self._depth.items():
            if (update := symbol.depth_update(time_ms)) is not None:
                frames.append((f"{name}@depth@100ms", update))
        if time_ms % MINUTE_MS == 0:
            self._close_minute(time_ms, frames)
        if time_ms % KLINE_MS == 0:
            minute_ms = time_ms // MINUTE_MS * MINUTE_MS
            for symbol in self._klines.values():
                if symbol.minute.trades:
                    frames.append((symbol.stream["kline_1m"], symbol.kline(time_ms, minute_ms)))
        if time_ms % MINI_TICKER_MS == 0:
            for symbol in self._tickers.values():
                if symbol.changed:
                    symbol.changed = False
                    frames.append((symbol.stream["miniTicker"], symbol.mini_ticker(time_ms)))

    def _close_minute(self, end_ms: int, frames: list[Frame]) -> None:
        for name, symbol in self.symbols.items():
            symbol.close_minute(end_ms, frames if name in self._klines else None)


def _keep(watched: dict[str, SimulatedSymbol], name: str, symbol: SimulatedSymbol, *, wanted: bool) -> None:
    if wanted:
        watched[name] = symbol
    else:
        watched.pop(name, None)
