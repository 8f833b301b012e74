"""How long to wait before the next attempt: exponential, capped, full jitter, longer after a policy violation.

Pure: randomness comes in as a function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

INITIAL_S = 0.25
CAP_S = 4.5


@dataclass(slots=True)
class Backoff:
    """Delays between connection attempts to one exchange.

    The cap is low enough that an exchange that comes back is found within 5 s, and high enough that two feeds of one address
    stay below the 300 attempts per 5 minutes that Binance allows it. Who keeps several connections multiplies it.
    """

    random: Callable[[], float]
    """Returns a number in [0, 1)."""

    initial_s: float = INITIAL_S
    cap_s: float = CAP_S
    penalty_s: float = 10.0
    """Least wait after the exchange closed for a policy violation; doubled for each one in a row."""

    penalty_cap_s: float = 120.0
    _failures: int = 0
    _violations: int = 0
    _announced: bool = False

    def policy_violation(self) -> None:
        """Take note that the exchange closed with 1008: hasty attempts would end in a ban."""
        self._violations += 1

    def announced(self) -> None:
        """Take note that the exchange announced the end of the connection: the next attempt need not wait."""
        self._announced = True

    def succeeded(self) -> None:
        """Take note that a connection proved good: the next failure is a first one."""
        self._failures = 0
        self._violations = 0

    def next_delay_s(self) -> float:
        """Return the wait before the next attempt, and count the failure that made it necessary."""
        announced, self._announced = self._announced, False
        if announced:
            return 0.0
        failures, self._failures = self._failures, self._failures + 1
        if self._violations:
            least = min(self.penalty_cap_s, self.penalty_s * 2.0 ** min(self._violations - 1, 10))
            return least * (1.0 + 0.25 * self.random())
        most = min(self.cap_s, self.initial_s * 2.0 ** min(failures, 10))
        return most * self.random()
