"""Whether Redis may throw away what the bus keeps in it, or is full: asked of Redis now and then, since both may change."""

from __future__ import annotations

import re
from typing import Any

from twisted.logger import Logger

from components.bus.redis.link import Connection, RedisRefused
from components.core.redis_address import RedisAddress

LOOK_EVERY_S = 30.0
KEEPS_ALL = "noeviction"
"""The one ``maxmemory-policy`` by which Redis refuses writes when memory is short; every other one deletes keys.

Those named ``volatile-…`` delete keys that expire: the lease is one.
"""

FULL = 0.98
"""Of its memory: it refuses writes at all of it, and uses a little less when it has refused some."""

_POLICY = re.compile(rb"^maxmemory_policy:([a-z-]{1,40})\r?$", re.MULTILINE)
_MEMORY = re.compile(rb"^(maxmemory|used_memory):(\d{1,20})\r?$", re.MULTILINE)


class EvictionWatch:
    """What one side of the bus knows of it; nothing at first."""

    def __init__(self, reactor: Any, address: RedisAddress, log: Logger) -> None:
        self._reactor = reactor
        self._address = address
        self._log = log
        self._policy: str | None = None
        self._memory = (0, 0)
        """Bytes that Redis uses, and may use at most; 0 where it does not say, or has no bound."""

        self._due_s = 0.0

    def warnings(self) -> list[str]:
        """Return what ``warnings`` of reader and writer do."""
        if self._policy in (None, KEEPS_ALL):
            return []
        harm = "may throw away the lead and the newest prices when memory is short"
        return [f"Redis at {self._address} {harm} (its maxmemory-policy is {self._policy}): set it to {KEEPS_ALL}"]

    def shortage(self) -> list[str]:
        """Return what ``BusReader.shortage`` does."""
        used, most = self._memory
        if not most or used < FULL * most:
            return []
        return [
            f"Redis at {self._address} is full, and refuses what feeds write: it uses {_mb(used)} of {_mb(most)} MB"
        ]

    async def look(self, connection: Connection, *, at_once: bool = False) -> None:
        """Ask Redis, if that is due or to be done ``at_once``, and log what has changed.

        Raises:
            RedisUnavailable: the connection has ended.
        """
        if not at_once and self._reactor.seconds() < self._due_s:
            return
        self._due_s = self._reactor.seconds() + LOOK_EVERY_S
        before = self._policy
        self._policy, self._memory = await _said(connection)
        if self._policy == before:
            return
        if warnings := self.warnings():
            self._log.warn("{warning}", warning=warnings[0])
        elif before is not None and self._policy == KEEPS_ALL:
            self._log.info("Redis at {address} no longer throws away keys", address=str(self._address))


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f}"


async def _said(connection: Connection) -> tuple[str | None, tuple[int, int]]:
    """Return Redis' policy, and the bytes that it uses and may use.

    ``None`` and 0 where it does not say, such as to users who may not ask.
    """
    try:
        said: bytes = await connection.command("INFO", "memory")
    except RedisRefused:
        return None, (0, 0)
    found = _POLICY.search(said)
    memory = {name: int(size) for name, size in _MEMORY.findall(said)}
    policy = None if found is None else found[1].decode()
    return policy, (memory.get(b"used_memory", 0), memory.get(b"maxmemory", 0))
