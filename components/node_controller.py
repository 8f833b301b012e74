"""Crossbar's controller, the first process of a node, for a node that leaves gently; ``crosstick node`` runs it.

Of the seam: this touches Crossbar's private names. Written against crossbar 26.10.1; ``tests/router/drain/test_node_link.py``
fails loudly when an upgrade moves something. What the workers do is ``components.router.drain``'s.

- The first SIGTERM lets all router workers drain, while the feed goes on, and then ends the node with 0.
- The next one, and SIGINT at any time, ends it at once: SIGTERM with 1, SIGINT with 0, as ``crossbar start`` does.
"""

from __future__ import annotations

import signal
from typing import Any, ClassVar

from crossbar.node.controller import NodeController
from crossbar.node.node import Node
from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from components.leaving import drain_all


class LeavingController(NodeController):  # type: ignore[misc]  # Crossbar ships no types
    """Asks the node's router workers to drain before it ends them."""

    life_log: ClassVar[Logger] = Logger()
    _leaves = False
    _shutdown_was_clean: bool | None

    def onJoin(self, details: Any) -> Any:
        return super().onJoin(details).addCallback(self._watch_signals)

    def _watch_signals(self, result: Any) -> Any:
        # In place of Twisted's, which stops the loop; Crossbar's own is for SIGINT.
        signal.signal(signal.SIGTERM, lambda _number, _frame: self._reactor.callFromThread(self._asked_to_leave))
        return result

    def _asked_to_leave(self) -> None:
        if self._leaves:
            self.life_log.warn("asked to leave once more: ending at once")
            self._end(clean=False)
            return
        self._leaves = True
        ensureDeferred(self._leave()).addErrback(self._leave_failed)

    async def _leave(self) -> None:
        workers = self.get_workers(["router"])
        for worker, problem in (await drain_all(self.call, workers)).items():
            self.life_log.error("router worker {worker} did not drain: {problem}", worker=worker, problem=problem)
        self._end(clean=True)

    def _leave_failed(self, failure: Failure) -> None:
        self.life_log.failure("the node cannot leave gently, and ends", failure=failure)
        self._end(clean=False)

    def _end(self, *, clean: bool) -> None:
        if self._shutdown_was_clean is None:
            self._shutdown_was_clean = clean
        self.shutdown()


def install() -> None:
    """Have nodes that this process starts controlled so."""
    Node.NODE_CONTROLLER = LeavingController
