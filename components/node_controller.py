"""Crossbar's controller, the first process of a node, for a node that leaves gently; ``crosstick node`` runs it.

Of the seam: this touches Crossbar's private names. Written against crossbar 26.10.1; ``tests/router/drain/test_node_link.py``
fails loudly when an upgrade moves something. What the workers do is ``components.router.drain``'s.

- The first SIGTERM lets all router workers drain, while the feed goes on, and then ends the node with 0.
- The next one, and SIGINT at any time, ends it at once: SIGTERM with 1, SIGINT with 0, as ``crossbar start`` does.
- What of the log it prints, and with ``json_log`` how, is ``components.logs.node_log``'s to say.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any, ClassVar

import txaio
from crossbar.node import main as crossbar_main
from crossbar.node.controller import NodeController
from crossbar.node.node import Node
from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger, globalLogPublisher
from twisted.python.failure import Failure

from components.leaving import drain_all
from components.logs.node_log import NodeLog, NodeText, WithoutEmptyHeading

_log = Logger("components.node")
"""Not by the class's name, which is what Crossbar's own lines have."""


class LeavingController(NodeController):  # type: ignore[misc]  # Crossbar ships no types
    """Asks the node's router workers to drain before it ends them."""

    running: ClassVar[LeavingController | None] = None
    """The one of this process, once it has joined."""

    _leaves = False
    _workers: dict[str, Any]
    _shutdown_was_clean: bool | None

    def onJoin(self, details: Any) -> Any:
        LeavingController.running = self
        _log.info(
            "node starts: Crosstick {crosstick} on Crossbar {crossbar}, in {directory}",
            crosstick=version("crosstick"),
            crossbar=version("crossbar"),
            directory=str(self.cbdir),
        )
        self._reactor.addSystemEventTrigger("after", "shutdown", _log.info, "node has ended")
        return super().onJoin(details).addCallback(self._watch_signals)

    def _watch_signals(self, result: Any) -> Any:
        # In place of Twisted's, which stops the loop; Crossbar's own is for SIGINT.
        signal.signal(signal.SIGTERM, lambda _number, _frame: self._reactor.callFromThread(self._asked_to_leave))
        return result

    def _asked_to_leave(self) -> None:
        if self._leaves:
            _log.warn("asked to leave once more: ending at once")
            self._end(clean=False)
            return
        self._leaves = True
        ensureDeferred(self._leave()).addErrback(self._leave_failed)

    async def _leave(self) -> None:
        workers = self.get_workers(["router"])
        _log.info("asked to leave: {number} router workers drain", number=len(workers))
        for worker, problem in (await drain_all(self.call, workers)).items():
            _log.error("router worker {worker} did not drain: {problem}", worker=worker, problem=problem)
        self._end(clean=True)

    def _leave_failed(self, failure: Failure) -> None:
        _log.failure("the node cannot leave gently, and ends", failure=failure)
        self._end(clean=False)

    def _end(self, *, clean: bool) -> None:
        if self._shutdown_was_clean is None:
            self._shutdown_was_clean = clean
        self.shutdown()


def install(*, json_log: bool = False) -> None:
    """Have nodes that this process starts controlled so."""
    Node.NODE_CONTROLLER = LeavingController
    crossbar_main._start_logging = (
        _start_json_log if json_log else partial(_start_text_log, crossbar_main._start_logging)
    )


def _start_text_log(start_crossbars: Callable[[Any, Any], None], options: Any, reactor: Any) -> None:
    """Let Crossbar's observers print what is wanted of the log."""
    start_crossbars(options, reactor)
    # They stay, other than Crossbar's own, when the reactor has stopped: the last line comes after that.
    observers: list[Any] = globalLogPublisher._observers
    observers[:] = [WithoutEmptyHeading(NodeText(observer)) for observer in observers]


def _start_json_log(options: Any, _reactor: Any) -> None:
    """In place of Crossbar's observers, which print text."""
    txaio.set_global_log_level(options.loglevel)
    # The publisher holds on to what is printed after the reactor has stopped, too.
    observer: Any = WithoutEmptyHeading(NodeLog(_print_line, _worker_of))
    globalLogPublisher.addObserver(observer)
    txaio.start_logging(None, options.loglevel)


def _print_line(line: str) -> None:
    # Not sys.stdout, which is logged itself from here on.
    print(line, file=sys.__stdout__, flush=True)


def _worker_of(pid: int) -> str | None:
    controller = LeavingController.running
    workers = {} if controller is None else controller._workers
    return next((name for name, worker in workers.items() if worker.pid == pid), None)
