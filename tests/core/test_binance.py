"""Frames of the exchange, as documented and as recorded."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.binance import (
    BookTicker,
    Ignored,
    MalformedFrame,
    MiniTicker,
    Reply,
    ServerShutdown,
    Trade,
    parse_frame,
)
from components.core.recording import read_recording

TRADE = {"e": "trade", "E": 5, "s": "BNBBTC", "t": 12345, "p": "0.00100000", "q": "100", "T": 4, "m": True, "M": True}


def combined(stream: str, data: object) -> bytes:
    return json.dumps({"stream": stream, "data": data}).encode()


def test_a_trade_keeps_the_exchanges_digits_and_time() -> None:
    assert parse_frame(combined("bnbbtc@trade", TRADE)) == Trade(
        "BNBBTC", "0.00100000", "100", "sell", 4, 12345, 12345, 12345
    )


def test_the_takers_side_is_buy_when_the_buyer_was_not_the_maker() -> None:
    trade = parse_frame(combined("bnbbtc@trade", TRADE | {"m": False}))
    assert isinstance(trade, Trade)
    assert trade.side == "buy"


def test_an_aggregate_trade_spans_the_trades_it_holds() -> None:
    data = {
        "e": "aggTrade",
        "E": 5,
        "s": "BNBBTC",
        "a": 7,
        "p": "0.001",
        "q": "100",
        "f": 100,
        "l": 105,
        "T": 4,
        "m": False,
    }
    assert parse_frame(combined("bnbbtc@aggTrade", data)) == Trade("BNBBTC", "0.001", "100", "buy", 4, 7, 100, 105)


def test_a_book_ticker_has_both_sides() -> None:
    data = {"u": 400, "s": "BNBUSDT", "b": "25.35190000", "B": "31.21", "a": "25.36520000", "A": "40.66"}
    assert parse_frame(combined("bnbusdt@bookTicker", data)) == BookTicker(
        "BNBUSDT", 400, "25.35190000", "31.21", "25.36520000", "40.66"
    )


def test_a_mini_ticker_is_taken_as_documented() -> None:
    # Source: Binance's spot API documentation, "Individual Symbol Mini Ticker Stream".
    data = {
        "e": "24hrMiniTicker",
        "E": 1672515782136,
        "s": "BNBBTC",
        "c": "0.0025",
        "o": "0.0010",
        "h": "0.0025",
        "l": "0.0010",
        "v": "10000",
        "q": "18",
    }
    assert parse_frame(combined("bnbbtc@miniTicker", data)) == MiniTicker(
        "BNBBTC", 1672515782136, "0.0025", "0.0010", "0.0025", "0.0010", "10000", "18"
    )


def test_fields_never_seen_before_are_ignored() -> None:
    frame = json.dumps({"stream": "bnbbtc@trade", "data": TRADE | {"X": [1], "st": "x"}, "new": {}}).encode()
    assert isinstance(parse_frame(frame), Trade)


@pytest.mark.parametrize("kind", ["kline_1m", "depth@100ms", "miniTicker@1s", "ticker", "somethingNew"])
def test_other_streams_are_ignored_not_malformed(kind: str) -> None:
    assert parse_frame(combined(f"bnbbtc@{kind}", {"whatever": 1})) == Ignored(f"bnbbtc@{kind}")


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (b'{"result":null,"id":1}', Reply(1, None)),
        (b'{"result":["a@trade"],"id":"x1"}', Reply("x1", None)),
        (b'{"code":2,"msg":"Invalid request: bad id","id":3}', Reply(3, "2: Invalid request: bad id")),
        (b'{"error":{"code":2,"msg":"no"},"id":4}', Reply(4, '{"code":2,"msg":"no"}')),
        (b'{"e":"serverShutdown","E":1}', ServerShutdown()),
        (b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}', ServerShutdown()),
    ],
)
def test_control_frames_say_what_they_mean(frame: bytes, expected: object) -> None:
    assert parse_frame(frame) == expected


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"null",
        b"[1,2]",
        b"{}",
        b'{"stream":"bnbbtc@trade"}',
        b'{"stream":"bnbbtc@trade","data":{"e":"trade","s":"BNB',
        b'{"stream":5,"data":{}}',
        b'{"stream":"bnbbtc@trade","data":[]}',
        b"\xff\xfe",
        b'{"stream":"bnbbtc@trade","data":{"s":"\xff"}}',
        combined("bnbbtc@miniTicker", {"whatever": 1}),
        combined("bnbbtc@trade", TRADE | {"p": 1.5}),
        combined("bnbbtc@trade", TRADE | {"t": "12345"}),
        combined("bnbbtc@trade", {key: value for key, value in TRADE.items() if key != "q"}),
        combined("a@aggTrade", {"s": "A", "a": 7, "p": "1", "q": "1", "f": 106, "l": 105, "T": 4, "m": False}),
    ],
)
def test_what_the_exchange_does_not_document_is_malformed(frame: bytes) -> None:
    with pytest.raises(MalformedFrame):
        parse_frame(frame)


@pytest.mark.parametrize(
    "price",
    [
        "",
        "1e5",
        "-1",
        "+1",
        "01",
        ".5",
        "5.",
        "NaN",
        "Infinity",
        "1,5",
        "1 ",
        "0x1",
        "١",
        '1"',
        "9" * 19,
        "0." + "1" * 19,
    ],
)
def test_a_price_that_may_not_stand_in_json_is_malformed(price: str) -> None:
    with pytest.raises(MalformedFrame):
        parse_frame(combined("bnbbtc@trade", TRADE | {"p": price}))


BOOK_TICKER = {"u": 400, "s": "BNBUSDT", "b": "25.35190000", "B": "31.21", "a": "25.36520000", "A": "40.66"}
MINI_TICKER = {"E": 4, "s": "A", "c": "2.50", "o": "1", "h": "3", "l": "0.5", "v": "10", "q": "20.00"}
AGG_TRADE = {"s": "A", "a": 7, "p": "1", "q": "2", "f": 7, "l": 7, "T": 4, "m": False}


@pytest.mark.parametrize(
    ("stream", "data", "names"),
    [
        ("a@trade", TRADE, "pq"),
        ("a@aggTrade", AGG_TRADE, "pq"),
        ("a@bookTicker", BOOK_TICKER, "bBaA"),
        ("a@miniTicker", MINI_TICKER, "cohlvq"),
    ],
)
@pytest.mark.parametrize("text", ["", " ", "1 2", "1 ", " 1", "1\n", "01", "-1"])
def test_each_price_and_volume_must_be_a_decimal_by_itself(
    stream: str, data: dict[str, object], names: str, text: str
) -> None:
    assert isinstance(parse_frame(combined(stream, data)), Trade | BookTicker | MiniTicker)
    for name in names:
        with pytest.raises(MalformedFrame, match=f"^{name} must be a plain decimal"):
            parse_frame(combined(stream, data | {name: text}))


def test_two_fields_cannot_make_up_for_each_other() -> None:
    with pytest.raises(MalformedFrame, match=r"^p must be"):
        parse_frame(combined("a@trade", TRADE | {"p": "1 2", "q": ""}))


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_malformed_frame(frame: bytes) -> None:
    with contextlib.suppress(MalformedFrame):
        parse_frame(frame)


KINDS = ("trade", "aggTrade", "bookTicker", "miniTicker")


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner))
)
def test_no_json_raises_anything_but_malformed_frame(value: object) -> None:
    for frame in (json.dumps(value).encode(), *(combined(f"a@{kind}", value) for kind in KINDS)):
        with contextlib.suppress(MalformedFrame):
            parse_frame(frame)


@given(st.decimals(min_value=0, max_value=10**12, places=8, allow_nan=False, allow_infinity=False))
def test_a_decimals_digits_survive(price: Decimal) -> None:
    text = format(price, "f")
    trade = parse_frame(combined("bnbbtc@trade", TRADE | {"p": text}))
    assert isinstance(trade, Trade)
    assert trade.price == text


@given(st.lists(st.decimals(0, 10**12, places=8).map("{:f}".format), min_size=6, max_size=6), st.integers(0, 2**62))
def test_a_mini_tickers_digits_survive(texts: list[str], time_ms: int) -> None:
    data = {"E": time_ms, "s": "BTCUSDT", **dict(zip("cohlvq", texts, strict=True))}
    assert parse_frame(combined("btcusdt@miniTicker", data)) == MiniTicker("BTCUSDT", time_ms, *texts)


def test_every_recorded_message_of_the_real_exchange_is_taken(recordings: list[Path]) -> None:
    seen = set()
    for path in recordings:
        for recorded in read_recording(path):
            frame = parse_frame(b'{"stream":"%b","data":%b}' % (recorded.stream.encode(), recorded.payload))
            seen.add(type(frame))
            raw = json.loads(recorded.payload)
            if isinstance(frame, Trade):
                assert (frame.symbol, frame.price, frame.volume) == (raw["s"], raw["p"], raw["q"])
            elif isinstance(frame, BookTicker):
                assert (frame.bid, frame.bid_volume, frame.ask, frame.ask_volume) == (
                    raw["b"],
                    raw["B"],
                    raw["a"],
                    raw["A"],
                )
    assert seen == {Trade, BookTicker, Ignored}
