"""How late an event loop is: a timer that looks at the clock when it fires.

What is late for it is late for every client of the process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from components.core.histogram import Histogram

INTERVAL_S = 0.05
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

BLOCKED_S = 0.5
"""From here on the loop has stood still: who watches prices notices half a second."""

WINDOW_S = 15.0
"""The greatest lag is that of so long at least, so that it is seen by all who ask that often."""


def _tell_nobody(_lag_s: float) -> None:
    """Leave it."""


class LoopLag:
    """One per process."""

    def __init__(self, clock: Any, blocked: Callable[[float], None] = _tell_nobody) -> None:
        """``clock`` is the reactor; ``blocked`` is told of each lag of ``BLOCKED_S`` or more, s."""
        self.histogram = Histogram(BOUNDS_S)
        self.times_blocked = 0
        self._clock = clock
        self._blocked = blocked
        self._due_s = 0.0
        self._call: Any = None
        self._greatest_s = 0.0
        self._greatest_before_s = 0.0
        self._window_until_s = 0.0

    @property
    def greatest_s(self) -> float:
        """The greatest lag of the last ``WINDOW_S`` to twice that."""
        return max(self._greatest_s, self._greatest_before_s)

    def start(self) -> None:
        """Look from here on, until ``stop``."""
        self._window_until_s = self._clock.seconds() + WINDOW_S
        self._wait()

    def stop(self) -> None:
        """Look no more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _wait(self) -> None:
        self._due_s = self._clock.seconds() + INTERVAL_S
        self._call = self._clock.callLater(INTERVAL_S, self._look)

    def _look(self) -> None:
        now_s = self._clock.seconds()
        # The reactor's is the system's clock, which may be set back.
        lag_s = max(now_s - self._due_s, 0.0)
        self.histogram.observe(lag_s)
        if now_s >= self._window_until_s:
            self._greatest_before_s, self._greatest_s = self._greatest_s, 0.0
            self._window_until_s = now_s + WINDOW_S
        self._greatest_s = max(self._greatest_s, lag_s)
        # First, so that an error of who is told ends nothing.
        self._wait()
        if lag_s >= BLOCKED_S:
            self.times_blocked += 1
            self._blocked(lag_s)
