"""Which of the batches in a stream are too old: by notes of what had been written when. Pure: times come in."""

from __future__ import annotations

from collections import deque


class StreamAge:
    """Notes of one writer, as many as were taken within the age; what was written before the first counts as young."""

    def __init__(self, age_s: float) -> None:
        self._age_s = age_s
        self._notes: deque[tuple[float, int, int]] = deque()
        """``(time, epoch, number)``."""

    def written(self, now_s: float, epoch: int, number: int) -> None:
        """Take note that this batch was the last one at this time."""
        self._notes.append((now_s, epoch, number))
        while len(self._notes) > 1 and self._notes[1][0] < now_s - self._age_s:
            self._notes.popleft()

    def too_old(self, now_s: float) -> tuple[int, int] | None:
        """Return ``(epoch, number)`` of a batch before which all are too old; ``None`` if none is known."""
        if not self._notes or self._notes[0][0] >= now_s - self._age_s:
            return None
        _, epoch, number = self._notes[0]
        return epoch, number
