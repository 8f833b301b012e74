"""Two feeds at one exchange, on a bus that one of them leads."""

from __future__ import annotations

import itertools
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from components.core.leading_feed import LeadingFeed
from components.core.market import Market
from components.feed.feed import Feed
from components.simulator.faults import Fault, FaultKind
from components.simulator.server import SimulatedExchange
from tests.feed.memory_bus import MemoryBus
from tests.harness.client import until

MakeExchange = Callable[..., Awaitable[SimulatedExchange]]
MakeFeed = Callable[..., tuple[Feed, MemoryBus]]


async def two_feeds(
    make_exchange: MakeExchange, make_feed: MakeFeed, stream: str = "trade", exchange: SimulatedExchange | None = None
) -> tuple[Feed, Feed, MemoryBus]:
    exchange = exchange or await make_exchange(rate_per_s=2000)
    one, bus = make_feed(exchange, trade_stream=stream)
    # So that the exchange has their connections in this order.
    await until(reactor, lambda: one.status()["state"] == "live")
    other, _ = make_feed(exchange, bus=bus, trade_stream=stream)
    await until(reactor, lambda: other.status()["state"] == "live")
    before = len(bus.events())
    await until(reactor, lambda: len(bus.events()) > before + 100)
    return one, other, bus


async def more(bus: MemoryBus) -> None:
    before = len(bus.events())
    await until(reactor, lambda: len(bus.events()) > before + 200)


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("stream", ["trade", "aggTrade"])
async def test_an_orderly_end_hands_over_and_loses_nothing(
    make_exchange: MakeExchange, make_feed: MakeFeed, stream: str
) -> None:
    one, other, bus = await two_feeds(make_exchange, make_feed, stream)
    await one.stop()
    assert [feed.status()["role"] for feed in (one, other)] == ["standby", "leading"]
    await more(bus)
    bus.assert_gap_free()
    bus.assert_each_trade_once()


@pytest_twisted.ensureDeferred
async def test_a_leader_whose_last_batches_never_arrived_is_made_good_by_the_other(
    make_exchange: MakeExchange, make_feed: MakeFeed
) -> None:
    one, other, bus = await two_feeds(make_exchange, make_feed)
    bus.writers[0].cut_off = True
    taken = one.status()["counters"]["ticks"]
    await until(reactor, lambda: one.status()["counters"]["ticks"] > taken + 100)
    bus.give_lead(bus.writers[1])
    await more(bus)
    # The first one comes back, and finds that another feed leads.
    bus.writers[0].cut_off = False
    await until(reactor, lambda: one.status()["role"] == "standby")
    await more(bus)
    bus.give_lead(bus.writers[0])
    await more(bus)
    bus.assert_gap_free()
    bus.assert_each_trade_once()
    assert [feed.status()["counters"]["gaps"] for feed in (one, other)] == [0, 0]


@pytest_twisted.ensureDeferred
async def test_the_status_on_the_bus_is_the_leaders(make_exchange: MakeExchange, make_feed: MakeFeed) -> None:
    one, other, bus = await two_feeds(make_exchange, make_feed)
    await until(reactor, lambda: len(bus.statuses) > 2)
    assert {(status["feed"], status["role"]) for status in bus.statuses} == {(one.settings.name, "leading")}
    bus.give_lead(bus.writers[1])
    assert (bus.statuses[-1]["feed"], bus.statuses[-1]["role"]) == (other.settings.name, "leading")
    assert bus.statuses[-1]["epoch"] == bus.batches[-1].epoch


@pytest_twisted.ensureDeferred
async def test_a_feed_that_was_not_reading_reads_again_when_it_follows(
    make_exchange: MakeExchange, make_feed: MakeFeed
) -> None:
    one, _, bus = await two_feeds(make_exchange, make_feed)
    one.pause()
    bus.give_lead(bus.writers[1])
    one.follow("another feed leads")
    frames = one.status()["counters"]["frames"]
    await until(reactor, lambda: one.status()["counters"]["frames"] > frames + 100)
    assert not one.status()["exchange"]["paused"]


@pytest_twisted.ensureDeferred
async def test_a_leader_that_loses_the_exchange_leaves_the_lead_to_the_one_that_has_not(
    make_exchange: MakeExchange, make_feed: MakeFeed
) -> None:
    exchange = await make_exchange(rate_per_s=2000)
    one, other, bus = await two_feeds(make_exchange, make_feed, exchange=exchange)
    [leaders, _] = exchange._clients
    leaders.cut()
    await until(reactor, lambda: other.status()["role"] == "leading")
    await until(reactor, lambda: one.status()["exchange"]["reconnects"] == 1)
    assert one.status()["role"] == "standby"
    await more(bus)
    bus.assert_gap_free()
    bus.assert_each_trade_once()


@pytest_twisted.ensureDeferred
async def test_a_feed_that_stands_by_and_loses_the_exchange_yields_nothing(
    make_exchange: MakeExchange, make_feed: MakeFeed
) -> None:
    exchange = await make_exchange(rate_per_s=2000)
    one, other, bus = await two_feeds(make_exchange, make_feed, exchange=exchange)
    [_, standbys] = exchange._clients
    standbys.cut()
    await until(reactor, lambda: other.status()["exchange"]["reconnects"] == 1)
    await more(bus)
    assert one.status()["role"] == "leading"
    assert bus.term == 1


@pytest_twisted.ensureDeferred
async def test_a_feed_that_has_left_the_bus_takes_no_lead(make_exchange: MakeExchange, make_feed: MakeFeed) -> None:
    one, _, bus = await two_feeds(make_exchange, make_feed)
    await one.stop()
    one.lead(bus.standing())
    assert one.status()["role"] == "standby"


class Gateway:
    """What a gateway makes of the statuses that it hears."""

    def __init__(self) -> None:
        self.market = Market(lambda: 0.0, lambda: 0.0)
        self.feeds = LeadingFeed()

    def hear(self, status: dict[str, Any]) -> tuple[int, int]:
        """Return how many takeovers and missed trades it has counted by then."""
        self.market.take_status(json.dumps(status).encode())
        self.feeds.look(self.market.status())
        return self.feeds.takeovers, self.feeds.missed_trades


def missing_in(feed: Feed, symbol: str) -> int:
    """Return how many trades of a symbol are missing in what a feed has kept."""
    kept = [trade.id for trade in feed.intake.recent.trades(reactor.seconds()) if trade.symbol == symbol]  # type: ignore[attr-defined]
    return sum(later - earlier - 1 for earlier, later in itertools.pairwise(kept))


@pytest_twisted.ensureDeferred
async def test_what_the_next_leader_finds_missing_is_counted_by_who_sees_it_take_over_and_by_nobody_twice(
    make_exchange: MakeExchange, make_feed: MakeFeed
) -> None:
    exchange = await make_exchange(rate_per_s=2000)
    one, other, bus = await two_feeds(make_exchange, make_feed, exchange=exchange)
    gateway = Gateway()
    assert gateway.hear(bus.statuses[-1]) == (0, 0)
    await exchange.inject(Fault(FaultKind.GAP, symbol="BTCUSDT", count=3))
    await until(reactor, lambda: one.status()["counters"]["missed_trades"] == 3)
    assert gateway.hear(one.status()) == (0, 3)
    # The leader is cut off from the bus, does not know it, and takes note of what neither of them gets.
    bus.writers[0].cut_off = True
    await exchange.inject(Fault(FaultKind.GAP, symbol="BTCUSDT", count=5))
    await until(reactor, lambda: one.status()["counters"]["missed_trades"] == 8 and missing_in(other, "BTCUSDT") == 8)
    bus.give_lead(bus.writers[1])
    assert gateway.hear(bus.statuses[-1]) == (1, 5 + 3)
    late = Gateway()
    assert late.hear(bus.statuses[-1]) == (0, 0)
    # It comes back, and leads again.
    bus.writers[0].cut_off = False
    await until(reactor, lambda: one.status()["role"] == "standby")
    bus.give_lead(bus.writers[0])
    assert gateway.hear(bus.statuses[-1]) == (2, 8)
    await exchange.inject(Fault(FaultKind.GAP, symbol="ETHUSDT", count=2))
    await until(reactor, lambda: one.status()["counters"]["missed_trades"] == 10)
    assert (gateway.hear(one.status()), late.hear(one.status())) == ((2, 10), (1, 2))
    assert [status["since_lead"] for status in (one.status(), other.status())] == [
        {"lead": 2, "reconnects": 0, "gaps": 1, "missed_trades": 2},
        None,
    ]


@pytest_twisted.ensureDeferred
async def test_what_a_feed_finds_missing_again_when_it_leads_again_is_counted_once(
    make_exchange: MakeExchange, make_feed: MakeFeed
) -> None:
    exchange = await make_exchange(rate_per_s=2000)
    feed, bus = make_feed(exchange)
    await until(reactor, lambda: feed.status()["state"] == "live" and len(bus.events()) > 100)
    gateway = Gateway()
    assert gateway.hear(feed.status()) == (0, 0)
    await exchange.inject(Fault(FaultKind.GAP, symbol="BTCUSDT", count=3))
    await until(reactor, lambda: feed.status()["counters"]["missed_trades"] == 3)
    assert gateway.hear(feed.status()) == (0, 3)
    # What it writes is lost, and it goes on from what stands when it leads again.
    bus.writers[0].cut_off = True
    await exchange.inject(Fault(FaultKind.GAP, symbol="BTCUSDT", count=5))
    await until(reactor, lambda: feed.status()["counters"]["missed_trades"] == 8)
    feed.follow("the bus did not take what was written")
    bus.writers[0].cut_off = False
    bus.give_lead(bus.writers[0])
    assert feed.status()["since_lead"]["missed_trades"] == 5
    assert gateway.hear(bus.statuses[-1]) == (0, 3 + 5)
    await exchange.inject(Fault(FaultKind.GAP, symbol="BTCUSDT", count=2))
    await until(reactor, lambda: feed.status()["since_lead"]["missed_trades"] == 7)
    assert gateway.hear(feed.status()) == (0, 3 + 5 + 2)
    bus.assert_gap_free()
