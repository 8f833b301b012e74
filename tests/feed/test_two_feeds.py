"""Two feeds at one exchange, on a bus that one of them leads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import pytest_twisted
from twisted.internet import reactor

from components.feed.feed import Feed
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
