"""How one router worker lets its clients go: who is told when, and when nobody is left. Knows nothing of Crossbar.

In this order:

1. Notice: ``/readyz`` says ``draining``. Connections are accepted and served: whom nobody has told of the node's leaving can do
   nothing better than come, and loses nothing when it is sent on later.
2. The spread: nothing listens any more. The clients are sent away one after the other, evenly, the oldest first, whoever has
   come meanwhile included; each gets what waits for it, then its GOODBYE.
3. Who does not read what waits has ``FLUSH_TIME_S`` after the spread, and then its GOODBYE all the same.
4. Drained: no client is left, or ``LAST_WORDS_S`` have passed in which the GOODBYEs could be sent.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Any, ClassVar

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger

from components.core.closing import CloseReason
from components.core.spread import next_step
from components.router import runtime
from components.router.open_connections import OpenConnections

FLUSH_TIME_S = 2.0
LAST_WORDS_S = 1.5
"""Longer than ``GOODBYE_TIME_S``, after which a connection is aborted."""

LOOK_AGAIN_S = 0.05

SLICE = 50
"""Clients that are told in one turn of the reactor where all are due."""


class Stage(Enum):
    """How far it is."""

    SERVING = "serving"
    NOTICE = "notice"
    SPREAD = "spread"
    LAST_WORDS = "last words"
    DRAINED = "drained"


class Draining:
    """One per router worker; begins once, and does not stop."""

    life_log: ClassVar[Logger] = Logger()

    def __init__(
        self, clock: Any, connections: OpenConnections, stop_listening: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """``clock`` is the reactor."""
        self.stage = Stage.SERVING
        self._clock = clock
        self._connections = connections
        self._stop_listening = stop_listening
        self._told = 0
        self._began_s = 0.0
        self._spread_at_s = 0.0
        self._until_s = 0.0
        """When the spread ends."""
        self._wait: Any = None
        self._waiting: list[Deferred[None]] = []

    def begin(self, notice_s: float, over_s: float) -> Deferred[None]:
        """Let the clients go, or go faster; return what fires when they have gone.

        Asked again, it goes on as it does, unless ``notice_s`` and ``over_s``, counted from now, end sooner.
        """
        drained: Deferred[None] = Deferred()
        if self.stage is Stage.DRAINED:
            drained.callback(None)
            return drained
        self._waiting.append(drained)
        now_s = self._clock.seconds()
        if self.stage is Stage.SERVING:
            self._began_s, self._spread_at_s, self._until_s = now_s, now_s + notice_s, now_s + notice_s + over_s
            self.stage = Stage.NOTICE
            runtime.begin_drain()
            self.life_log.info(
                "draining begins: {clients} clients, told over {over_s:g} s in {notice_s:g} s",
                clients=len(self._connections.clients()),
                over_s=over_s,
                notice_s=notice_s,
            )
            self._wait_for(notice_s, self._end_notice)
        elif now_s + notice_s + over_s < self._until_s:
            self._spread_at_s = min(self._spread_at_s, now_s + notice_s)
            self._until_s = now_s + notice_s + over_s
            if self.stage is Stage.NOTICE:
                self._wait_for(max(self._spread_at_s - now_s, 0.0), self._end_notice)
            elif self.stage is Stage.SPREAD:
                self._wait_for(0.0, self._spread)
        return drained

    @property
    def left_s(self) -> float:
        """How long it is to the end of the spread."""
        return max(self._until_s - float(self._clock.seconds()), 0.0)

    def _wait_for(self, wait_s: float, then: Callable[[], None]) -> None:
        if self._wait is not None and self._wait.active():
            self._wait.cancel()
        self._wait = self._clock.callLater(wait_s, then)

    def _end_notice(self) -> None:
        self.stage = Stage.SPREAD
        ensureDeferred(self._stop_listening()).addErrback(
            lambda failure: self.life_log.failure("a listener cannot be stopped", failure=failure)
        )
        self._tell(1)
        self._spread()

    def _spread(self) -> None:
        left_s = self._until_s - self._clock.seconds()
        if not self._connections.any_left:
            self._drained()
        elif left_s <= 0:
            self._tell(SLICE)
            self._wait_for(0.0, self._spread if self._connections.staying else self._flush)
        else:
            wait_s, number = next_step(self._connections.staying, left_s)
            self._wait_for(wait_s, lambda: self._step(number))

    def _step(self, number: int) -> None:
        self._tell(number)
        self._spread()

    def _tell(self, number: int) -> None:
        for connection in self._connections.take(number):
            self._told += 1
            self._close(connection.part)

    def _close(self, close: Callable[[CloseReason], None]) -> None:
        try:
            close(CloseReason.DRAINING)
        except Exception:
            # The others are to be told all the same.
            self.life_log.failure("a client cannot be told that the node leaves")

    def _flush(self) -> None:
        """Wait for those who have not read what waits for them."""
        self._tell(SLICE)
        if not self._connections.any_left:
            self._drained()
        elif self._clock.seconds() < self._until_s + FLUSH_TIME_S:
            self._wait_for(LOOK_AGAIN_S, self._flush)
        else:
            self.stage = Stage.LAST_WORDS
            for each in self._connections.clients():
                self._close(each.cut)
            self._last_words(self._clock.seconds() + LAST_WORDS_S)

    def _last_words(self, until_s: float) -> None:
        if self._connections.any_left and self._clock.seconds() < until_s:
            self._wait_for(LOOK_AGAIN_S, lambda: self._last_words(until_s))
        else:
            self._drained()

    def _drained(self) -> None:
        self.stage = Stage.DRAINED
        self.life_log.info(
            "drained: {told} clients told in {took_s:.1f} s, {left} connections left",
            told=self._told,
            took_s=self._clock.seconds() - self._began_s,
            left=len(self._connections.clients()),
        )
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)
