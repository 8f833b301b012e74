"""How much may be done in a time: so many at once, and so many a second after that. Pure; times come in as arguments."""

from __future__ import annotations


class TokenBucket:
    """Holds up to ``burst`` tokens, full at first, and gets ``rate`` more each second."""

    __slots__ = ("_at_s", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: float, now_s: float) -> None:
        """``rate`` in tokens per second, ``burst`` at least 1; ``now_s`` is a time that never goes back."""
        self.rate = rate
        self.burst = burst
        self._tokens = burst
        self._at_s = now_s

    def take(self, now_s: float, number: int = 1) -> int:
        """Take up to ``number`` tokens; return how many there were."""
        tokens = self._tokens + (now_s - self._at_s) * self.rate
        if tokens > self.burst:
            tokens = self.burst
        self._at_s = now_s
        taken = number if tokens >= number else int(tokens)
        self._tokens = tokens - taken
        return taken

    def left(self, now_s: float) -> float:
        """Return how many tokens there are."""
        return min(self._tokens + (now_s - self._at_s) * self.rate, self.burst)

    def wait_s(self, now_s: float) -> float:
        """Return how long it is until there is one."""
        return max(0.0, 1.0 - self.left(now_s)) / self.rate

    def lower_to(self, tokens: float) -> None:
        """Have no more than so many tokens."""
        self._tokens = min(self._tokens, tokens)

    def give_back(self, number: int) -> None:
        """Return tokens that were taken and not used."""
        self._tokens = min(self._tokens + number, self.burst)
