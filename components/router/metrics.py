"""``/metrics``: what this router worker has counted, in Prometheus' text format.

Counting costs nothing here: the figures are read where they are kept, when somebody asks. No label has values that clients
choose.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from twisted.web.server import Request

from components.bus import ReaderFigures
from components.core.closing import CloseReason
from components.core.limits import LIMIT_NAMES
from components.page import Page
from components.router import runtime
from components.router.listeners.http_channel import REFUSAL_CAUSES
from components.router.listeners.listener import REFUSALS, registry
from components.tokens import TokenCause

MAX_AGE_S = 0.5
"""Who asks more often is given the same again: making the text takes a millisecond."""


class WorkerCollector(Collector):
    """Reads the worker's counters."""

    def collect(self) -> Iterator[Metric]:
        """Return all metrics; those of a gateway only where there is one."""
        yield from self._listeners()
        yield from self._gatekeepers()
        worker = runtime.current()
        if worker is None:
            return
        yield _counter(
            "crosstick_closed_connections",
            "Connections that the gateway closed, by the reason that clients are told",
            "reason",
            {reason.value: worker.closed[reason] for reason in CloseReason},
        )
        yield _counter(
            "crosstick_refused_tickets",
            "Tickets that were not accepted, by cause",
            "cause",
            {cause.value: worker.refused_tickets[cause.value] for cause in TokenCause},
        )
        yield CounterMetricFamily(
            "crosstick_ping_failures", "Connections dropped since they did not answer a ping", worker.ping_failures
        )

        yield CounterMetricFamily(
            "crosstick_protocol_violations", "Connections failed since a client broke the rules", worker.violations
        )
        yield from self._links(worker)
        yield from _resuming(worker)
        status = worker.environment.authority.source.status()
        yield GaugeMetricFamily("crosstick_token_keys", "Keys that verify tokens", status.keys)
        yield GaugeMetricFamily(
            "crosstick_token_keys_age_seconds",
            "Time since the keys were last found to be in force",
            status.age_s or 0.0,
        )

        yield from self._bus(worker)

    def _bus(self, worker: runtime.Runtime) -> Iterator[Metric]:
        figures = ReaderFigures() if worker.bus is None else worker.bus.figures
        yield GaugeMetricFamily("crosstick_bus_connected", "1 while batches can come", figures.connected)
        yield GaugeMetricFamily(
            "crosstick_bus_lag_seconds", "Of the last batch, from its writing to its reading", figures.lag_s
        )
        for name, help_text, count in (
            ("batches", "Batches that were read", figures.batches),
            ("missed_batches", "Batches that could no longer be had", figures.missed_batches),
            ("reconnects", "Returns of a bus that was away", figures.reconnects),
            ("void_records", "Records of feeds that led no more", figures.void_records),
            ("malformed_records", "Records that were none", figures.malformed_records),
            ("holes", "Times that what stands was read anew, since what was next was gone", figures.holes),
        ):
            yield CounterMetricFamily(f"crosstick_bus_{name}", help_text, count)

    def _links(self, worker: runtime.Runtime) -> Iterator[Metric]:
        up = GaugeMetricFamily("crosstick_link_up", "1: the link to this peer is there", labels=["peer"])
        for name, link in worker.links.items():
            up.add_metric([name], link.up)
        yield up
        for attribute, name, help_text in (
            ("losses", "crosstick_link_losses", "Times that the link was lost"),
            ("calls", "crosstick_link_calls", "Calls that were handed to this peer"),
            (
                "refused_calls",
                "crosstick_link_refused_calls",
                "Calls refused since too many were waiting for this peer",
            ),
            ("events", "crosstick_link_events", "Events of services that came from this peer"),
        ):
            yield _counter(
                name, help_text, "peer", {peer: getattr(link, attribute) for peer, link in worker.links.items()}
            )

    def _listeners(self) -> Iterator[Metric]:
        connections = GaugeMetricFamily(
            "crosstick_connections", "WebSocket and RawSocket connections", labels=["listener"]
        )
        refused = CounterMetricFamily(
            "crosstick_refused_connections", "Connections that were refused, by cause", labels=["listener", "cause"]
        )
        for name, listener in registry().listeners.items():
            connections.add_metric([name], listener.connections.number)
            for cause in REFUSALS:
                refused.add_metric([name, cause], listener.refused[cause])
            for cause in REFUSAL_CAUSES:
                refused.add_metric([name, cause], listener.http_policy.refused[cause])
        yield connections
        yield refused
        yield from self._certificates()

    def _certificates(self) -> Iterator[Metric]:
        not_after = GaugeMetricFamily(
            "crosstick_tls_certificate_not_after_seconds", "Unix time at which it expires", labels=["listener"]
        )
        stale = GaugeMetricFamily(
            "crosstick_tls_certificate_stale", "1: the files hold others, which cannot be used", labels=["listener"]
        )
        for name, listener in registry().listeners.items():
            if listener.certificates is not None:
                not_after.add_metric([name], listener.certificates.not_after_s)
                stale.add_metric([name], listener.certificates.stale)
        yield not_after
        yield stale

    def _gatekeepers(self) -> Iterator[Metric]:
        sessions = GaugeMetricFamily("crosstick_sessions", "Sessions of clients that have joined", labels=["realm"])
        refusals = CounterMetricFamily("crosstick_refusals", "What was refused, by limit", labels=["realm", "limit"])
        for realm, seats in runtime.gatekeepers().items():
            sessions.add_metric([realm], seats.sessions)
            for limit in LIMIT_NAMES:
                refusals.add_metric([realm, limit], seats.refused[limit])
        yield sessions
        yield refusals


def _resuming(worker: runtime.Runtime) -> Iterator[Metric]:
    counted = worker.history.counters
    for name, help_text, count in (
        ("crosstick_reconnect_attempts", "HELLOs of clients that come back", worker.reconnect_attempts),
        ("crosstick_resumed_joins", "Joins of clients that come back", worker.resumed_joins),
        ("crosstick_replays", "Answers of market.replay", counted.replays),
        ("crosstick_replayed_events", "Ticks in those answers", counted.events),
        ("crosstick_replay_missing", "Ticks that were asked for and are gone for good", counted.missing),
    ):
        yield CounterMetricFamily(name, help_text, count)
    yield GaugeMetricFamily("crosstick_replay_bytes", "Memory that ticks take for replays", worker.history.size_bytes)


def _counter(name: str, help_text: str, label: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, help_text, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family


class Metrics(Page):
    """Answers with the worker's metrics."""

    def __init__(self, _extra: Any = None) -> None:
        super().__init__()
        self._registry = CollectorRegistry()
        self._registry.register(WorkerCollector())
        self._text = b""
        self._until_s = 0.0

    def answer(self, request: Request) -> bytes:
        """Answer in the text format."""
        request.setHeader(b"Content-Type", CONTENT_TYPE_LATEST.encode())
        now_s = time.monotonic()
        if now_s >= self._until_s:
            self._text = generate_latest(self._registry)
            self._until_s = now_s + MAX_AGE_S
        return self._text
