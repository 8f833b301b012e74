"""A feed at the simulated exchange, writing to a bus that the test can look into."""

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
from components.simulator.market import SimulatedMarket
from components.simulator.server import SimulatedExchange
from tests.feed.conftest import SYMBOLS
from tests.feed.memory_bus import MemoryBus
from tests.harness.client import until
from tests.harness.reactor import ReactorOnClock

MakeExchange = Callable[..., Awaitable[SimulatedExchange]]
MakeFeed = Callable[..., tuple[Feed, MemoryBus]]


def state(feed: Feed) -> str:
    return str(feed.status()["state"])


def counter(feed: Feed, name: str) -> int:
    return int(feed.status()["counters"][name])


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("trade_stream", ["trade", "aggTrade"])
async def test_every_trade_that_was_sent_is_written_digit_for_digit(
    make_exchange: MakeExchange, make_feed: MakeFeed, trade_stream: str
) -> None:
    sent: list[dict[str, Any]] = []

    def note(stream: str, payload: bytes) -> None:
        if stream.endswith(trade_stream):
            sent.append(json.loads(payload))

    exchange = await make_exchange(on_frame=note)
    feed, bus = make_feed(exchange, trade_stream=trade_stream)
    await until(reactor, lambda: len(sent) >= 100)
    await until(reactor, lambda: len(bus.events("USDT")) >= 100)
    written = {(p["symbol"], p["id"]): (p["price"], p["volume"], p["side"], p["ts"]) for _, _, p in bus.events("USDT")}
    number = "t" if trade_stream == "trade" else "a"
    for trade in sent[:100]:
        side = "sell" if trade["m"] else "buy"
        assert written[trade["s"], trade[number]] == (trade["p"], trade["q"], side, trade["T"])
    bus.assert_gap_free()
    assert counter(feed, "gaps") == counter(feed, "malformed") == 0


@pytest_twisted.ensureDeferred
async def test_many_symbols_are_subscribed_in_few_paced_messages(
    make_exchange: MakeExchange, make_feed: MakeFeed
) -> None:
    exchange = await make_exchange()
    symbols = (*SYMBOLS, *(f"NONE{number}USDT" for number in range(60)))
    feed, bus = make_feed(
        exchange, symbols=symbols, rules=UpstreamRules(params_per_message=20, message_interval_s=0.25)
    )
    await until(reactor, lambda: state(feed) == "live")
    await until(reactor, lambda: len({topic for topic, _, _ in bus.events()}) == 9)
    assert exchange.counters.policy_closes == 0


@pytest_twisted.ensureDeferred
async def test_more_streams_than_a_connection_may_carry_take_more_connections(
    make_exchange: MakeExchange, make_feed: MakeFeed
) -> None:
    exchange = await make_exchange()
    symbols = (*(f"NONE{number}USDT" for number in range(600)), *SYMBOLS)
    feed, bus = make_feed(exchange, symbols=symbols)
    await until(reactor, lambda: state(feed) == "live")
    assert exchange.clients == 2
    await until(reactor, lambda: len({topic for topic, _, _ in bus.events()}) == 9)


@pytest_twisted.ensureDeferred
async def test_a_lost_connection_is_made_anew_and_seq_goes_on(make_exchange: MakeExchange, make_feed: MakeFeed) -> None:
    exchange = await make_exchange()
    feed, bus = make_feed(exchange)
    await until(reactor, lambda: len(bus.events()) > 20)
    await exchange.inject(Fault(FaultKind.CUT))
    await until(reactor, lambda: int(feed.status()["exchange"]["reconnects"]) == 1)
    before = len(bus.events())
    await until(reactor, lambda: len(bus.events()) > before + 20)
    bus.assert_gap_free()
    assert {"connecting", "live"} <= {status["state"] for status in bus.statuses}


@pytest_twisted.ensureDeferred
async def test_a_feed_is_ready_to_lead_while_its_connection_is_live(
    make_exchange: MakeExchange, make_feed: MakeFeed
) -> None:
    exchange = await make_exchange()
    feed, _ = make_feed(exchange)
    assert not feed.ready
    await until(reactor, lambda: state(feed) == "live")
    assert feed.ready
    await exchange.inject(Fault(FaultKind.CUT))
    await until(reactor, lambda: not feed.ready)
    await until(reactor, lambda: feed.ready)


@pytest_twisted.ensureDeferred
async def test_an_exchange_that_was_down_is_found_within_five_seconds(
    make_exchange: MakeExchange, make_feed: MakeFeed
) -> None:
    exchange = await make_exchange()
    feed, bus = make_feed(exchange)
    await until(reactor, lambda: len(bus.events()) > 20)
    await exchange.inject(Fault(FaultKind.DOWN, seconds=3.0))
    await until(reactor, lambda: state(feed) == "connecting")
    before = len(bus.events())
    await until(reactor, lambda: len(bus.events()) > before, timeout_s=3.0 + 5.0)
    bus.assert_gap_free()


@pytest_twisted.ensureDeferred
async def test_an_exchange_started_anew_with_lower_trade_ids_is_followed(
    make_exchange: MakeExchange, make_feed: MakeFeed
) -> None:
    exchange = await make_exchange(rate_per_s=2000)
    port = int(exchange.url.rpartition(":")[2])
    feed, bus = make_feed(exchange)
    await until(reactor, lambda: counter(feed, "ticks") > 200)
    await exchange.stop()
    before = counter(feed, "ticks")
    # So slow that it is still behind the first one's ids when the feed has found it.
    await make_exchange(port=port, rate_per_s=100)
    await until(reactor, lambda: counter(feed, "ticks") > before + 3)
    bus.assert_gap_free()
    assert counter(feed, "id_resets") > 0


@pytest_twisted.ensureDeferred
async def test_malformed_frames_are_counted_and_skipped(make_exchange: MakeExchange, make_feed: MakeFeed) -> None:
    exchange = await make_exchange()
    feed, bus = make_feed(exchange)
    await until(reactor, lambda: len(bus.events()) > 5)
    await exchange.inject(Fault(FaultKind.MALFORMED))
    await until(reactor, lambda: counter(feed, "malformed") > 0)
    before = len(bus.events())
    await until(reactor, lambda: len(bus.events()) > before)
    assert state(feed) == "live"
    assert feed.status()["exchange"]["reconnects"] == 0


@pytest_twisted.ensureDeferred
async def test_duplicates_are_dropped_and_gaps_counted(make_exchange: MakeExchange, make_feed: MakeFeed) -> None:
    exchange = await make_exchange()
    feed, bus = make_feed(exchange)
    await until(reactor, lambda: len(bus.events()) > 5)
    await exchange.inject(Fault(FaultKind.DUPLICATE, symbol="BTCUSDT"))
    await until(reactor, lambda: counter(feed, "duplicates") > 0)
    await exchange.inject(Fault(FaultKind.GAP, symbol="BTCUSDT"))
    await until(reactor, lambda: counter(feed, "missed_trades") > 0)
    bus.assert_gap_free()


@pytest_twisted.ensureDeferred
async def test_a_symbol_that_falls_silent_is_named_and_asked_for_again(
    make_exchange: MakeExchange, make_feed: MakeFeed
) -> None:
    exchange = await make_exchange()
    feed, bus = make_feed(exchange, stale_after_s=1.0)
    await until(reactor, lambda: len(bus.events()) > 20)
    await exchange.inject(Fault(FaultKind.SILENT, symbol="ETHUSDT"))
    await until(reactor, lambda: feed.status()["stale"] == ["ETHUSDT"])
    before = len(bus.events("BTCUSDT"))
    await until(reactor, lambda: len(bus.events("BTCUSDT")) > before)
    await exchange.inject(Fault(FaultKind.RESUME))
    await until(reactor, lambda: feed.status()["stale"] == [])
    assert feed.status()["exchange"]["reconnects"] == 0
    assert exchange.counters.policy_closes == 0


class ForgetfulMarket(SimulatedMarket):
    """Acknowledges a subscription to statistics and then forgets it, unless it is asked again."""

    def __init__(self) -> None:
        super().__init__(seed=1, rate_per_s=200, start_ms=int(reactor.seconds() * 1000))  # type: ignore[attr-defined]
        self.asked: list[str] = []

    def watch(self, stream: str) -> None:
        self.asked.append(stream)
        if not stream.endswith("@miniTicker") or self.asked.count(stream) > 1:
            super().watch(stream)


@pytest_twisted.ensureDeferred
async def test_statistics_that_fall_silent_are_asked_for_again_and_nothing_else(
    make_exchange: MakeExchange, make_feed: MakeFeed
) -> None:
    clock = ReactorOnClock()
    market = ForgetfulMarket()
    exchange = await make_exchange(source=market)
    feed, bus = make_feed(exchange, clock=clock, stale_after_s=30.0)
    await until(reactor, lambda: len({topic for topic, _, _ in bus.events()}) == 6)
    first = len(market.asked)
    for _ in range(2):
        # So long that they are due, and so short that the prices are not.
        clock.advance(20.0)
        before = len(bus.events())
        await until(reactor, lambda before=before: len(bus.events()) > before + 100)  # type: ignore[misc]
    assert feed.status()["stale"] == []

    def all_are_back() -> bool:
        clock.advance(0.1)
        return len(bus.events(".day")) > 0 and len({topic for topic, _, _ in bus.events()}) == 9

    await until(reactor, all_are_back)
    assert {stream.partition("@")[2] for stream in market.asked[first:]} == {"miniTicker"}
    bus.assert_gap_free()


@pytest_twisted.ensureDeferred
async def test_without_the_setting_no_statistics_are_asked_for(
    make_exchange: MakeExchange, make_feed: MakeFeed
) -> None:
    exchange = await make_exchange()
    feed, bus = make_feed(exchange, day=False)
    await until(reactor, lambda: len({topic for topic, _, _ in bus.events()}) == 6)
    assert not exchange.router.has_listeners("btcusdt@miniTicker")
    assert exchange.router.has_listeners("btcusdt@bookTicker")
    assert counter(feed, "day_updates") == 0


@pytest_twisted.ensureDeferred
async def test_a_connection_on_which_nothing_comes_is_given_up(
    make_exchange: MakeExchange, make_feed: MakeFeed
) -> None:
    clock = ReactorOnClock()
    exchange = await make_exchange()
    feed, bus = make_feed(exchange, clock=clock)
    await until(reactor, lambda: len(bus.events()) > 20)
    await exchange.inject(Fault(FaultKind.SILENT))

    def given_up() -> bool:
        # Twice at least: what came before the silence counts for the first time.
        clock.advance(UpstreamRules().idle_timeout_s)
        return "no frame for 30 s" in feed.status()["exchange"]["last_error"]

    await until(reactor, given_up)
    await exchange.inject(Fault(FaultKind.RESUME))
    before = len(bus.events())
    clock.advance(3.0)
    await until(reactor, lambda: len(bus.events()) > before)


@pytest_twisted.ensureDeferred
async def test_a_full_bus_stops_the_reading_and_nothing_is_lost(
    make_exchange: MakeExchange, make_feed: MakeFeed
) -> None:
    exchange = await make_exchange(rate_per_s=2000)
    feed, bus = make_feed(exchange)
    _, witness = make_feed(exchange)
    await until(reactor, lambda: len(bus.events()) > 100)
    feed.pause()
    # What had been read already is still written; then there is silence, for as long as another feed gets a lot.
    after_pause = len(witness.events())
    await until(reactor, lambda: len(witness.events()) > after_pause + 100)
    before = len(bus.batches)
    await until(reactor, lambda: len(witness.events()) > after_pause + 1000)
    assert len(bus.batches) == before
    feed.resume()
    await until(reactor, lambda: len(bus.batches) > before + 20)
    bus.assert_gap_free()
    assert counter(feed, "gaps") == 0
    assert counter(feed, "upstream_paused") == 1


@pytest_twisted.ensureDeferred
async def test_a_policy_violation_is_followed_by_patience(make_exchange: MakeExchange, make_feed: MakeFeed) -> None:
    clock = ReactorOnClock()
    exchange = await make_exchange()
    feed, bus = make_feed(exchange, clock=clock)
    await until(reactor, lambda: len(bus.events()) > 5)
    await exchange.inject(Fault(FaultKind.POLICY_VIOLATION))
    await until(reactor, lambda: "1008" in feed.status()["exchange"]["last_error"])
    before = clock.lookups
    clock.advance(9.9)
    assert clock.lookups == before
    clock.advance(2.6)
    assert clock.lookups == before + 1
    await until(reactor, lambda: state(feed) == "live")
