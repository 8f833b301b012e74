"""Feeds at the simulated exchange, on a bus that the test can look into."""

from __future__ import annotations

import itertools
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.python.failure import Failure

from components.feed.feed import Feed
from components.settings import FeedSettings
from components.simulator.server import SimulatedExchange
from tests.feed.memory_bus import MemoryBus

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
NOW_MS = 1_700_000_000_000


@pytest_twisted.async_yield_fixture
async def make_feed() -> Any:
    """Return a function that starts feeds, each on a bus of its own unless it is given one; all are stopped at the end."""
    feeds: list[Feed] = []
    failures: list[Failure] = []
    names = (f"feed-{number}" for number in itertools.count(1))

    def make(exchange: SimulatedExchange, **options: Any) -> tuple[Feed, MemoryBus]:
        bus = options.pop("bus", None) or MemoryBus()
        rules = options.pop("rules", None)
        settings = FeedSettings(
            exchange_url=exchange.url,
            symbols=options.pop("symbols", SYMBOLS),
            trade_stream=options.pop("trade_stream", "trade"),
            stale_after_s=options.pop("stale_after_s", 60.0),
            name=next(names),
            day=options.pop("day", True),
        )
        clock = options.pop("clock", reactor)
        feed = Feed(clock, settings, bus.writer(), lambda: NOW_MS, failures.append, rules)
        feeds.append(feed)
        feed.start()
        return feed, bus

    yield make
    for feed in feeds:
        await feed.stop()
    assert failures == []
