"""The simulated market: repeatable, on the exchange's grid, with consistent ids, books and bars."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.instruments import DEFAULT_SYMBOLS, INSTRUMENTS, Instrument
from components.simulator.market import SimulatedMarket
from components.simulator.symbol import KINDS

START_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
SOME = INSTRUMENTS[:8]
BY_SYMBOL = {instrument.symbol: instrument for instrument in INSTRUMENTS}


def open_market(
    seed: int = 1, rate: int = 1000, instruments: tuple[Instrument, ...] = SOME, kinds: tuple[str, ...] = KINDS
) -> SimulatedMarket:
    market = SimulatedMarket(
        seed=seed, rate_per_s=rate, start_ms=START_MS, instruments=instruments, max_lag_ms=40 * HOUR_MS
    )
    for instrument in instruments:
        for kind in kinds:
            market.watch(f"{instrument.symbol.lower()}@{kind}")
    return market


def payloads(market: SimulatedMarket, for_ms: int, kind: str) -> list[Any]:
    frames = market.advance(START_MS + for_ms)
    return [json.loads(payload) for stream, payload in frames if stream.partition("@")[2] == kind]


def test_there_are_at_least_a_hundred_instruments_with_prices_on_their_grid() -> None:
    assert len(set(DEFAULT_SYMBOLS)) == len(INSTRUMENTS) >= 100
    for instrument in INSTRUMENTS:
        assert Decimal(instrument.price) > 0
        assert Decimal(instrument.price) % Decimal(instrument.tick_size) == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**63 - 1), st.lists(st.integers(1, 700), min_size=1, max_size=20))
def test_the_same_seed_gives_the_same_frames_in_whatever_steps_time_is_told(seed: int, steps: list[int]) -> None:
    one, other = open_market(seed), open_market(seed)
    now_ms, in_steps = START_MS, []
    for step in steps:
        now_ms += step
        in_steps += one.advance(now_ms)
    assert in_steps == other.advance(now_ms)


def test_another_seed_gives_other_prices() -> None:
    assert open_market(1).advance(START_MS + 500) != open_market(2).advance(START_MS + 500)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3000))
def test_who_listens_changes_nothing_about_trades(seed: int, later_ms: int) -> None:
    always, late = open_market(seed, kinds=("trade",)), open_market(seed, kinds=())
    always.advance(START_MS + later_ms)
    late.advance(START_MS + later_ms)
    for instrument in SOME:
        late.watch(f"{instrument.symbol.lower()}@trade")
    assert always.advance(START_MS + later_ms + 500) == late.advance(START_MS + later_ms + 500)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.integers(100, 50_000))
def test_trades_are_on_the_grid_and_their_ids_have_no_holes(seed: int, rate: int) -> None:
    last: dict[str, int] = {}
    for trade in payloads(open_market(seed, rate), 300, "trade"):
        instrument = BY_SYMBOL[trade["s"]]
        assert trade["t"] == last.get(trade["s"], trade["t"] - 1) + 1
        last[trade["s"]] = trade["t"]
        assert Decimal(trade["p"]) > 0
        assert Decimal(trade["p"]) % Decimal(instrument.tick_size) == 0
        assert Decimal(trade["q"]) > 0
        assert Decimal(trade["q"]) % Decimal(instrument.step_size) == 0
        assert START_MS <= trade["T"] <= START_MS + 300


@pytest.mark.parametrize("rate", [1, 7, 500, 50_000])
def test_the_rate_is_kept_over_all_symbols(rate: int) -> None:
    market = open_market(rate=rate, instruments=INSTRUMENTS, kinds=())
    market.advance(START_MS + 4_000)
    assert 4 * rate <= market.trades_made <= 4 * rate + 3


def test_a_changed_rate_holds_from_that_moment() -> None:
    market = open_market(rate=100, kinds=())
    market.advance(START_MS + 1_000)
    before = market.trades_made
    market.rate_per_s = 5_000
    market.advance(START_MS + 2_000)
    assert 5_000 <= market.trades_made - before <= 5_003


def test_an_aggregate_covers_exactly_its_trades() -> None:
    frames = [(stream, json.loads(payload)) for stream, payload in open_market().advance(START_MS + 2_000)]
    trades = {(trade["s"], trade["t"]): trade for stream, trade in frames if stream.endswith("@trade")}
    covered = 0
    last: dict[str, int] = {}
    for stream, aggregate in frames:
        if not stream.endswith("@aggTrade"):
            continue
        symbol = aggregate["s"]
        assert aggregate["a"] == last.get(symbol, aggregate["a"] - 1) + 1
        last[symbol] = aggregate["a"]
        parts = [trades[symbol, number] for number in range(aggregate["f"], aggregate["l"] + 1)]
        covered += len(parts)
        assert sum(Decimal(part["q"]) for part in parts) == Decimal(aggregate["q"])
        assert {(part["p"], part["m"], part["T"]) for part in parts} == {
            (aggregate["p"], aggregate["m"], aggregate["T"])
        }
    assert covered == len(trades) > len(last)


def test_the_best_bid_is_below_the_best_ask_and_trades_happen_at_one_of_them() -> None:
    best: dict[str, tuple[Decimal, Decimal]] = {}
    compared = 0
    for stream, payload in open_market().advance(START_MS + 2_000):
        fields = json.loads(payload)
        if stream.endswith("@bookTicker"):
            best[fields["s"]] = bid, ask = Decimal(fields["b"]), Decimal(fields["a"])
            assert bid < ask
            assert bid % Decimal(BY_SYMBOL[fields["s"]].tick_size) == 0
            assert ask % Decimal(BY_SYMBOL[fields["s"]].tick_size) == 0
        elif stream.endswith("@trade") and fields["s"] in best:
            assert Decimal(fields["p"]) == best[fields["s"]][0 if fields["m"] else 1]
            compared += 1
    assert compared > 1_000


def test_depth_updates_are_contiguous_and_lead_from_snapshot_to_book() -> None:
    market = open_market(kinds=("depth@100ms",))
    books: dict[str, dict[str, dict[str, str]]] = {}
    local: dict[str, int] = {}
    for symbol in market.symbols.values():
        snapshot = json.loads(symbol.depth_snapshot())
        books[symbol.instrument.symbol] = {"b": dict(snapshot["bids"]), "a": dict(snapshot["asks"])}
        local[symbol.instrument.symbol] = snapshot["lastUpdateId"]
    for update in payloads(market, 10_000, "depth@100ms"):
        assert update["U"] == local[update["s"]] + 1 <= update["u"]
        assert update["E"] % 100 == 0
        local[update["s"]] = update["u"]
        for side in ("b", "a"):
            levels = books[update["s"]][side]
            for price, quantity in update[side]:
                if Decimal(quantity) == 0:
                    del levels[price]
                else:
                    levels[price] = quantity
    for symbol in market.symbols.values():
        snapshot = json.loads(symbol.depth_snapshot())
        if snapshot["lastUpdateId"] == local[symbol.instrument.symbol]:
            assert books[symbol.instrument.symbol] == {"b": dict(snapshot["bids"]), "a": dict(snapshot["asks"])}
        bids = [Decimal(price) for price, _ in snapshot["bids"]]
        asks = [Decimal(price) for price, _ in snapshot["asks"]]
        assert bids == sorted(bids, reverse=True)
        assert asks == sorted(asks)
        assert bids[0] < asks[0]


def test_a_closed_minute_is_the_sum_of_its_trades() -> None:
    market = open_market(rate=200)
    frames = [(stream, json.loads(payload)) for stream, payload in market.advance(START_MS + 130_000)]
    trades = [trade for stream, trade in frames if stream.endswith("@trade")]
    bars = [bar["k"] for stream, bar in frames if stream.endswith("@kline_1m") and bar["k"]["x"]]
    whole = [bar for bar in bars if bar["t"] >= START_MS]
    assert len(whole) == len(SOME)
    for bar in whole:
        within = [trade for trade in trades if trade["s"] == bar["s"] and bar["t"] <= trade["T"] <= bar["T"]]
        prices = [Decimal(trade["p"]) for trade in within]
        assert (bar["n"], bar["f"], bar["L"]) == (len(within), within[0]["t"], within[-1]["t"])
        assert [Decimal(bar[key]) for key in "ohlc"] == [prices[0], max(prices), min(prices), prices[-1]]
        assert Decimal(bar["v"]) == sum(Decimal(trade["q"]) for trade in within)
        assert Decimal(bar["q"]) == sum(Decimal(trade["q"]) * Decimal(trade["p"]) for trade in within)
        bought = [trade for trade in within if not trade["m"]]
        assert Decimal(bar["V"]) == sum((Decimal(trade["q"]) for trade in bought), Decimal(0))


def test_a_minute_without_trades_keeps_the_last_close() -> None:
    market = open_market(rate=1, instruments=INSTRUMENTS[:1], kinds=("kline_1m",))
    symbol = market.symbols["btcusdt"]
    market.advance(START_MS)
    closing = json.loads(symbol.kline(START_MS, START_MS - 60_000))["k"]
    assert (closing["n"], closing["f"], closing["L"], closing["v"]) == (0, -1, -1, "0.00000000")
    assert closing["o"] == closing["c"] == "62520.15000000"


def day_of(market: SimulatedMarket, symbol: str, time_ms: int) -> dict[str, Any]:
    ticker: dict[str, Any] = json.loads(market.symbols[symbol].mini_ticker(time_ms))
    return ticker


def test_the_mini_ticker_covers_the_day_so_far_and_the_one_before() -> None:
    market = open_market(rate=100)
    before = day_of(market, "btcusdt", START_MS)
    frames = [(stream, json.loads(payload)) for stream, payload in market.advance(START_MS + 200_000)]
    tickers = [ticker for stream, ticker in frames if stream == "btcusdt@miniTicker"]
    last = tickers[-1]
    trades = [trade for stream, trade in frames if stream == "btcusdt@trade" and trade["T"] < last["E"]]
    assert Decimal(last["v"]) - Decimal(before["v"]) == sum(Decimal(trade["q"]) for trade in trades)
    # What is beyond eight decimals is cut off once per figure.
    turnover = sum(Decimal(trade["q"]) * Decimal(trade["p"]) for trade in trades)
    assert abs(Decimal(last["q"]) - Decimal(before["q"]) - turnover) <= Decimal("0.00000001")
    assert last["o"] == before["o"]
    assert last["c"] == trades[-1]["p"]
    assert Decimal(last["l"]) <= Decimal(last["o"]) <= Decimal(last["h"])
    assert all(ticker["E"] % 1000 == 0 for ticker in tickers)
    for earlier, later in pairwise(tickers):
        assert Decimal(earlier["v"]) <= Decimal(later["v"])
        assert Decimal(later["l"]) <= Decimal(later["c"]) <= Decimal(later["h"])


def test_a_market_has_a_plausible_day_behind_it_that_ends_where_its_trades_begin() -> None:
    market, again, other = (open_market(seed, rate=500, instruments=INSTRUMENTS) for seed in (1, 1, 2))
    moved = set()
    for instrument in INSTRUMENTS:
        name, price = instrument.symbol.lower(), Decimal(instrument.price)
        day = day_of(market, name, START_MS)
        assert day == day_of(again, name, START_MS) != day_of(other, name, START_MS)
        assert Decimal(day["c"]) == price
        for figure in "ohl":
            assert Decimal(day[figure]) % Decimal(instrument.tick_size) == 0
            assert price * Decimal("0.8") < Decimal(day[figure]) < price * Decimal("1.2")
        assert Decimal(day["l"]) <= min(Decimal(day["o"]), price) <= max(Decimal(day["o"]), price) <= Decimal(day["h"])
        assert Decimal(day["v"]) % Decimal(instrument.step_size) == 0
        assert Decimal(day["l"]) * Decimal(day["v"]) <= Decimal(day["q"]) <= Decimal(day["h"]) * Decimal(day["v"])
        moved.add(day["o"] != day["c"])
    assert True in moved


def test_an_hour_of_the_day_before_is_as_busy_as_one_of_the_days_trades() -> None:
    market = open_market(rate=100, instruments=INSTRUMENTS[:2], kinds=())
    before = Decimal(day_of(market, "btcusdt", START_MS)["v"])
    market.advance(START_MS + HOUR_MS // 6)
    traded = Decimal(day_of(market, "btcusdt", START_MS)["v"]) - before
    assert before / 23 / 2 < traded * 6 < before / 23 * 2


def test_the_day_forgets_what_is_older_than_24_hours() -> None:
    market = open_market(rate=1, instruments=INSTRUMENTS[:1], kinds=("trade",))
    end_ms = START_MS + 30 * HOUR_MS
    trades = payloads(market, 30 * HOUR_MS, "trade")
    begin_ms = end_ms // HOUR_MS * HOUR_MS - 23 * HOUR_MS
    volume = Decimal(json.loads(market.symbols["btcusdt"].mini_ticker(end_ms))["v"])
    assert volume == sum(Decimal(trade["q"]) for trade in trades if trade["T"] >= begin_ms)


def test_missed_time_is_skipped_and_counted_instead_of_made_up_for() -> None:
    market = SimulatedMarket(seed=1, rate_per_s=1000, start_ms=START_MS, instruments=SOME)
    market.watch("btcusdt@kline_1m")
    market.advance(START_MS + 300_000)
    assert market.skipped_ms == 299_000
    assert 1_000 <= market.trades_made <= 1_010
    closed = [json.loads(payload)["k"]["t"] for _, payload in market.advance(START_MS + 360_000)]
    assert all(open_ms % 60_000 == 0 for open_ms in closed)


def test_prices_stay_near_their_start_for_a_million_trades() -> None:
    market = open_market(rate=50_000, kinds=())
    market.advance(START_MS + 20_000)
    for symbol in market.symbols.values():
        start = Decimal(symbol.instrument.price)
        bid = Decimal(json.loads(symbol.book_ticker())["b"])
        assert start / 2 < bid < start * 2


def test_a_stream_nobody_watches_makes_no_frames() -> None:
    market = open_market()
    for instrument in SOME:
        for kind in KINDS:
            market.unwatch(f"{instrument.symbol.lower()}@{kind}")
    market.watch("nosuchusdt@trade")
    market.watch("btcusdt@nosuchkind")
    assert market.advance(START_MS + 5_000) == []


def test_a_market_without_instruments_or_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one instrument"):
        SimulatedMarket(seed=1, rate_per_s=1, start_ms=0, instruments=())
    with pytest.raises(ValueError, match="rate_per_s must be >= 1, was 0"):
        SimulatedMarket(seed=1, rate_per_s=0, start_ms=0)
