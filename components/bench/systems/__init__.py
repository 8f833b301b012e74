"""The servers that are compared."""

from __future__ import annotations

from components.bench.systems.crossbar import StockCrossbar
from components.bench.systems.crosstick import Crosstick, CrosstickPlain, CrosstickPlainBatched
from components.bench.systems.interface import System
from components.bench.systems.nats import Nats

SYSTEMS: dict[str, type[System]] = {
    "crosstick": Crosstick,
    "crosstick-plain": CrosstickPlain,
    "crosstick-plain-batched": CrosstickPlainBatched,
    "crossbar": StockCrossbar,
    "nats": Nats,
}

__all__ = ["SYSTEMS", "System"]
