"""How many may be in at once, all together and of each key, and how fast those of one key may come. Pure.

Times come in as arguments. Memory is bounded: a key that nobody is in for is forgotten when its rate is back to full.
"""

from __future__ import annotations

from dataclasses import dataclass

from components.core.tally import Tally

MAX_RATED_KEYS = 100_000
"""Of so many keys the rate is known at most; the one that came longest ago is forgotten first."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit by the name that clients, metrics and operators know it by."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Refused:
    """Which limit there is no room in, and when to try again."""

    limit: Bound
    retry_after_s: float
    """0 where it depends on others that leave."""


class Admission:
    """Counts who is in. ``None`` for a limit means none."""

    def __init__(
        self,
        total: Bound | None = None,
        per_key: Bound | None = None,
        rate_per_key: Bound | None = None,
        burst_per_key: int = 1,
    ) -> None:
        """``rate_per_key`` counts in entries per second; up to ``burst_per_key`` may come at once."""
        self._total = total
        self._per_key = per_key
        self._rate = rate_per_key
        # The generic cell rate algorithm: one time per key, at which all that came would have come at the even rate.
        self._interval_s = 0.0 if rate_per_key is None else 1 / rate_per_key.value
        self._tolerance_s = self._interval_s * (burst_per_key - 1)
        self._even_s: dict[str, float] = {}
        self._inside = Tally()
        self.number = 0
        """How many are in."""

    def __getitem__(self, key: str) -> int:
        """Return how many of a key are in."""
        return self._inside[key]

    @property
    def keys_known(self) -> int:
        """Return how many keys take up memory, at most."""
        return len(self._inside) + len(self._even_s)

    def full(self, key: str | None) -> Refused | None:
        """Return the bound on numbers that leaves no room for one more; a key of ``None`` is bound by the total only."""
        if self._total is not None and self.number >= self._total.value:
            return Refused(self._total, 0.0)
        return self.full_of(key)

    def full_of(self, key: str | None) -> Refused | None:
        """Return the bound on one key's number that leaves no room for one more of it."""
        if key is not None and self._per_key is not None and self[key] >= self._per_key.value:
            return Refused(self._per_key, 0.0)
        return None

    def take(self, key: str | None, now_s: float) -> Refused | None:
        """Let one in, or return what forbids it. ``now_s`` is a time that never goes back."""
        refused = self.full(key)
        if refused is None and key is not None and self._rate is not None:
            refused = self._take_rate(self._rate, key, now_s)
        if refused is None:
            self.number += 1
            if key is not None:
                self._inside.add(key)
        return refused

    def release(self, key: str | None) -> None:
        """Let one out that was let in.

        Raises:
            KeyError: none of the key is in.
        """
        if key is not None:
            self._inside.remove(key)
        self.number -= 1

    def _take_rate(self, rate: Bound, key: str, now_s: float) -> Refused | None:
        even_s = max(self._even_s.get(key, now_s), now_s)
        early_s = even_s - now_s - self._tolerance_s
        if early_s > 1e-9:
            return Refused(rate, early_s)
        # Behind all others, so that those in front are the ones to forget.
        self._even_s.pop(key, None)
        self._forget(now_s)
        self._even_s[key] = even_s + self._interval_s
        return None

    def _forget(self, now_s: float) -> None:
        while self._even_s:
            oldest = next(iter(self._even_s))
            if self._even_s[oldest] > now_s and len(self._even_s) < MAX_RATED_KEYS:
                return
            del self._even_s[oldest]
