"""How one router worker asks all workers of its node the same: over the loopback, on their management ports.

Bounded in time and in what is taken in; who does not answer in time has not answered. Knows nothing of what is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.error import ConnectionAborted
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone
from twisted.web.http_headers import Headers

LOOPBACK = "127.0.0.1"

ANSWER_TIME_S = 1.0
"""From the connection's begin to the end of the answer."""

MAX_ANSWER_BYTES = 4_194_304


class Answered(NamedTuple):
    """What a worker said."""

    worker: int
    """Its number, from 1, in the order of the configuration."""

    status: int
    """HTTP's; 0 where no answer came."""

    body: bytes | None
    """``None`` where none came, none completely, or one that is too long."""


class AnswerTooLong(Exception):
    """An answer has more than ``MAX_ANSWER_BYTES``."""


class Siblings:
    """The workers of a node, this one among them; a node of one worker has no other."""

    log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        reactor: Any = None,
        number: int = 1,
        ports: Sequence[int] = (0,),
        *,
        answer_time_s: float = ANSWER_TIME_S,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        """Be the worker ``number``, from 1, of those whose management ports are ``ports``; its own is never connected to.

        ``reactor`` is needed where there are others.
        """
        self.number = number
        self._ports = tuple(ports)
        self._reactor = reactor
        self._answer_time_s = answer_time_s
        self._max_answer_bytes = max_answer_bytes
        self._silent: set[int] = set()
        """Those that did not answer the last time, so that each silence is logged once."""

        self._agent: Any = None
        if len(self._ports) > 1:
            # A connection for each question: one that is kept may be one that its other side has just ended.
            pool = HTTPConnectionPool(reactor, persistent=False)
            self._agent = Agent(reactor, connectTimeout=answer_time_s, pool=pool)

    @property
    def workers(self) -> int:
        """How many router workers the node has."""
        return len(self._ports)

    async def gather(
        self, path: str, own: tuple[int, bytes], headers: Mapping[str, str] | None = None
    ) -> list[Answered]:
        """Ask all workers with a GET; return what each said, in their order, after a second at most.

        ``path`` begins with a slash and may have a query. ``own`` is what this worker itself says, status and body: nobody asks
        himself over HTTP. ``headers`` go with each request.
        """
        asked = [
            ensureDeferred(self._ask(worker, path, headers or {}))
            for worker in range(1, self.workers + 1)
            if worker != self.number
        ]
        answers: list[Answered] = await gatherResults(asked)
        answers.append(Answered(self.number, *own))
        return sorted(answers)

    async def _ask(self, worker: int, path: str, headers: Mapping[str, str]) -> Answered:
        try:
            answer = ensureDeferred(self._get(self._ports[worker - 1], path, headers))
            status, body = await answer.addTimeout(self._answer_time_s, self._reactor)
        except Exception as error:
            # Whatever it is, the worker has not answered, which is what is asked; why is for the log.
            if worker not in self._silent:
                self._silent.add(worker)
                self.log.warn("router worker {worker} does not answer: {error}", worker=worker, error=_text_of(error))
            return Answered(worker, 0, None)
        self._silent.discard(worker)
        return Answered(worker, status, body)

    async def _get(self, port: int, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        url = f"http://{LOOPBACK}:{port}{path}".encode("ascii")
        asked = Headers({name.encode("ascii"): [value.encode("latin-1")] for name, value in headers.items()})
        response = await self._agent.request(b"GET", url, asked)
        return response.code, await _body_of(response, self._max_answer_bytes)


class _Body(Protocol):
    """Takes the body of an answer in, up to a bound."""

    def __init__(self, max_bytes: int) -> None:
        self.done: Deferred[bytes] = Deferred(lambda _: self._end())
        self._max_bytes = max_bytes
        self._taken: list[bytes] = []
        self._size_bytes = 0

    def dataReceived(self, data: bytes) -> None:
        self._size_bytes += len(data)
        if self._size_bytes > self._max_bytes:
            self._taken.clear()
            self._end()
        else:
            self._taken.append(data)

    def connectionLost(self, reason: Failure = Failure(ConnectionAborted())) -> None:  # noqa: B008  # Twisted's signature
        if self._size_bytes > self._max_bytes:
            self.done.errback(AnswerTooLong(f"more than {self._max_bytes} bytes came"))
        elif reason.check(ResponseDone):
            self.done.callback(b"".join(self._taken))
        else:
            self.done.errback(reason)

    def _end(self) -> None:
        # Nothing is left to be sent, so this ends the connection at once.
        transport: Any = self.transport
        if transport is not None:
            transport.loseConnection()


async def _body_of(response: Any, max_bytes: int) -> bytes:
    body = _Body(max_bytes)
    response.deliverBody(body)
    return await body.done


def _text_of(error: Exception) -> str:
    reasons: list[Failure] = getattr(error, "reasons", [])
    return ", ".join(str(each.value) for each in reasons) or str(error) or type(error).__name__
