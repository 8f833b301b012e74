"""What is told of refusals, which come by the thousand: when a line of the log is due, and which causes it names. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

LOG_INTERVAL_S = 60.0
"""Between two lines that say that there are refusals, and between two that say that they are over."""

QUIET_S = 5.0
"""Without a refusal for so long, they are over."""

MAX_NAMED = 3
"""Of causes, in one text."""


class Told(Enum):
    """What a line is to say."""

    REFUSES = "refuses"
    OVER = "over"


class RefusalLines:
    """When to log how many refusals there have been: at the first, once a minute while they last, and when they are over.

    A number that has not been logged yet is so a minute after the last line at the latest.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._changed_s = 0.0
        self._logged = 0
        self._logged_s: float | None = None
        self._over_s: float | None = None

    def due(self, total: int, now_s: float) -> Told | None:
        """Return which line is due, which counts as logged then; ``total`` only grows, ``now_s`` never goes back."""
        if total != self._seen:
            self._seen, self._changed_s = total, now_s
        if total == self._logged:
            return None
        quiet = now_s - self._changed_s >= QUIET_S
        if quiet and (self._over_s is None or now_s - self._over_s >= LOG_INTERVAL_S):
            self._over_s = now_s
            told = Told.OVER
        elif self._logged_s is None or now_s - self._logged_s >= LOG_INTERVAL_S:
            told = Told.REFUSES
        else:
            return None
        self._logged, self._logged_s = total, now_s
        return told


def by_cause(counts: Mapping[str, int], most: int | None = None) -> str:
    """Return the causes that have any with their counts, the most frequent first: ``"9 by a, 2 by b"``.

    With ``most`` only so many are named, and those left are counted together.
    """
    found = sorted(
        ((number, cause) for cause, number in counts.items() if number), key=lambda each: (-each[0], each[1])
    )
    named = [f"{number} by {cause}" for number, cause in found[:most]]
    left = sum(number for number, _ in found[len(named) :])
    return ", ".join([*named, f"{left} by others"] if left else named)
