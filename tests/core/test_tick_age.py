"""The exchange's time of a batch's first trade."""

from __future__ import annotations

import pytest

from components.core.binance import Trade, parse_frame
from components.core.sequencer import Sequencer
from components.core.tick_age import LOOKED_AT, trade_time_ms

BOOK = (
    "market.A.book",
    1,
    b'{"symbol":"A","bid":1,"bid_volume":1,"ask":2,"ask_volume":1,"received_ts":5,"id":1,"seq":1}',
)
TICK = ("market.A", 1, b'{"symbol":"A","price":1,"volume":1,"side":"buy","ts":1700000000123,"id":1,"seq":1}')
LATER = ("market.A", 2, b'{"symbol":"A","price":1,"volume":1,"side":"buy","ts":1700000000999,"id":2,"seq":2}')


def test_it_is_the_first_trades() -> None:
    assert trade_time_ms([BOOK, TICK, LATER]) == 1_700_000_000_123


def test_best_prices_have_no_such_time() -> None:
    assert trade_time_ms([]) is None
    assert trade_time_ms([BOOK, BOOK]) is None


def test_statistics_of_a_day_are_no_trades() -> None:
    day = ("market.A.day", 1, b'{"symbol":"A","last":1,"ts":1600000000000,"seq":1}')
    assert trade_time_ms([day]) is None
    assert trade_time_ms([day, TICK]) == 1_700_000_000_123


def test_few_events_are_looked_at() -> None:
    assert trade_time_ms([BOOK] * (LOOKED_AT - 1) + [TICK]) == 1_700_000_000_123
    assert trade_time_ms([BOOK] * LOOKED_AT + [TICK]) is None


@pytest.mark.parametrize("payload", [b'{"ts":"x",', b'{"ts":', b'{"ts":-5,', b'{"ts":1e9,', b'{"ts":null}'])
def test_what_is_no_time_is_none(payload: bytes) -> None:
    assert trade_time_ms([("market.A", 1, payload)]) is None


def test_it_is_found_in_what_the_feed_makes() -> None:
    trade = parse_frame(
        b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1700000000456,"s":"BTCUSDT","t":7,"p":"1.5","q":"2",'
        b'"T":1700000000123,"m":true,"M":true}}'
    )
    assert isinstance(trade, Trade)
    sequencer = Sequencer(("BTCUSDT",))
    sequencer.begin_epoch()
    event = sequencer.tick(trade)
    assert event is not None
    assert trade_time_ms([event]) == trade.ts_ms == 1_700_000_000_123
