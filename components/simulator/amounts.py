"""Decimal text, whole ticks and steps, and what adds up over a span of time; pure, no floats."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

UNIT = 100_000_000
"""Eight decimals: what the exchange prints."""


def eight_decimals(amount: int) -> bytes:
    """Return ``35280000`` (hundred-millionths) as ``b"0.35280000"``."""
    return b"%d.%08d" % divmod(amount, UNIT)


def scaled(text: str) -> int:
    """Return ``"0.3528"`` as hundred-millionths: ``35280000``."""
    return int(Decimal(text) * UNIT)


@dataclass(slots=True)
class Bar:
    """What happened in a span of time: prices in ticks, volumes in steps, turnover in ticks times steps."""

    open: int
    high: int
    low: int
    close: int
    volume: int = 0
    turnover: int = 0
    trades: int = 0
    first_id: int = -1
    taker_volume: int = 0
    taker_turnover: int = 0

    def include(self, later: Bar) -> None:
        """Extend this bar by the one that follows it; only what a 24 h ticker shows is kept up."""
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.volume += later.volume
        self.turnover += later.turnover
