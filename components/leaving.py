"""What the processes of a node do together when it leaves.

Who is asked that the node leave has all router workers drain. The node's own components in container workers leave with their
router: a controller that is sent SIGTERM sends it to all workers at once (``components.router.drain.node_link``), and what
feeds a router has to go on while that drains, and ends when the connection to it does.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from autobahn.wamp import ApplicationError
from twisted.internet.defer import DeferredList

from components.uris import ERROR_NO_SUCH_PROCEDURE

DRAIN = "drain"
"""The last part of the procedure's URI by which a router worker is asked to drain, in the node's own realm."""


async def drain_all(call: Callable[..., Any], workers: Sequence[str], *arguments: Any) -> dict[str, str]:
    """Have router workers drain, and return when they have; ``call`` is a session's of the node's own realm.

    Return why those did not that should have, by worker. One without the drain component has nothing to do.
    """
    calls = [call(f"crossbar.worker.{worker}.{DRAIN}", *arguments) for worker in workers]
    problems = {}
    for worker, (done, result) in zip(workers, await DeferredList(calls, consumeErrors=True), strict=True):
        if not done:
            error = result.value
            if not (isinstance(error, ApplicationError) and error.error == ERROR_NO_SUCH_PROCEDURE):
                problems[worker] = str(error)
    return problems


class StaysWithRouter:
    """Whether this process goes on when it is sent SIGTERM; of its main thread, one per process."""

    def __init__(self, on_asked: Callable[[], None]) -> None:
        """``on_asked`` is called from the signal's handler: the node ends, and this process with its router."""
        self._on_asked = on_asked
        self._before: Any = None
        self._stays = False

    def begin(self) -> None:
        """Go on: the router has taken the component in."""
        if not self._stays:
            self._before = signal.signal(signal.SIGTERM, self._passed_over)
            self._stays = True

    def end(self) -> None:
        """End as any other process: the router has gone."""
        if self._stays:
            signal.signal(signal.SIGTERM, self._before)
            self._stays = False

    def _passed_over(self, _number: int, _frame: FrameType | None) -> None:
        """Stay, other than by SIG_IGN, which a child would inherit."""
        self._on_asked()
