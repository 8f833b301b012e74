"""``/metrics``: a worker's own, and those of a node whose workers share a port."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import Any, ClassVar

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET, Request

from components.page import Page
from components.router import runtime
from components.router.metrics.families import Merge, gauge, merged, only_grows, parse
from components.router.metrics.worker import WorkerCollector

MAX_AGE_S = 0.5
"""Who asks more often is given the same again: making the text takes a millisecond or two."""

METRICS_PATH = "/metrics"


class WorkerText:
    """The text of this worker's own metrics, made when somebody asks."""

    def __init__(self) -> None:
        self._collector = WorkerCollector()
        self._registry = CollectorRegistry()
        self._registry.register(self._collector)
        ProcessCollector(registry=self._registry)

    async def make(self) -> bytes:
        """Return the text, after what waits for clients has been counted."""
        worker = runtime.current()
        if worker is not None and worker.figures is not None:
            self._collector.usage = await worker.figures.buffers.measure()
        return generate_latest(self._registry)


class _Merged(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


class NodeText:
    """The text of all of a node's workers, merged."""

    def __init__(self) -> None:
        self._counted: dict[int, list[Metric]] = {}
        """What each worker had counted when it answered last, by its number."""

    async def make(self, own: bytes) -> bytes:
        """Return the text; ``own`` are this worker's metrics.

        Of a worker that does not answer what it had counted stays in the sums, since sums that fall and rise again would be
        taken for new events; how it is nobody knows.
        """
        from twisted.internet import reactor

        siblings = runtime.siblings()
        metrics: list[list[Metric]] = []
        answering = 0
        for answer in await siblings.gather(METRICS_PATH, (200, own)):
            families = _parsed(answer.body) if answer.status == 200 and answer.body is not None else None
            if families is None:
                families = self._counted.get(answer.worker, [])
            else:
                answering += 1
                self._counted[answer.worker] = [family for family in families if only_grows(family)]
            metrics.append(families)
            # To read a worker's text takes milliseconds, which ticks need not wait for times the number of workers.
            await deferLater(reactor, 0)
        node = merged(metrics)
        node.append(gauge("crosstick_workers", "Router workers of this node", siblings.workers, Merge.MAX))
        node.append(
            gauge(
                "crosstick_workers_answering", "Router workers of this node that say how they are", answering, Merge.MAX
            )
        )
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Merged(node))
        return generate_latest(registry)


def _parsed(text: bytes) -> list[Metric] | None:
    """Return the families, ``None`` where a worker's answer is none: then it has not answered."""
    try:
        return parse(text.decode())
    except ValueError:
        return None


class _MetricsPage(Page):
    """Answers with a text that is made at most twice a second, once for all who ask meanwhile."""

    log: ClassVar[Logger] = Logger()

    def __init__(self, _extra: Any = None) -> None:
        super().__init__()
        self._worker_text = WorkerText()
        self._text = b""
        self._until_s = float("-inf")
        self._is_made = False
        """Whether it is being made."""
        self._waiting: list[Request] = []

    @abstractmethod
    async def make(self) -> bytes:
        """Return the text."""

    def answer(self, request: Request) -> bytes | int:
        """Answer in the text format, or 500 where it cannot be made."""
        if time.monotonic() < self._until_s:
            request.setHeader(b"Content-Type", CONTENT_TYPE_LATEST.encode())
            return self._text
        self._waiting.append(request)
        request.notifyFinish().addErrback(self._gone, request)
        if not self._is_made:
            self._is_made = True
            ensureDeferred(self.make()).addCallbacks(self._made, self._failed)
        return NOT_DONE_YET

    def _gone(self, _failure: Failure, request: Request) -> None:
        if request in self._waiting:
            self._waiting.remove(request)

    def _made(self, text: bytes) -> None:
        self._text, self._until_s = text, time.monotonic() + MAX_AGE_S
        self._answer_all(200, CONTENT_TYPE_LATEST, text)

    def _failed(self, failure: Failure) -> None:
        self.log.failure("the metrics cannot be made", failure=failure)
        self._answer_all(500, "text/plain; charset=utf-8", b"Internal server error\n")

    def _answer_all(self, status: int, kind: str, text: bytes) -> None:
        self._is_made = False
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            request.setResponseCode(status)
            request.setHeader(b"Content-Type", kind.encode())
            request.write(text)
            request.finish()


class Metrics(_MetricsPage):
    """The worker's own."""

    async def make(self) -> bytes:
        """See ``WorkerText.make``."""
        return await self._worker_text.make()


class NodeMetrics(_MetricsPage):
    """Those of all workers of the node."""

    def __init__(self, _extra: Any = None) -> None:
        super().__init__()
        self._node_text = NodeText()

    async def make(self) -> bytes:
        """See ``NodeText.make``."""
        return await self._node_text.make(await self._worker_text.make())
