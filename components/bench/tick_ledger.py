"""What the ticks of one symbol add up to, as one client got them: merged ones count for all that they stand for.

Pure: takes ticks with exact numbers (``Decimal`` or text), keeps sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from components.bench.errors import BenchError


class LedgerError(BenchError):
    """A tick does not follow the one before it, or does not say how many trades it stands for."""


class TickLedger:
    """The ticks of one symbol after a given ``seq``."""

    def __init__(self, after_seq: int) -> None:
        self.last_seq = after_seq
        self.volume = Decimal(0)
        """Of all trades after ``after_seq`` up to ``last_seq``."""

        self.ticks = 0
        self.merged_ticks = 0

    def take(self, tick: Mapping[str, Any]) -> None:
        """Add the next tick.

        Raises:
            LedgerError: trades are missing before it, it repeats some, or ``merged`` does not fit its numbers.
        """
        seq: int = tick["seq"]
        first_seq: int = tick.get("first_seq", seq)
        merged: int = tick.get("merged", 1)
        if first_seq != self.last_seq + 1:
            raise LedgerError(f"seq {first_seq} came after {self.last_seq}: {dict(tick)}")
        if merged != seq - first_seq + 1:
            raise LedgerError(f"a tick of seq {first_seq} to {seq} says merged {merged}: {dict(tick)}")
        self.last_seq = seq
        self.volume += Decimal(tick["volume"])
        self.ticks += 1
        self.merged_ticks += merged > 1
