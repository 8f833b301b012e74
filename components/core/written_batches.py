"""The batches that a writer keeps: what the bus has not confirmed, and of the rest enough to write it again.

A bus may lose what it has confirmed: it fails over to a copy that lags behind, or starts anew from an old dump or empty. Then
the writer writes again from the batch that the bus asks for, or, where that is too long ago, from the first that is kept, with
the newest event of each topic as it stood before it. Pure: times come in.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from components.core.batch import Batch, Standing

EVENT_OVERHEAD_BYTES = 150
"""What a kept event costs beside its payload: a tuple, a ``bytes`` and its place in a list."""


@dataclass(frozen=True, slots=True)
class KeptLimits:
    """Bounds of what is kept."""

    max_bytes: int = 64_000_000
    """Of all batches. What the bus has confirmed goes first; when the rest alone is more, all is given up."""

    max_age_s: float = 60.0
    """How long a confirmed batch is kept: longer than a bus needs to fail over, and its copy lags behind."""


class WrittenBatches:
    """The batches of one epoch, from ``first`` to ``last``."""

    def __init__(self, since: Standing, limits: KeptLimits) -> None:
        """Keep what comes after a standing; that of an epoch to begin has number 0 and no events."""
        self.epoch = since.epoch
        self.confirmed = since.number
        """The last batch that the bus has confirmed."""

        self.size_bytes = 0
        self._limits = limits
        self._before = since.number
        self._newest = dict(since.newest)
        self._kept: deque[tuple[Batch, int, float]] = deque()
        """``(batch, size in bytes, when it was handed over)``."""

    @property
    def first(self) -> int:
        """The number of the first batch that is kept."""
        return self._before + 1

    @property
    def last(self) -> int:
        """The number of the last batch that was handed over."""
        return self._before + len(self._kept)

    @property
    def unconfirmed(self) -> int:
        """How many batches the bus has not confirmed."""
        return self.last - self.confirmed

    def has_after(self, number: int) -> bool:
        """Tell whether everything after that batch is kept."""
        return self._before <= number <= self.last

    def add(self, batch: Batch, now_s: float) -> bool:
        """Keep the next batch; return ``False`` when what is not confirmed is more than there is room for."""
        size = sum(len(payload) for _, _, payload in batch.events) + EVENT_OVERHEAD_BYTES * (len(batch.events) + 1)
        self._kept.append((batch, size, now_s))
        self.size_bytes += size
        self._forget(now_s)
        return self.size_bytes <= self._limits.max_bytes

    def confirm(self, number: int) -> None:
        """Take note that the bus has that batch and all before it."""
        self.confirmed = max(self.confirmed, number)

    def lost_after(self, number: int) -> None:
        """Take note that the bus has no more than that batch and what is before it."""
        self.confirmed = min(self.confirmed, number)

    def get(self, number: int) -> Batch:
        """Return a batch that is kept."""
        return self._kept[number - self._before - 1][0]

    def standing_before(self) -> Standing:
        """Return how things stood before the first batch that is kept."""
        return Standing(self.epoch, self._before, dict(self._newest))

    def _forget(self, now_s: float) -> None:
        kept, newest = self._kept, self._newest
        oldest_s = now_s - self._limits.max_age_s
        while (
            kept
            and self._before < self.confirmed
            and (self.size_bytes > self._limits.max_bytes or kept[0][2] < oldest_s)
        ):
            batch, size, _ = kept.popleft()
            self.size_bytes -= size
            self._before = batch.number
            for topic, seq, payload in batch.events:
                newest[topic] = seq, payload
