"""What waits for the clients of a worker, counted when somebody asks, a part of a millisecond at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from components.core.histogram import Histogram
from components.router.open_connections import OpenConnection, OpenConnections

SLICE_S = 0.0005
"""Of a turn of the reactor: with 10,000 clients nobody's ticks wait longer for it than that."""

LOOK_AFTER = 16
"""Connections between two looks at the clock: some 20 µs."""

BYTES_BOUNDS = (0, 1_024, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216)
ENTRIES_BOUNDS = (0, 1, 10, 100, 1_000, 10_000)


@dataclass(slots=True)
class BufferUsage:
    """Of all clients together; each is an observation of both histograms."""

    bytes: Histogram = field(default_factory=lambda: Histogram(BYTES_BOUNDS))
    entries: Histogram = field(default_factory=lambda: Histogram(ENTRIES_BOUNDS))
    blocked: int = 0
    """Clients whose connections take no more at this moment."""

    def take(self, connection: OpenConnection) -> None:
        """Count a client in."""
        waiting = connection.waiting()
        self.bytes.observe(waiting.bytes)
        self.entries.observe(waiting.entries)
        self.blocked += waiting.is_blocked


class BufferMeasure:
    """Walks the connections of a worker; who asks while it does gets the same."""

    log: ClassVar[Logger] = Logger()

    def __init__(self, clock: Any, connections: OpenConnections) -> None:
        """``clock`` is the reactor."""
        self._clock = clock
        self._connections = connections
        self._left: list[OpenConnection] = []
        self._usage = BufferUsage()
        self._asked: list[Deferred[BufferUsage]] = []

    def measure(self) -> Deferred[BufferUsage]:
        """Return what waits for clients; those that come or go meanwhile may or may not be in it."""
        asked: Deferred[BufferUsage] = Deferred()
        self._asked.append(asked)
        if len(self._asked) == 1:
            self._left, self._usage = self._connections.all(), BufferUsage()
            self._walk()
        return asked

    def _walk(self) -> None:
        until_s = self._clock.seconds() + SLICE_S
        left, usage = self._left, self._usage
        while left:
            for connection in left[-LOOK_AFTER:]:
                try:
                    if not connection.is_internal:
                        usage.take(connection)
                except Exception:
                    # One client that cannot be counted must not leave who asks without an answer.
                    self.log.failure("what waits for a client cannot be told")
            del left[-LOOK_AFTER:]
            if left and self._clock.seconds() >= until_s:
                self._clock.callLater(0, self._walk)
                return
        asked, self._asked = self._asked, []
        for each in asked:
            each.callback(usage)
