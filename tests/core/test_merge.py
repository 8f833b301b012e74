"""Merged ticks whose every figure is right, and marks that add up."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.binance import BookTicker, Trade
from components.core.merge import (
    NewestAccumulator,
    Stream,
    TickAccumulator,
    Unmergeable,
    merge_ticks,
    stands_for,
    stream_of,
    with_dropped,
)
from components.core.sequencer import Sequencer

KEYS = [
    "symbol",
    "price",
    "volume",
    "side",
    "ts",
    "id",
    "seq",
    "merged",
    "high",
    "low",
    "first_id",
    "last_id",
    "first_seq",
]


def tick(seq: int = 1, price: str = "100.10", volume: str = "1.5", dropped: int = 0, side: str = "buy") -> bytes:
    event = Sequencer(("BTCUSDT",)).tick(Trade("BTCUSDT", price, volume, side, 1000 + seq, 500 + seq, 1, 1))
    assert event is not None
    return with_dropped(event[2].replace(b'"seq":1}', b'"seq":%d}' % seq), dropped)


def book(seq: int) -> bytes:
    event = Sequencer(("BTCUSDT",)).book(BookTicker("BTCUSDT", seq, "1.10", "2.0", "1.20", "3.00"), 0.0, 0)
    assert event is not None
    return event[2]


def exact(payload: bytes) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(payload, parse_float=Decimal)
    return value


digits = st.integers(0, 10**20).map(str)
decimals = st.builds(
    lambda whole, part: f"{whole}.{part}" if part else whole, digits, st.text("0123456789", max_size=12)
)
prices = st.one_of(decimals, st.sampled_from(["1", "1.0", "1.00", "2", "2.000"]))
trades = st.lists(st.tuples(prices, decimals, st.integers(0, 3), st.sampled_from(["buy", "sell"])), min_size=1)


def ticks_of(drawn: list[tuple[str, str, int, str]]) -> list[bytes]:
    return [
        tick(seq, price, volume, dropped, side) for seq, (price, volume, dropped, side) in enumerate(drawn, start=1)
    ]


def test_a_merged_tick_says_so_in_documented_order_and_with_the_exchanges_digits() -> None:
    merged = merge_ticks([tick(1, "100.10", "1.50000000"), tick(2, "99.90", "0.50000000"), tick(3, "100.00", "1")])
    assert merged == (
        b'{"symbol":"BTCUSDT","price":100.00,"volume":3.00000000,"side":"buy","ts":1003,"id":503,"seq":3,"merged":3,'
        b'"high":100.10,"low":99.90,"first_id":501,"last_id":503,"first_seq":1}'
    )


def test_a_lone_tick_is_left_as_it_came() -> None:
    assert merge_ticks([tick(dropped=2)]) == tick(dropped=2)
    assert merge_ticks([]) == b""


@given(trades)
def test_every_figure_is_that_of_all_the_trades(drawn: list[tuple[str, str, int, str]]) -> None:
    raw = ticks_of(drawn)
    merged = exact(merge_ticks(raw))
    parts = [exact(payload) for payload in raw]
    for name in ("price", "side", "ts", "id", "seq"):
        assert merged[name] == parts[-1][name]
    scale = max(len(volume.partition(".")[2]) for _, volume, _, _ in drawn)
    # Fractions, since a sum of decimals would be rounded by their context.
    assert Fraction(merged["volume"]) == sum(Fraction(volume) for _, volume, _, _ in drawn)
    assert -Decimal(merged["volume"]).as_tuple().exponent == scale  # type: ignore[operator]
    assert merged.get("dropped", 0) == sum(dropped for _, _, dropped, _ in drawn)
    if len(raw) > 1:
        assert list(merged)[: len(KEYS)] == KEYS
        assert merged["merged"] == len(raw)
        assert merged["high"] == max(part["price"] for part in parts)
        assert merged["low"] == min(part["price"] for part in parts)
        assert (merged["first_id"], merged["last_id"]) == (parts[0]["id"], parts[-1]["id"])
        assert merged["first_seq"] == parts[0]["seq"]


@given(trades)
def test_prices_keep_the_digits_in_which_they_came(drawn: list[tuple[str, str, int, str]]) -> None:
    merged = json.loads(merge_ticks(ticks_of(drawn)), parse_float=str, parse_int=str)
    sent = [price for price, _, _, _ in drawn]
    assert merged["price"] == sent[-1]
    if len(drawn) > 1:
        assert merged["high"] == max(sent, key=Decimal)
        assert merged["low"] == min(sent, key=Decimal)


def test_of_equal_prices_the_first_ones_digits_stay() -> None:
    merged = merge_ticks([tick(1, "1.0"), tick(2, "1.00"), tick(3, "1")])
    assert b'"price":1,' in merged
    assert b'"high":1.0,"low":1.0,' in merged


@given(trades, st.data())
def test_merging_merged_ticks_is_merging_all_their_trades(
    drawn: list[tuple[str, str, int, str]], data: st.DataObject
) -> None:
    level = ticks_of(drawn)
    at_once = merge_ticks(level)
    while len(level) > 1:
        size = data.draw(st.integers(2, len(level)))
        start = data.draw(st.integers(0, len(level) - size))
        level[start : start + size] = [merge_ticks(level[start : start + size])]
    assert level[0] == at_once


@given(trades, st.data())
def test_rendering_in_between_changes_nothing(drawn: list[tuple[str, str, int, str]], data: st.DataObject) -> None:
    accumulator = TickAccumulator()
    for payload in ticks_of(drawn):
        accumulator.add(payload)
        if data.draw(st.booleans()):
            accumulator.render()
    assert accumulator.render() == merge_ticks(ticks_of(drawn))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[1,2]",
        b'{"symbol":"BTCUSDT"}',
        tick().replace(b"100.10", b'"NaN"'),
        tick().replace(b"100.10", b'"Infinity"'),
        tick().replace(b"1.5", b"-1.5"),
        tick().replace(b"1.5", b"1e999999"),
        tick().replace(b"1.5", b"1e-999999"),
        tick().replace(b"1.5", b'"Infinity"'),
        tick().replace(b"100.10", b"0e-999999"),
        tick().replace(b"100.10", b"1" * 300),
        tick()[:-1] + b',"merged":2}',
        tick()[:-1] + b',"merged":0}',
        tick()[:-1] + b',"dropped":-1}',
        tick()[:-1] + b',"merged":2,"high":"NaN","low":1,"first_id":1,"first_seq":1}',
        tick() + b"x",
    ],
)
def test_what_is_no_tick_is_refused_and_leaves_the_accumulator_as_it_was(payload: bytes) -> None:
    accumulator = TickAccumulator()
    accumulator.add(tick(1))
    with pytest.raises(Unmergeable):
        accumulator.add(payload)
    accumulator.add(tick(2))
    assert accumulator.render() == merge_ticks([tick(1), tick(2)])
    with pytest.raises(Unmergeable):
        TickAccumulator().add(payload)


def test_the_size_of_a_tick_is_measured_whenever_its_trades_have_doubled() -> None:
    accumulator = TickAccumulator()
    for seq in range(1, 1025):
        accumulator.add(tick(seq))
        if seq.bit_count() == 1:
            assert accumulator.size_bytes == len(accumulator.render())
        assert accumulator.size_bytes <= len(accumulator.render()) <= accumulator.size_bytes + 5


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3)), min_size=1))
def test_of_best_prices_the_newest_stays_and_says_how_many_it_stands_for(drawn: list[tuple[int, int]]) -> None:
    all_at_once, by_parts = NewestAccumulator(), NewestAccumulator()
    seq = 0
    for count, dropped in drawn:
        part = NewestAccumulator()
        for number in range(count):
            seq += 1
            update = with_dropped(book(seq), dropped if number == 0 else 0)
            all_at_once.add(update)
            part.add(update)
        by_parts.add(part.render())
    assert by_parts.render() == all_at_once.render()
    marks = exact(all_at_once.render())
    dropped_marks = {"dropped": sum(dropped for _, dropped in drawn)}
    expected = exact(book(seq)) | {"merged": seq} | dropped_marks
    for name, nothing in (("merged", 1), ("dropped", 0)):
        if expected[name] == nothing:
            del expected[name]
    assert marks == expected
    assert list(marks) == list(expected)


@pytest.mark.parametrize("payload", [b"", b"{}", b"[1]", b"null"])
def test_best_prices_that_are_no_object_are_refused(payload: bytes) -> None:
    with pytest.raises(Unmergeable):
        NewestAccumulator().add(payload)
    with pytest.raises(Unmergeable):
        with_dropped(payload, 1)
    assert with_dropped(payload, 0) == payload


def test_dropped_adds_up_and_stands_last() -> None:
    assert with_dropped(with_dropped(tick(), 2), 3) == tick(dropped=5)
    assert tick(dropped=5).endswith(b',"dropped":5}')


@given(trades)
def test_dropping_a_tick_loses_its_trades_and_those_it_said_were_dropped(
    drawn: list[tuple[str, str, int, str]],
) -> None:
    assert stands_for(merge_ticks(ticks_of(drawn))) == len(drawn) + sum(dropped for _, _, dropped, _ in drawn)


@pytest.mark.parametrize(
    ("topic", "stream"),
    [
        ("market.BTCUSDT", Stream.TICKS),
        ("market.1INCHUSDT.every_100ms", Stream.TICKS),
        ("market.BTCUSDT.book", Stream.NEWEST),
        ("market.BTCUSDT.day", Stream.NEWEST),
        ("market.BTCUSDT.depth", Stream.OPAQUE),
        ("market.status", Stream.OPAQUE),
        ("services.quotes.BTCUSDT", Stream.OPAQUE),
        ("marketing.BTCUSDT", Stream.OPAQUE),
    ],
)
def test_a_topic_tells_what_it_carries(topic: str, stream: Stream) -> None:
    assert stream_of(topic) is stream
