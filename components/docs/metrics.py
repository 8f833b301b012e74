"""The tables of metrics, as the collectors of a router worker and of a feed give them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from components.bus.idle import IdleBus
from components.core.faults import Fault, FaultKind, FaultReach
from components.core.market import Market
from components.core.outbox import Condenser, OutboxCounters
from components.core.outbox_settings import OutboxSettings
from components.core.replay import ReplaySettings, TickHistory
from components.docs.pages import table
from components.environment import NodeEnvironment
from components.feed.feed import Feed
from components.feed.web import FeedCollector, lag_histogram
from components.loop_lag import LoopLag
from components.router import runtime
from components.router.buffer_usage import BufferMeasure
from components.router.engine.fanout import FanOut
from components.router.figures import Figures
from components.router.metrics.worker import WorkerCollector
from components.router.open_connections import OpenConnections
from components.settings import load_settings
from components.tokens import load_authority


def worker_metrics() -> str:
    """Return what a router worker's ``/metrics`` has."""
    return _table(worker_families())


def feed_metrics() -> str:
    """Return what a feed's ``/metrics`` has."""
    return _table(feed_families())


def node_faults() -> str:
    """Return how the workers' counts of each fault become the node's."""
    counted = [fault for fault in Fault if fault.kind is not FaultKind.OUTSIDE]
    rows = [
        [how, ", ".join(f"`{fault}`" for fault in counted if fault.reach is reach)]
        for reach, how in ((FaultReach.NODE, "the greatest count"), (FaultReach.WORKER, "the sum"))
    ]
    return table(["the node's count is", "of"], rows)


def worker_families() -> list[Metric]:
    """Return the families of a worker whose gateway has just begun, and has nothing to count."""
    authority = load_authority({"CROSSTICK_TOKEN_KEY": "x" * 32}, Path())
    environment = NodeEnvironment(load_settings({}), authority, authority)
    before = runtime.current()
    worker = runtime.Runtime(environment, list, TickHistory(ReplaySettings(), lambda: 0.0))
    worker.market = Market(lambda: 0.0, lambda: 0.0)
    worker.figures = _figures()
    runtime.install(worker)
    try:
        return list(WorkerCollector().collect())
    finally:
        runtime.install(before)  # type: ignore[arg-type]  # what was there, and be it nothing


def _figures() -> Figures:
    from twisted.internet import reactor

    fanout = FanOut(reactor, lambda _topic: (), lambda _subscriber, _reason: None, lambda: Condenser(OutboxSettings()))
    return Figures(fanout, OutboxCounters(), BufferMeasure(reactor, OpenConnections()), LoopLag(reactor))


def feed_families() -> list[Metric]:
    """Return the families of a feed that has not begun."""
    # Connections of a feed want a whole reactor, also where none is made.
    from twisted.internet import reactor

    registry = CollectorRegistry()
    lag_histogram(registry)
    feed = Feed(reactor, load_settings({}).feed, IdleBus(), lambda: 0, lambda failure: failure.raiseException())
    registry.register(FeedCollector(feed, LoopLag(reactor)))
    return list(registry.collect())


def scraped_name(family: Metric) -> str:
    """Return the name by which Prometheus knows a family."""
    return f"{family.name}_total" if family.type == "counter" else family.name


def _table(families: Iterable[Metric]) -> str:
    rows = [
        [
            f"`{scraped_name(family)}`",
            family.type,
            ", ".join(f"`{label}`" for label in _labels(family)),
            family.documentation,
        ]
        for family in families
    ]
    return table(["metric", "type", "labels", "what it says"], sorted(rows))


def _labels(family: Any) -> list[str]:
    # The library keeps no public list of a family's labels, and one without samples has them nowhere else.
    names = dict.fromkeys(getattr(family, "_labelnames", ()))
    return list(names | dict.fromkeys(label for sample in family.samples for label in sample.labels if label != "le"))
