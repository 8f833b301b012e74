"""What is wrong with a Redis, as one side of the bus sees it: said once in the log, and for as long as it lasts to who asks."""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger

from components.core.redis_address import RedisAddress


class RedisHealth:
    """Begins in trouble: there is no connection yet."""

    def __init__(self, reactor: Any, address: RedisAddress, log: Logger) -> None:
        self._reactor = reactor
        self._address = address
        self._log = log
        self._trouble: str | None = "not connected yet"
        self._since_s: float | None = None
        """When the trouble began; ``None`` before the first connection."""

    def lines(self) -> list[str]:
        """Return what ``troubles`` of reader and writer do."""
        return [] if self._trouble is None else [f"Redis at {self._address}: {self._trouble}"]

    def troubled(self, text: str) -> None:
        """Take note of a trouble."""
        if self._trouble is None:
            self._since_s = self._reactor.seconds()
        if text != self._trouble:
            self._log.warn("Redis at {address}: {trouble}", address=str(self._address), trouble=text)
        self._trouble = text

    def well(self) -> bool:
        """Take note that all is well; return whether it is so again, after a trouble."""
        if self._trouble is None:
            return False
        self._trouble = None
        if self._since_s is None:
            self._log.info("connected to Redis at {address}", address=str(self._address))
            return False
        seconds = self._reactor.seconds() - self._since_s
        self._log.info("Redis at {address} is back after {seconds:.1f} s", address=str(self._address), seconds=seconds)
        return True
