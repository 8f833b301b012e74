"""Keeps the attackers from eating the machine that they share with honest clients and the node."""

from __future__ import annotations

import asyncio
import time

MIN_WAIT_S = 0.005
BURST_S = 0.2
"""So much of its share the process may use at once."""


class Governor:
    """Bounds the bytes and connections that all attackers of this process make together, and the CPU time that it uses."""

    def __init__(self, bytes_per_s: float, connections_per_s: float, cpu_share: float) -> None:
        """``cpu_share`` is of one core."""
        self.sent_bytes = 0
        self._per_s = {"bytes": bytes_per_s, "connections": connections_per_s, "cpu": cpu_share}
        self._left = {name: rate * BURST_S for name, rate in self._per_s.items()}
        self._looked_s = time.monotonic()
        self._used_s = time.process_time()
        self._turn = asyncio.Lock()

    async def leave_to_send(self, size: int) -> None:
        """Wait until ``size`` bytes may be sent."""
        await self._leave("bytes", size)
        self.sent_bytes += size

    async def leave_to_connect(self) -> None:
        """Wait until a connection may be made."""
        await self._leave("connections", 1)

    async def _leave(self, name: str, number: int) -> None:
        # One by one: if hundreds looked at the time, that alone would use up the share.
        async with self._turn:
            while (wait_s := max(self._wait_s(name), self._wait_s("cpu"))) > 0:  # noqa: ASYNC110 - for time to pass
                await asyncio.sleep(max(wait_s, MIN_WAIT_S))
            self._left[name] -= number

    def _wait_s(self, name: str) -> float:
        """Return after what time it is worth asking again; 0: something is left."""
        now_s, used_s = time.monotonic(), time.process_time()
        passed_s = now_s - self._looked_s
        self._left["cpu"] -= used_s - self._used_s
        for each, rate in self._per_s.items():
            self._left[each] = min(self._left[each] + passed_s * rate, rate * BURST_S)
        self._looked_s, self._used_s = now_s, used_s
        return max(0.0, -self._left[name] / self._per_s[name])
