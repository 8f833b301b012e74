"""Connections that are relieved before the exchange ends them, at a simulated exchange where their life is short."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from components.feed.feed import Feed
from components.feed.upstream import UpstreamRules
from components.simulator.faults import Fault, FaultKind
from components.simulator.protocol import ConnectionRules
from components.simulator.server import SimulatedExchange
from tests.feed.memory_bus import MemoryBus
from tests.harness.client import until

MakeExchange = Callable[..., Awaitable[SimulatedExchange]]
MakeFeed = Callable[..., tuple[Feed, MemoryBus]]

OFTEN = UpstreamRules(rotate_after_s=0.5, rotate_jitter_s=0.1, overlap_min_s=0.1)


def of_exchange(feed: Feed, name: str) -> Any:
    return feed.status()["exchange"][name]


def was_always_live(bus: MemoryBus) -> bool:
    states = [status["state"] for status in bus.statuses]
    return set(states[states.index("live") :]) == {"live"}


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("trade_stream", ["trade", "aggTrade"])
async def test_what_goes_in_comes_out_over_many_rotations_under_load(
    make_exchange: MakeExchange, make_feed: MakeFeed, trade_stream: str
) -> None:
    sent: dict[str, list[int]] = {}

    def note(stream: str, payload: bytes) -> None:
        if stream.endswith(f"@{trade_stream}"):
            trade = json.loads(payload)
            sent.setdefault(f"market.{trade['s']}", []).append(trade["t" if trade_stream == "trade" else "a"])

    exchange = await make_exchange(rate_per_s=4000, rules=ConnectionRules(max_life_s=2.0), on_frame=note)
    feed, bus = make_feed(exchange, rules=OFTEN, trade_stream=trade_stream)
    await until(reactor, lambda: of_exchange(feed, "rotations") >= 4)
    await feed.stop()
    written = {topic: ids for topic, ids in bus.ids().items() if not topic.endswith((".book", ".day"))}
    assert set(written) == set(sent)
    for topic, ids in written.items():
        start = sent[topic].index(ids[0])
        assert ids == sent[topic][start : start + len(ids)]
        # The first connection's first trades are written: of what was sent at all, nothing is missing at the start.
        assert start == 0
    bus.assert_gap_free()
    bus.assert_each_trade_once()
    assert was_always_live(bus)
    assert of_exchange(feed, "reconnects") == 0
    assert exchange.counters.policy_closes == 0


@pytest_twisted.ensureDeferred
async def test_a_standby_keeps_what_it_needs_over_rotations(make_exchange: MakeExchange, make_feed: MakeFeed) -> None:
    exchange = await make_exchange(rate_per_s=2000)
    _, bus = make_feed(exchange)
    await until(reactor, lambda: len(bus.events()) > 20)
    standby, _ = make_feed(exchange, bus=bus, rules=OFTEN)
    await until(reactor, lambda: of_exchange(standby, "rotations") >= 2)
    bus.give_lead(bus.writers[1])
    before = len(bus.events())
    await until(reactor, lambda: len(bus.events()) > before + 200)
    bus.assert_gap_free()
    bus.assert_each_trade_once()


@pytest_twisted.ensureDeferred
async def test_an_announced_end_costs_nothing(make_exchange: MakeExchange, make_feed: MakeFeed) -> None:
    exchange = await make_exchange(rate_per_s=2000)
    feed, bus = make_feed(exchange, rules=UpstreamRules(overlap_min_s=0.1))
    await until(reactor, lambda: len(bus.events()) > 20)
    await exchange.inject(Fault(FaultKind.SHUTDOWN, seconds=5.0))
    await until(reactor, lambda: of_exchange(feed, "rotations") == 1)
    before = len(bus.events())
    await until(reactor, lambda: len(bus.events()) > before + 200)
    bus.assert_each_trade_once()
    assert was_always_live(bus)
    assert of_exchange(feed, "reconnects") == 0


@pytest_twisted.ensureDeferred
async def test_a_first_connection_that_ends_early_leaves_its_place_to_the_next_one(
    make_exchange: MakeExchange, make_feed: MakeFeed
) -> None:
    exchange = await make_exchange(rate_per_s=2000)
    feed, bus = make_feed(exchange, rules=UpstreamRules(overlap_min_s=30.0))
    await until(reactor, lambda: len(bus.events()) > 20)
    await exchange.inject(Fault(FaultKind.SHUTDOWN, seconds=1.0))
    await until(reactor, lambda: exchange.clients == 2)
    await until(reactor, lambda: of_exchange(feed, "rotations") == 1)
    before = len(bus.events())
    await until(reactor, lambda: len(bus.events()) > before + 200)
    bus.assert_each_trade_once()
    assert was_always_live(bus)
    assert exchange.clients == 1


@pytest_twisted.ensureDeferred
async def test_where_the_next_connection_cannot_be_made_the_first_one_goes_on_until_it_is_cut(
    make_exchange: MakeExchange, make_feed: MakeFeed
) -> None:
    # The exchange admits one connection in two seconds, and ends each after one.
    rules = ConnectionRules(max_life_s=1.0, attempts_per_window=1, attempt_window_s=2.0)
    exchange = await make_exchange(rate_per_s=1000, rules=rules)
    slow = UpstreamRules(rotate_after_s=0.2, rotate_jitter_s=0.0, rotation_retry_initial_s=60.0)
    feed, bus = make_feed(exchange, rules=slow)
    await until(reactor, lambda: "the next connection: " in of_exchange(feed, "last_error"))
    refused = exchange.counters.connections_refused
    before = len(bus.events())
    await until(reactor, lambda: len(bus.events()) > before + 100)
    assert feed.status()["state"] == "live"
    assert refused == exchange.counters.connections_refused == 1
    # Cut; what waited for a minute is not waited for.
    await until(reactor, lambda: of_exchange(feed, "reconnects") == 1)
    bus.assert_gap_free()
    assert of_exchange(feed, "rotations") == 0


@pytest_twisted.ensureDeferred
async def test_a_next_connection_on_which_a_symbol_is_silent_does_not_take_over(
    make_exchange: MakeExchange, make_feed: MakeFeed
) -> None:
    exchange = await make_exchange(rate_per_s=2000)
    rules = UpstreamRules(overlap_min_s=0.1, overlap_max_s=1.0, rotation_retry_initial_s=0.1)
    feed, bus = make_feed(exchange, rules=rules)
    await until(reactor, lambda: len(bus.events()) > 20)
    [first] = exchange._clients
    await exchange.inject(Fault(FaultKind.SHUTDOWN, seconds=60.0))
    await until(reactor, lambda: exchange.clients == 2)
    [following] = [client for client in exchange._clients if client is not first]
    exchange.router.unlisten(["btcusdt@trade"], following.outbox)
    await until(reactor, lambda: "such as BTCUSDT" in of_exchange(feed, "last_error"))
    assert of_exchange(feed, "rotations") == 0
    await until(reactor, lambda: of_exchange(feed, "rotations") == 1)
    before = len(bus.events())
    await until(reactor, lambda: len(bus.events()) > before + 200)
    bus.assert_each_trade_once()
    assert was_always_live(bus)


async def frames(feed: Feed, number: int) -> None:
    before = feed.status()["counters"]["frames"]
    await until(reactor, lambda: feed.status()["counters"]["frames"] > before + number)


@pytest_twisted.ensureDeferred
async def test_a_first_connection_that_lags_is_not_dropped_before_it_has_come_to_where_the_next_one_began(
    make_exchange: MakeExchange, make_feed: MakeFeed
) -> None:
    exchange = await make_exchange(rate_per_s=4000)
    feed, bus = make_feed(exchange, rules=UpstreamRules(overlap_min_s=0.1))
    await until(reactor, lambda: len(bus.events()) > 20)
    [first] = exchange._clients
    first.paused = True
    next(iter(feed.lines)).rotate()
    # For more than a second the next one alone brings anything.
    await frames(feed, 1500)
    assert of_exchange(feed, "rotations") == 0
    first.paused = False
    await until(reactor, lambda: of_exchange(feed, "rotations") == 1)
    before = len(bus.events())
    await until(reactor, lambda: len(bus.events()) > before + 200)
    bus.assert_each_trade_once()


@pytest_twisted.ensureDeferred
async def test_what_a_first_connection_had_not_brought_when_it_was_cut_is_taken_from_the_next_one(
    make_exchange: MakeExchange, make_feed: MakeFeed
) -> None:
    exchange = await make_exchange(rate_per_s=4000)
    feed, bus = make_feed(exchange, rules=UpstreamRules(overlap_min_s=30.0))
    await until(reactor, lambda: len(bus.events()) > 20)
    [first] = exchange._clients
    next(iter(feed.lines)).rotate()
    await until(reactor, lambda: exchange.clients == 2)
    await frames(feed, 500)
    first.paused = True
    await frames(feed, 500)
    first.cut()
    await until(reactor, lambda: of_exchange(feed, "rotations") == 1)
    before = len(bus.events())
    await until(reactor, lambda: len(bus.events()) > before + 200)
    bus.assert_each_trade_once()
    assert was_always_live(bus)
