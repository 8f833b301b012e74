"""Whose turn it is: the worker's time, shared between the connections whose messages wait to be handled.

A client may send thousands of requests at once, each of which takes a while; handled as they are read, they would hold up
everybody's ticks. So in each turn of the reactor part of a millisecond is for clients' messages, and no more: a connection
whose messages are not all handled by then is read from no further until they are, and those that wait take turns, a slice each.
What must not wait, ticks that are due, comes before each slice.

Knows nothing of messages, sockets or Crossbar.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from twisted.logger import Logger

TURN_S = 0.0003
"""For clients' messages in each turn of the reactor, all connections together."""

SLICE_S = 0.0002
"""For one connection, before others that wait have their turn."""


class Waiting(Protocol):
    """A connection whose messages wait."""

    def take_turn(self, until_s: float) -> bool:
        """Handle messages until a time, at least one; return whether more wait."""

    def fail(self) -> None:
        """Be dropped: a message of this connection went wrong in a way that nobody foresaw."""


class Turns:
    """One per worker."""

    log: ClassVar[Logger] = Logger()

    def __init__(self, clock: Any, turn_s: float = TURN_S, slice_s: float = SLICE_S) -> None:
        """``clock`` is the reactor."""
        self._clock = clock
        self._turn_s = turn_s
        self._slice_s = slice_s
        self._waiting: deque[Waiting] = deque()
        self._spent_s = 0.0
        self._next: Any = None
        self._first: list[Callable[[], None]] = []

    def __len__(self) -> int:
        """Return how many connections wait."""
        return len(self._waiting)

    def come_first(self, work: Callable[[], None]) -> None:
        """Have something looked at before each slice; it takes next to no time when there is nothing to do."""
        self._first.append(work)

    def look(self) -> None:
        """Let what comes first have its look, before something that may take a while."""
        for work in self._first:
            work()

    def ready(self, connection: Waiting) -> None:
        """Be told of a connection that has read messages: they are handled at once while there is time in this turn."""
        if self._waiting or self._spent_s >= self._turn_s:
            self._waiting.append(connection)
            self._schedule()
        else:
            self._give(connection)

    def _give(self, connection: Waiting) -> None:
        self._schedule()
        self.look()
        began_s = self._clock.seconds()
        try:
            if connection.take_turn(began_s + self._slice_s):
                self._waiting.append(connection)
        finally:
            self._spent_s += self._clock.seconds() - began_s

    def _schedule(self) -> None:
        # Also where nobody waits: what has been spent is forgotten when the reactor comes round.
        if self._next is None:
            self._next = self._clock.callLater(0, self._begin_turn)

    def _begin_turn(self) -> None:
        self._next = None
        self._spent_s = 0.0
        if self._waiting:
            # Before anything can go wrong: those that wait are read from no further until they have had their turn.
            self._schedule()
        while self._waiting and self._spent_s < self._turn_s:
            connection = self._waiting.popleft()
            try:
                self._give(connection)
            except Exception:
                # Twisted would drop a connection whose read raises; here nobody would.
                self.log.failure("messages of a connection could not be handled; it is dropped")
                connection.fail()
