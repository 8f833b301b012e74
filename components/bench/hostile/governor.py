"""Keeps the attackers from eating the machine that they share with honest clients and the node."""

from __future__ import annotations

import asyncio
import time

BURST_S = 0.2
"""So much of its share the process may use at once."""


class Governor:
    """Bounds the bytes that all attackers of this process send together, and the CPU time that it uses."""

    def __init__(self, bytes_per_s: float, cpu_share: float) -> None:
        """``cpu_share`` is of one core."""
        self.sent_bytes = 0
        self._bytes_per_s = bytes_per_s
        self._cpu_share = cpu_share
        self._bytes_left = bytes_per_s * BURST_S
        self._cpu_left_s = cpu_share * BURST_S
        self._looked_s = time.monotonic()
        self._used_s = time.process_time()

    async def leave_to_send(self, size: int) -> None:
        """Wait until ``size`` bytes may be sent."""
        while (wait_s := self._refill()) > 0:  # noqa: ASYNC110 - what is waited for is the time
            await asyncio.sleep(wait_s)
        self._bytes_left -= size
        self.sent_bytes += size

    def _refill(self) -> float:
        """Return after what time it is worth asking again; 0: both bounds leave something."""
        now_s, used_s = time.monotonic(), time.process_time()
        passed_s = now_s - self._looked_s
        self._bytes_left = min(self._bytes_left + passed_s * self._bytes_per_s, self._bytes_per_s * BURST_S)
        self._cpu_left_s += passed_s * self._cpu_share - (used_s - self._used_s)
        self._cpu_left_s = min(self._cpu_left_s, self._cpu_share * BURST_S)
        self._looked_s, self._used_s = now_s, used_s
        return max(0.0, -self._bytes_left / self._bytes_per_s, -self._cpu_left_s / self._cpu_share)
