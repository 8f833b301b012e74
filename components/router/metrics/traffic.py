"""What goes through this worker to its clients, and what it sees of the feed that leads, as metrics."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from components.core.leading_feed import LeadingFeed
from components.core.market import Market
from components.router.buffer_usage import BufferUsage
from components.router.figures import Figures
from components.router.metrics.families import Merge, counter, gauge, gauge_histogram, histogram


def traffic_metrics(figures: Figures, usage: BufferUsage, market: Market | None) -> Iterator[Metric]:
    """Return what is delivered, what waits, and how late it is."""
    fanout, outboxes = figures.fanout, figures.outboxes
    for name, help_text, count in (
        ("crosstick_delivered_events", "Events that were written to clients", fanout.delivered),
        ("crosstick_flushes", "Times that what waited was written to all", fanout.flushes),
        ("crosstick_delayed_events", "Events that had to wait in the outbox of a slow client", outboxes.added),
        ("crosstick_merged_events", "Delayed events that were merged into another one", outboxes.merged),
        ("crosstick_dropped_events", "Delayed events that the policy drop_oldest dropped", outboxes.dropped),
        (
            "crosstick_discarded_events",
            "Delayed events of clients that were closed, or of subscriptions that ended",
            outboxes.discarded,
        ),
        (
            "crosstick_unmergeable_events",
            "Events on a market topic that were not what it carries",
            outboxes.unmergeable,
        ),
    ):
        yield counter(name, help_text, count)
    yield gauge(
        "crosstick_subscribed_symbols",
        "Symbols that a client here is subscribed to; of several workers, the most of one",
        figures.symbols.number(() if market is None else market.symbols),
        Merge.MAX,
    )
    yield gauge("crosstick_blocked_connections", "Clients whose connections take no more", usage.blocked, Merge.SUM)
    yield gauge(
        "crosstick_buffer_usage_bytes",
        "What waits for all clients: written and not sent, held back, and in outboxes",
        usage.bytes.sum,
        Merge.SUM,
    )
    yield gauge("crosstick_buffer_usage_entries", "Events that wait for all clients", usage.entries.sum, Merge.SUM)
    yield gauge_histogram("crosstick_client_buffer_bytes", "What waits for each client", usage.bytes)
    yield gauge_histogram("crosstick_client_buffer_entries", "Events that wait for each client", usage.entries)
    yield histogram(
        "crosstick_tick_age_seconds",
        "From the exchange's time of the oldest trade of a flush to the flush's end, for each event delivered in it",
        fanout.ages,
    )
    lag = figures.loop_lag
    yield histogram("crosstick_event_loop_lag_seconds", "How late a timer of the event loop was", lag.histogram)
    yield gauge(
        "crosstick_event_loop_lag_max_seconds", "The greatest of the last 15 to 30 s", lag.greatest_s, Merge.MAX
    )


def feed_metrics(feed: LeadingFeed, market: Market | None) -> Iterator[Metric]:
    """Return what this worker sees of the feed that leads. All workers see the same: do not sum over gateways."""
    if market is None:
        return
    status = market.status()
    lost = market.feed_lost
    lag_ms = status.get("lag_ms")
    for name, help_text, value, merge in (
        ("heard", "1 while a feed is heard", not lost, Merge.MIN),
        (
            "live",
            "1 while it has all that it asked the exchange for",
            status.get("state") in ("live", "stale"),
            Merge.MIN,
        ),
        ("symbols", "Symbols that it follows", len(market.symbols), Merge.MAX),
        ("stale_symbols", "Symbols that are silent", len(market.stale), Merge.MAX),
        ("silent_seconds", "Since its last word", market.feed_silent_s or 0.0, Merge.MAX),
        (
            "lag_seconds",
            "Of its last batch with a trade: from the exchange's time to the bus, by its clock",
            lag_ms / 1000 if isinstance(lag_ms, int) else 0.0,
            Merge.MAX,
        ),
    ):
        yield gauge(f"crosstick_leading_feed_{name}", help_text, value, merge)
    for name, help_text, count in (
        ("takeovers", "Times that another feed led than before", feed.takeovers),
        ("epochs", "Epochs that began after the first", feed.epochs),
        ("reconnects", "Connections to the exchange that were lost and made anew", feed.reconnects),
        ("gaps", "Holes in the trade ids", feed.gaps),
        ("missed_trades", "Trades that the exchange made and no feed got", feed.missed_trades),
    ):
        yield counter(
            f"crosstick_leading_feed_{name}", f"{help_text}; seen since this worker's start", count, seen_by_all=True
        )
