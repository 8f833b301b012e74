"""Binance's public trade dumps: exact digits, times in ms and µs, and errors that name the column."""

from __future__ import annotations

import json

import pytest

from components.core.binance import Trade, parse_frame
from components.core.trade_dumps import RowReader, TradeDump, dump_named, is_header

TRADES = TradeDump("BTCUSDT", aggregated=False)
AGGREGATES = TradeDump("BTCUSDT", aggregated=True)


@pytest.mark.parametrize(
    ("name", "dump"),
    [
        ("BTCUSDT-trades-2026-07-01.zip", TRADES),
        ("BTCUSDT-trades-2026-07.csv", TRADES),
        ("BTCUSDT-aggTrades-2026-07-01.csv.gz", AGGREGATES),
        ("1INCHUSDT-trades-2026-07-01.zip", TradeDump("1INCHUSDT", aggregated=False)),
        ("BTCUSDT-klines-2026-07-01.zip", None),
        ("btcusdt-trades-2026-07-01.zip", None),
        ("trades.csv", None),
    ],
)
def test_a_dumps_name_says_what_it_holds(name: str, dump: TradeDump | None) -> None:
    assert dump_named(name) == dump


def test_a_trade_is_the_message_that_the_exchange_sent() -> None:
    frame = RowReader(TRADES).frame(b"5,62520.15000000,0.00010000,6.25201500,1700000000123,True,True")
    assert (frame.time_s, frame.stream) == (1700000000.123, "btcusdt@trade")
    assert frame.payload == (
        b'{"e":"trade","E":1700000000123,"s":"BTCUSDT","t":5,"p":"62520.15000000","q":"0.00010000",'
        b'"T":1700000000123,"m":true,"M":true}'
    )
    trade = parse_frame(b'{"stream":"btcusdt@trade","data":%b}' % frame.payload)
    assert trade == Trade("BTCUSDT", "62520.15000000", "0.00010000", "sell", 1700000000123, 5, 5, 5)


def test_an_aggregate_is_the_message_that_the_exchange_sent() -> None:
    frame = RowReader(AGGREGATES).frame(b"9,0.1,200,17,19,1700000000123,false,true\r")
    trade = parse_frame(b'{"stream":"btcusdt@aggTrade","data":%b}' % frame.payload)
    assert trade == Trade("BTCUSDT", "0.1", "200", "buy", 1700000000123, 9, 17, 19)


def test_times_in_microseconds_decide_the_order_and_are_told_in_ms() -> None:
    frame = RowReader(TRADES).frame(b"5,1,2,2,1750000000123456,False,True")
    assert frame.time_s == 1750000000.123456
    assert json.loads(frame.payload)["T"] == 1750000000123


def test_a_dump_of_futures_has_a_header_and_a_column_less() -> None:
    assert is_header(b"id,price,qty,quote_qty,time,is_buyer_maker")
    assert not is_header(b"5,1,2,2,1700000000123,true")
    assert json.loads(RowReader(TRADES).frame(b"5,1,2,2,1700000000123,true").payload)["M"] is True


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (b"5,1,2", "must have 7 columns, had 3"),
        (b"5,1e5,2,2,1700000000123,true,true", "column price is '1e5'"),
        (b"5,1,-2,2,1700000000123,true,true", "column qty is '-2'"),
        (b"07,1,2,2,1700000000123,true,true", "column id is '07'"),
        (b"5,1,2,2,1700000000,true,true", "column time is '1700000000'"),
        (b"5,1,2,2,1700000000123,yes,true", "column isBuyerMaker is 'yes'"),
        (b'5,"1,2,2,1700000000123,true,true', "column price is '\"1'"),
    ],
)
def test_a_row_that_is_none_says_which_column(row: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("(", "\\(")):
        RowReader(TRADES).frame(row)
