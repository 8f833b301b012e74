"""The node's own realm, in which its workers and its controller speak with each other: how a router worker asks the others.

Of the seam: this touches Crossbar's private names. Written against crossbar 26.10.1, with ``drain/node_link.py``, whose test
fails loudly when an upgrade moves something. No client is in that realm: its transports are pipes between the node's processes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from autobahn.wamp import ApplicationError
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from components.uris import ERROR_NO_SUCH_PROCEDURE

ANSWER_TIME_S = 2.0
"""How long a worker may take to answer."""

MAX_UNANSWERED = 16
"""A worker that stands still is asked nothing more while so many questions wait for it."""

CONTROLLER = "controller"
"""Named among those that have not answered, where the controller does not say which workers there are."""


class Unanswered(Exception):
    """It did not answer in time, or cannot."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the node's router workers say."""

    by_worker: dict[str, Any]
    """By their ids, this worker's own the first."""

    unanswered: list[str]
    """Those that did not answer."""


def management_of(session: Any) -> Any:
    """Return the worker's session in the node's own realm; ``session`` is that of an in-router component."""
    return session._transport._router._realm.controller


class NodeRealm:
    """One per component that asks."""

    life_log: ClassVar[Logger] = Logger()

    def __init__(self, session: Any, clock: Any) -> None:
        """``session`` is that of an in-router component, ``clock`` the reactor."""
        self._management = management_of(session)
        self._clock = clock
        self._answer: Callable[..., Any] = _nothing
        self._waiting: Counter[str] = Counter()
        """Questions that have not been answered, in time or at all, by procedure."""

    @property
    def node_name(self) -> str:
        """The node's name, Crossbar's id of it."""
        return str(self._management._node_id)

    @property
    def worker_id(self) -> str:
        """This worker's id in the node's configuration."""
        return str(self._management._worker_id)

    async def offer(self, name: str, answer: Callable[..., Any]) -> None:
        """Let all router workers of the node ask for something by its name."""
        self._answer = answer
        await self._management.register(answer, f"{self._management._uri_prefix}.{name}")

    async def ask_all(self, name: str, *arguments: Any) -> Answers:
        """Ask all router workers of the node for what they offer by a name, this one too.

        Raises:
            ApplicationError: this worker itself refuses.
        """
        own = await maybeDeferred(self._answer, *arguments)
        by_worker, unanswered = {self.worker_id: own}, []
        try:
            workers = await self._ask("crossbar.get_workers", ["router"])
        except Unanswered:
            return Answers(by_worker, [CONTROLLER])
        others = [worker for worker in workers if worker != self.worker_id]
        asked = [self._ask(f"crossbar.worker.{worker}.{name}", *arguments) for worker in others]
        for worker, (answered, answer) in zip(others, await DeferredList(asked, consumeErrors=True), strict=True):
            if answered:
                by_worker[worker] = answer
            else:
                unanswered.append(worker)
                if not answer.check(Unanswered):
                    self.life_log.failure("worker {worker} cannot answer", failure=answer, worker=worker)
        return Answers(by_worker, unanswered)

    def _ask(self, procedure: str, *arguments: Any) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred()
        if self._waiting[procedure] >= MAX_UNANSWERED:
            answer.errback(Unanswered(procedure))
            return answer
        self._waiting[procedure] += 1
        # Not cancelled: Autobahn takes an answer that crosses its cancelling for a breach of WAMP, and ends the connection.
        timer = self._clock.callLater(ANSWER_TIME_S, self._give_up, answer, procedure)
        # It raises where the pipe to the controller is broken: that is an answer too, or the question would count for ever.
        asked = maybeDeferred(self._management.call, procedure, *arguments)
        asked.addBoth(partial(self._answered, answer, timer, procedure))
        return answer

    def _give_up(self, answer: Deferred[Any], procedure: str) -> None:
        answer.errback(Unanswered(procedure))

    def _answered(self, answer: Deferred[Any], timer: Any, procedure: str, result: Any) -> None:
        self._waiting[procedure] -= 1
        if not self._waiting[procedure]:
            del self._waiting[procedure]
        if answer.called:
            return
        timer.cancel()
        error = result.value if isinstance(result, Failure) else None
        if isinstance(error, ApplicationError) and error.error == ERROR_NO_SUCH_PROCEDURE:
            # It starts, or ends.
            result = Failure(Unanswered(procedure))
        answer.callback(result)


def _nothing(*_arguments: Any) -> None:
    """Answer for what has not been offered."""
