"""The small HTTP side of a feed in a process of its own: ``/healthz``, ``/readyz`` and ``/metrics``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from components.core.faults import Fault
from components.feed.feed import Feed
from components.loop_lag import LoopLag
from components.page import Page

LAG_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)

_COUNTERS = {
    "frames": "Frames that the exchange sent, control frames not counted",
    "ticks": "Trades that were numbered and handed to the bus",
    "books": "Best prices that were numbered and handed to the bus",
    "day_updates": "Statistics of 24 hours that were numbered and handed to the bus",
    "malformed": "Frames that were not what the exchange documents",
    "ignored": "Frames of streams that are not turned into ticks",
    "duplicates": "Trades, best prices and statistics that came twice and were dropped",
    "gaps": "Holes in the trade ids",
    "missed_trades": "Trades that the exchange made and no feed got",
    "id_resets": "Times that the exchange began its numbering, or set its clock, anew",
    "unknown_symbols": "Messages of symbols that were not asked for",
    "upstream_paused": "Times that the exchange was not read, since the bus was full",
    "kept_dropped": "Trades that were kept for a change of the lead and had to go before their time",
}
"""``counters`` of the status: each is ``crosstick_feed_<name>_total``."""

_BUS_COUNTERS = {
    "leads": "Times that the lead was given, and given again after a trouble",
    "overflows": "Times that what waits for the bus came to its bound",
    "dropped_batches": "Batches that were given up",
    "rewritten_batches": "Batches that were written again after a trouble",
    "refused_batches": "Batches that were handed over while this feed did not lead",
    "void_records": "Records read back of feeds that led no more",
    "malformed_records": "Records read back that were none",
}
"""``WriterFigures``: each is ``crosstick_feed_bus_<name>_total``."""


class FeedCollector(Collector):
    """Turns a feed's status into metrics, when they are asked for."""

    def __init__(self, feed: Feed, loop_lag: LoopLag | None) -> None:
        self._feed = feed
        self._loop_lag = loop_lag

    def _faults(self, status: dict[str, Any]) -> Iterator[Metric]:
        conditions = {
            Fault.BUS_AWAY: bool(self._feed.bus_troubles()),
            Fault.BUS_AT_RISK: bool(self._feed.bus_warnings()),
            # A standby that has none could not go on, either.
            Fault.EXCHANGE_UNREACHABLE: status["state"] in ("connecting", "subscribing"),
            Fault.SYMBOLS_STALE: bool(status["stale"]),
        }
        active = GaugeMetricFamily("crosstick_fault_active", "1 while it is, as this feed sees it", labels=["fault"])
        for fault, is_so in conditions.items():
            active.add_metric([fault.value], is_so)
        yield active

    def _loop(self) -> Iterator[Metric]:
        lag = self._loop_lag
        if lag is None:
            return
        faults = CounterMetricFamily("crosstick_faults", "How often each happened in this feed", labels=["fault"])
        faults.add_metric([Fault.LOOP_BLOCKED.value], lag.times_blocked)
        yield faults
        bounds = lag.histogram.cumulative()
        buckets = [(floatToGoString(bound), count) for bound, count in bounds]  # type: ignore[no-untyped-call]
        yield HistogramMetricFamily(
            "crosstick_feed_event_loop_lag_seconds",
            "How late a timer of the event loop was",
            buckets,
            lag.histogram.sum,
        )
        yield GaugeMetricFamily(
            "crosstick_feed_event_loop_lag_max_seconds", "The greatest of the last 15 to 30 s", lag.greatest_s
        )

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        status = self._feed.status()
        for name, help_text in _COUNTERS.items():
            yield CounterMetricFamily(f"crosstick_feed_{name}", help_text, value=status["counters"][name])
        figures = self._feed.bus_figures()
        for name, help_text in _BUS_COUNTERS.items():
            yield CounterMetricFamily(f"crosstick_feed_bus_{name}", help_text, value=getattr(figures, name))
        yield from self._faults(status)
        yield from self._loop()
        exchange = status["exchange"]
        yield CounterMetricFamily(
            "crosstick_feed_reconnects", "Connections that were lost and made anew", value=exchange["reconnects"]
        )
        yield CounterMetricFamily(
            "crosstick_feed_rotations",
            "Connections that the next one relieved before they ended",
            value=exchange["rotations"],
        )
        gauges = {
            "leading": ("1 while this feed leads, 0 while it stands by", status["role"] == "leading"),
            "live": ("1 while every subscription is acknowledged", status["state"] == "live"),
            "symbols": ("Symbols that are followed", len(status["symbols"])),
            "rejected_symbols": (
                "Symbols that are wanted and of which the exchange sends nothing",
                len(status["choice"]["rejected"]),
            ),
            "stale_symbols": ("Symbols that are silent", len(status["stale"])),
            "kept_trades": ("Trades that are kept for a change of the lead", self._feed.intake.recent.trades_kept),
            "bus_troubles": (
                "What is wrong with the bus, by number; /readyz says what",
                len(self._feed.bus_troubles()),
            ),
        }
        for name, (help_text, value) in gauges.items():
            yield GaugeMetricFamily(f"crosstick_feed_{name}", help_text, value=value)


def lag_histogram(registry: CollectorRegistry) -> Histogram:
    """Return the histogram of the time from the exchange's trade to the bus, a value per batch."""
    return Histogram(
        "crosstick_feed_lag_seconds",
        "From the exchange's time of a batch's newest trade to its way to the bus, by this machine's clock",
        buckets=LAG_BUCKETS_S,
        registry=registry,
    )


def make_site(feed: Feed, registry: CollectorRegistry, loop_lag: LoopLag | None = None) -> Site:
    """Return what answers the HTTP port; ``loop_lag`` is that of the feed's process, where it is looked at."""
    registry.register(FeedCollector(feed, loop_lag))
    ProcessCollector(registry=registry)
    root: Any = Resource()
    root.putChild(b"healthz", _Healthz())
    root.putChild(b"readyz", _Readyz(feed))
    root.putChild(b"metrics", _Metrics(registry))
    site = _QuietSite(root, timeout=10)  # type: ignore[no-untyped-call]  # Twisted has no types here
    site.displayTracebacks = False
    return site


class _QuietSite(Site):
    """Logs no requests: who asks for health and metrics does so every few seconds."""

    noisy = False

    def log(self, request: http.Request) -> None:
        """Leave it."""


class _Healthz(Page):
    def answer(self, request: Request) -> bytes:
        return _answer(request, 200, {"alive": True})


class _Readyz(Page):
    """200 while the feed could write what the exchange sends, leading or not; else 503 and why not."""

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self._feed = feed

    def answer(self, request: Request) -> bytes:
        feed, status = self._feed, self._feed.status()
        because = feed.not_ready_because()
        body = {
            "ready": not because,
            "because": because,
            "degraded": feed.bus_warnings(),
            "feed": status["feed"],
            "role": status["role"],
            "epoch": status["epoch"],
            "state": status["state"],
            "stale": len(status["stale"]),
        }
        return _answer(request, 503 if because else 200, body)


class _Metrics(Page):
    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._registry = registry

    def answer(self, request: Request) -> bytes:
        request.setHeader(b"Content-Type", CONTENT_TYPE_LATEST.encode())
        return generate_latest(self._registry)


def _answer(request: Request, status: int, body: dict[str, Any]) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", b"application/json")
    return json.dumps(body).encode() + b"\n"
