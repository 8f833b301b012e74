"""A router worker and the node around it: by which signals and calls a node is asked to leave, and how it ends.

Of the seam: this touches Crossbar's private names. Written against crossbar 26.10.1; ``tests/router/drain/test_node_link.py``
fails loudly when an upgrade moves something.

What Crossbar does by itself: its controller takes SIGINT as a wish, says so on ``crossbar.on_shutdown``, sends all workers
SIGTERM 0.2 s later and exits with 0. SIGTERM stops its loop, which sends all workers SIGTERM at once, kills those that are
there 20 s later, and exits with 1 if no SIGINT comes meanwhile. A worker leaves at once when it gets SIGTERM.

What is done here: each router worker has the procedure ``crossbar.worker.<id>.drain`` in the node's own realm, which no client
reaches; who is asked to leave calls it in all of them, and when all have drained sends the controller SIGINT. A SIGTERM before
which no ``crossbar.on_shutdown`` came is such a wish; behind one it is what it is in Crossbar.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import ceil
from typing import Any, ClassVar

from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from components.leaving import DRAIN, drain_all
from components.router.seam.node_realm import management_of

ON_SHUTDOWN = "crossbar.on_shutdown"

STOPPING_CONTROLLER_S = 16.0
"""A controller that has been sent SIGTERM kills its workers after 20 s."""

EVENT_BEFORE_SIGNAL_S = 0.05
"""A signal may be seen before the event that was sent 0.2 s before it; this gives the loop a turn to read that."""

END_TIME_S = 15.0
"""How long the controller may take to end the node when all workers have drained; then it is killed."""


class NodeLink:
    """One per router worker."""

    life_log: ClassVar[Logger] = Logger()

    def __init__(
        self, session: Any, reactor: Any, drain: Callable[[float | None, float | None], Awaitable[None]]
    ) -> None:
        """``session`` is an in-router component's.

        ``drain(over_s, within_s)`` lets this worker's clients go, all within a time where there is one, and returns when they
        have gone.
        """
        self._management = management_of(session)
        self._reactor = reactor
        self._drain = drain
        self._controller_pid = os.getppid()
        self._leave_at_once: Any = None
        self._node_ends = False
        self._leaving = False

    async def install(self) -> None:
        """Be asked from here on."""
        await self._management.register(self._drain_for_node, f"{self._management._uri_prefix}.{DRAIN}")
        await self._management.subscribe(self._told_of_end, ON_SHUTDOWN)
        self._leave_at_once = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, self._on_signal)

    def leave(self, over_s: float | None, within_s: float | None = None) -> None:
        """Let all router workers of the node drain, then end the node."""
        self._leaving = True
        ensureDeferred(self._leave(over_s, within_s)).addErrback(self._leave_failed)

    async def _leave(self, over_s: float | None, within_s: float | None) -> None:
        workers = await self._management.call("crossbar.get_workers", ["router"])
        for worker, problem in (await drain_all(self._management.call, workers, over_s, within_s)).items():
            self.life_log.error("router worker {worker} did not drain: {problem}", worker=worker, problem=problem)
        self._end_node()

    def _leave_failed(self, failure: Failure) -> None:
        self.life_log.failure("the node cannot leave gently, and ends", failure=failure)
        self._end_node()

    def _end_node(self) -> None:
        self._tell_controller(signal.SIGINT)
        self._reactor.callLater(END_TIME_S, self._tell_controller, signal.SIGKILL)

    def _tell_controller(self, number: signal.Signals) -> None:
        # When it has gone this worker is about to.
        with suppress(ProcessLookupError):
            os.kill(self._controller_pid, number)

    # What the node asks

    async def _drain_for_node(self, over_s: float | None = None, within_s: float | None = None) -> None:
        self._leaving = True
        await self._drain(over_s, within_s)

    def _told_of_end(self, *_info: Any) -> None:
        self._node_ends = True
        if self._leaving:
            # SIGTERM may have been before.
            self._leave_at_once(signal.SIGTERM, None)

    def _on_signal(self, _number: int, _frame: Any) -> None:
        self._reactor.callFromThread(self._reactor.callLater, EVENT_BEFORE_SIGNAL_S, self._asked_by_signal)

    def _asked_by_signal(self) -> None:
        if self._node_ends:
            self._leave_at_once(signal.SIGTERM, None)
        else:
            self.leave(None, STOPPING_CONTROLLER_S)


def set_hard_bound(after_s: float) -> None:
    """Have the system end this process after a time, whatever it does; another bound takes this one's place."""
    signal.alarm(ceil(after_s))
