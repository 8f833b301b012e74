"""What this router worker has counted, as metrics.

Counting costs next to nothing: the figures are read where they are kept, when somebody asks. No label has values that clients
choose.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from components.bus import ReaderFigures
from components.core.closing import ENDED_BY
from components.core.faults import CONDITIONS, MOMENTS, FaultReach
from components.core.limits import LIMIT_NAMES
from components.router import runtime
from components.router.buffer_usage import BufferUsage
from components.router.listeners.http_channel import REFUSAL_CAUSES
from components.router.listeners.listener import REFUSALS, registry
from components.router.metrics.families import Merge, counter, gauge
from components.router.metrics.traffic import feed_metrics, traffic_metrics
from components.router.runtime import Runtime
from components.tokens import TokenCause

_FAULTS_OF_THE_NODE = frozenset(fault.value for fault in (*CONDITIONS, *MOMENTS) if fault.reach is FaultReach.NODE)


class WorkerCollector(Collector):
    """Reads the worker's counters."""

    def __init__(self) -> None:
        self.usage = BufferUsage()
        """What waits for the clients; who has it counted puts it here before the metrics are read."""

    def collect(self) -> Iterator[Metric]:
        """Return all metrics; those of a gateway only where there is one."""
        yield from _listeners()
        yield from _certificates()
        yield from _gatekeepers()
        worker = runtime.current()
        if worker is None:
            return
        yield from _connections(worker)
        yield from fault_metrics(worker)
        yield from _links(worker)
        yield from _resuming(worker)
        yield from _keys(worker)
        yield from _bus(worker)
        if worker.figures is not None:
            yield from traffic_metrics(worker.figures, self.usage, worker.market)
            yield from feed_metrics(worker.figures.feed, worker.market)


def _connections(worker: Runtime) -> Iterator[Metric]:
    yield counter(
        "crosstick_disconnects",
        "Connections that ended: closed by the gateway, by the reason that clients are told, or by what else",
        {ended_by.value: worker.disconnects[ended_by] for ended_by in ENDED_BY},
        "reason",
    )
    yield counter(
        "crosstick_refused_tickets",
        "Tickets that were not accepted, by cause",
        {cause.value: worker.refused_tickets[cause.value] for cause in TokenCause},
        "cause",
    )
    yield counter(
        "crosstick_ping_failures", "Connections dropped since they did not answer a ping", worker.ping_failures
    )
    yield counter(
        "crosstick_protocol_violations", "Connections failed since a client broke the rules", worker.violations
    )


def fault_metrics(worker: Runtime) -> Iterator[Metric]:
    """Return which faults are, and how often each has been."""
    active = {entry.fault for entry in worker.faults.active()}
    yield gauge(
        "crosstick_fault_active",
        "1 while it is; docs/how-to/monitor.md says what each is",
        {fault.value: fault in active for fault in CONDITIONS},
        Merge.MAX,
        "fault",
    )
    yield counter(
        "crosstick_faults",
        "How often each began, or happened; without what an ordinary start is made of",
        {fault.value: worker.faults.counts.get(fault, 0) for fault in (*CONDITIONS, *MOMENTS)},
        "fault",
        seen_by_all=_FAULTS_OF_THE_NODE,
    )


def _keys(worker: Runtime) -> Iterator[Metric]:
    status = worker.environment.authority.source.status()
    yield gauge("crosstick_token_keys", "Keys that verify tokens", status.keys, Merge.MIN)
    yield gauge(
        "crosstick_token_keys_age_seconds",
        "Time since the keys were last found to be in force",
        status.age_s or 0.0,
        Merge.MAX,
    )


def _bus(worker: Runtime) -> Iterator[Metric]:
    figures = ReaderFigures() if worker.bus is None else worker.bus.figures
    yield gauge("crosstick_bus_connected", "1 while batches can come", figures.connected, Merge.MIN)
    yield gauge(
        "crosstick_bus_lag_seconds", "Of the last batch, from its writing to its reading", figures.lag_s, Merge.MAX
    )
    for name, help_text, count in (
        ("batches", "Batches that were read", figures.batches),
        ("missed_batches", "Batches that could no longer be had", figures.missed_batches),
        ("reconnects", "Returns of a bus that was away", figures.reconnects),
        ("void_records", "Records of feeds that led no more", figures.void_records),
        ("malformed_records", "Records that were none", figures.malformed_records),
        ("holes", "Times that what stands was read anew, since what was next was gone", figures.holes),
    ):
        yield counter(f"crosstick_bus_{name}", help_text, count)


def _links(worker: Runtime) -> Iterator[Metric]:
    yield gauge(
        "crosstick_link_up",
        "1: the link to this peer is there",
        {peer: link.up for peer, link in worker.links.items()},
        # Each worker has links of its own: the node reaches a peer in full when all of its workers do.
        Merge.MIN,
        "peer",
    )
    for attribute, name, help_text in (
        ("losses", "crosstick_link_losses", "Times that the link was lost"),
        ("calls", "crosstick_link_calls", "Calls that were handed to this peer"),
        ("refused_calls", "crosstick_link_refused_calls", "Calls refused since too many were waiting for this peer"),
        ("events", "crosstick_link_events", "Events of services that came from this peer"),
    ):
        yield counter(name, help_text, {peer: getattr(link, attribute) for peer, link in worker.links.items()}, "peer")


def _listeners() -> Iterator[Metric]:
    listeners = registry().listeners
    yield gauge(
        "crosstick_active_connections",
        "WebSocket and RawSocket connections, and streams of server-sent events",
        {name: listener.connections.number for name, listener in listeners.items()},
        Merge.SUM,
        "listener",
    )
    refused = CounterMetricFamily(
        "crosstick_refused_connections", "Connections that were refused, by cause", labels=["listener", "cause"]
    )
    for name, listener in listeners.items():
        for cause in REFUSALS:
            refused.add_metric([name, cause], listener.refused[cause])
        for cause in REFUSAL_CAUSES:
            refused.add_metric([name, cause], listener.http_policy.refused[cause])
    yield refused


def _certificates() -> Iterator[Metric]:
    with_tls = {
        name: listener.certificates
        for name, listener in registry().listeners.items()
        if listener.certificates is not None
    }
    yield gauge(
        "crosstick_tls_certificate_not_after_seconds",
        "Unix time at which it expires",
        {name: certificates.not_after_s for name, certificates in with_tls.items()},
        Merge.MIN,
        "listener",
    )
    yield gauge(
        "crosstick_tls_certificate_stale",
        "1: the files hold others, which cannot be used",
        {name: certificates.stale for name, certificates in with_tls.items()},
        Merge.MAX,
        "listener",
    )


def _gatekeepers() -> Iterator[Metric]:
    gatekeepers = runtime.gatekeepers()
    yield gauge(
        "crosstick_sessions",
        "Sessions of clients that have joined",
        {realm: seats.sessions for realm, seats in gatekeepers.items()},
        Merge.SUM,
        "realm",
    )
    refusals = CounterMetricFamily("crosstick_refusals", "What was refused, by limit", labels=["realm", "limit"])
    for realm, seats in gatekeepers.items():
        for limit in LIMIT_NAMES:
            refusals.add_metric([realm, limit], seats.refused[limit])
    yield refusals


def _resuming(worker: Runtime) -> Iterator[Metric]:
    counted = worker.history.counters
    for name, help_text, count in (
        ("crosstick_reconnect_attempts", "HELLOs of clients that come back", worker.reconnect_attempts),
        ("crosstick_resumed_joins", "Joins of clients that come back", worker.resumed_joins),
        ("crosstick_replays", "Answers of market.replay", counted.replays),
        ("crosstick_replayed_events", "Ticks in answers of market.replay", counted.events),
        ("crosstick_replay_missing", "Ticks that were asked for and are gone for good", counted.missing),
    ):
        yield counter(name, help_text, count)
    yield gauge("crosstick_replay_bytes", "Memory that ticks take for replays", worker.history.size_bytes, Merge.SUM)
