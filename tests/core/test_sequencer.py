"""Numbers without holes, duplicates dropped, gaps counted."""

from __future__ import annotations

import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from components.core.batch import Standing
from components.core.binance import BookTicker, MiniTicker, Trade
from components.core.sequencer import Sequencer

SYMBOLS = ("BTCUSDT", "ETHUSDT")


def trade(number: int, *, symbol: str = "BTCUSDT", ts_ms: int | None = None, last: int | None = None) -> Trade:
    last = number if last is None else last
    return Trade(
        symbol, "62520.15000000", "5.20000000", "buy", number if ts_ms is None else ts_ms, number, number, last
    )


def book(number: int) -> BookTicker:
    return BookTicker("BTCUSDT", number, "1.10", "2.0", "1.20", "3.00")


def day(ts_ms: int, symbol: str = "BTCUSDT", last: str = "62520.15000000") -> MiniTicker:
    return MiniTicker(symbol, ts_ms, last, "61000.10", "62999.90", "60000.00", "12345.67800000", "761234567.12345678")


def test_a_tick_is_the_contracts_json_with_the_exchanges_digits() -> None:
    event = Sequencer(SYMBOLS).tick(trade(123, ts_ms=1700000000123))
    assert event == (
        "market.BTCUSDT",
        1,
        (
            b'{"symbol":"BTCUSDT","price":62520.15000000,"volume":5.20000000,"side":"buy",'
            b'"ts":1700000000123,"id":123,"seq":1}'
        ),
    )


def test_a_book_event_has_both_sides_and_the_feeds_time() -> None:
    event = Sequencer(SYMBOLS).book(book(9), 0.0, 1700000000123)
    assert event == (
        "market.BTCUSDT.book",
        1,
        (
            b'{"symbol":"BTCUSDT","bid":1.10,"bid_volume":2.0,"ask":1.20,"ask_volume":3.00,'
            b'"received_ts":1700000000123,"id":9,"seq":1}'
        ),
    )


def test_a_days_event_has_the_exchanges_digits_and_time() -> None:
    event = Sequencer(SYMBOLS).day(day(1700000000123), 0.0)
    assert event == (
        "market.BTCUSDT.day",
        1,
        (
            b'{"symbol":"BTCUSDT","last":62520.15000000,"open":61000.10,"high":62999.90,"low":60000.00,'
            b'"volume":12345.67800000,"quote_volume":761234567.12345678,"ts":1700000000123,"seq":1}'
        ),
    )


def test_statistics_of_an_earlier_or_the_same_time_are_dropped_whatever_the_connection() -> None:
    sequencer = Sequencer(SYMBOLS)
    assert sequencer.day(day(1000), 0.0) is not None
    sequencer.connection_started(SYMBOLS)
    assert sequencer.day(day(1000, last="1.0"), 0.5) is None
    assert sequencer.day(day(999), 0.5) is None
    event = sequencer.day(day(1001), 1.0)
    assert event is not None
    assert event[1] == 2
    assert (sequencer.counters.duplicates, sequencer.counters.day_updates) == (2, 2)


def test_an_exchange_that_set_its_clock_back_is_followed_after_a_while() -> None:
    sequencer = Sequencer(SYMBOLS)
    sequencer.day(day(100_000), 0.0)
    taken = [second for second in range(1, 15) if sequencer.day(day(1000 + second), float(second))]
    assert taken == [11, 12, 13, 14]
    assert sequencer.counters.id_resets == 1


def test_statistics_go_on_behind_what_another_feed_wrote() -> None:
    former, sequencer = Sequencer(SYMBOLS), Sequencer(SYMBOLS)
    events = [former.day(day(ts_ms), 0.0) for ts_ms in (1000, 2000, 3000)]
    assert events[-1] is not None
    topic, seq, payload = events[-1]
    sequencer.continue_epoch(Standing(1, 3, {topic: (seq, payload)}), {})
    assert [sequencer.kept_day(day(ts_ms), 0.0) for ts_ms in (2000, 3000)] == [None, None]
    assert sequencer.counters.duplicates == 0
    event = sequencer.kept_day(day(4000), 0.0)
    assert event is not None
    assert event[:2] == ("market.BTCUSDT.day", 4)


@given(st.lists(st.tuples(st.sampled_from(SYMBOLS), st.integers(0, 40), st.floats(0, 9)), max_size=60))
def test_days_are_numbered_without_holes_and_never_go_back(script: list[tuple[str, int, float]]) -> None:
    sequencer = Sequencer(SYMBOLS)
    seen: dict[str, list[tuple[int, int]]] = {}
    for symbol, ts_ms, now_s in script:
        event = sequencer.day(day(ts_ms, symbol), now_s)
        if event is not None:
            seen.setdefault(event[0], []).append((event[1], json.loads(event[2])["ts"]))
    for events in seen.values():
        assert [seq for seq, _ in events] == list(range(1, len(events) + 1))
        times = [ts_ms for _, ts_ms in events]
        assert times == sorted(set(times))
    assert sum(map(len, seen.values())) + sequencer.counters.duplicates == len(script)


def test_each_symbol_and_stream_counts_for_itself() -> None:
    sequencer = Sequencer(SYMBOLS)
    events = [
        sequencer.tick(trade(1)),
        sequencer.tick(trade(1, symbol="ETHUSDT")),
        sequencer.book(book(1), 0.0, 0),
        sequencer.tick(trade(2)),
    ]
    assert [event and event[:2] for event in events] == [
        ("market.BTCUSDT", 1),
        ("market.ETHUSDT", 1),
        ("market.BTCUSDT.book", 1),
        ("market.BTCUSDT", 2),
    ]


def test_a_duplicate_is_dropped_and_takes_no_number() -> None:
    sequencer = Sequencer(SYMBOLS)
    sequencer.tick(trade(7))
    assert sequencer.tick(trade(7)) is None
    event = sequencer.tick(trade(8))
    assert event is not None
    assert event[1] == 2
    assert sequencer.counters.duplicates == 1


def test_a_hole_in_the_trade_ids_is_counted_and_does_not_make_one_in_seq() -> None:
    sequencer = Sequencer(SYMBOLS)
    sequencer.tick(trade(7))
    event = sequencer.tick(trade(11))
    assert event is not None
    assert event[1] == 2
    assert (sequencer.counters.gaps, sequencer.counters.missed_trades) == (1, 3)


def test_aggregates_that_follow_each_other_leave_no_gap() -> None:
    sequencer = Sequencer(SYMBOLS)
    sequencer.tick(trade(100, last=105))
    sequencer.tick(trade(106, last=106))
    assert sequencer.counters.gaps == 0


def test_an_exchange_that_numbers_anew_is_followed() -> None:
    sequencer = Sequencer(SYMBOLS)
    sequencer.tick(trade(1000, ts_ms=50))
    event = sequencer.tick(trade(1, ts_ms=51))
    assert event is not None
    assert event[1] == 2
    assert sequencer.counters.id_resets == 1
    assert sequencer.counters.duplicates == 0


def test_an_old_book_update_is_dropped_within_a_connection_and_taken_from_the_next() -> None:
    sequencer = Sequencer(SYMBOLS)
    sequencer.book(book(9), 0.0, 0)
    assert sequencer.book(book(8), 0.0, 0) is None
    sequencer.connection_started(SYMBOLS)
    assert sequencer.book(book(8), 0.0, 0) is not None


def test_a_symbol_that_is_not_ours_reaches_no_topic() -> None:
    sequencer = Sequencer(SYMBOLS)
    assert sequencer.tick(trade(1, symbol="BTCUSDT.book")) is None
    assert sequencer.day(day(1, "SOLUSDT"), 0.0) is None
    assert sequencer.counters.unknown_symbols == 2


def test_a_connection_made_anew_says_nothing_of_another_ones_symbols() -> None:
    sequencer = Sequencer(SYMBOLS)
    sequencer.connection_started(SYMBOLS)
    sequencer.book(book(9), 0.0, 0)
    sequencer.connection_started(["ETHUSDT"])
    assert sequencer.book(book(9), 101.0, 0) is None


def test_a_new_epoch_starts_from_one() -> None:
    sequencer = Sequencer(SYMBOLS)
    sequencer.tick(trade(7))
    sequencer.begin_epoch()
    event = sequencer.tick(trade(7))
    assert event is not None
    assert event[1] == 1


@given(st.lists(st.tuples(st.sampled_from(SYMBOLS), st.integers(1, 30), st.integers(0, 5)), max_size=60))
def test_seq_has_no_holes_whatever_comes(script: list[tuple[str, int, int]]) -> None:
    sequencer = Sequencer(SYMBOLS)
    seen: dict[str, list[int]] = {}
    for symbol, number, ts_ms in script:
        event = sequencer.tick(trade(number, symbol=symbol, ts_ms=ts_ms))
        if event is not None:
            seen.setdefault(event[0], []).append(event[1])
    for numbers in seen.values():
        assert numbers == list(range(1, len(numbers) + 1))
    assert sum(map(len, seen.values())) + sequencer.counters.duplicates == len(script)


decimals = st.decimals(min_value=0, max_value=10**12, places=8, allow_nan=False, allow_infinity=False)


@given(decimals, decimals)
def test_digits_survive_into_the_payload(price: Decimal, volume: Decimal) -> None:
    price_text, volume_text = format(price, "f"), format(volume, "f")
    event = Sequencer(SYMBOLS).tick(Trade("BTCUSDT", price_text, volume_text, "sell", 1, 1, 1, 1))
    assert event is not None
    decoded = json.loads(event[2], parse_float=str, parse_int=str)
    assert (decoded["price"], decoded["volume"]) == (price_text, volume_text)


SOME = st.lists(st.sampled_from(["BTCUSDT", "ETHUSDT", "SOLUSDT"]), unique=True).map(tuple)


@given(st.lists(st.one_of(SOME, st.sampled_from(["BTCUSDT", "ETHUSDT", "SOLUSDT"])), max_size=60))
def test_seq_goes_on_whatever_symbols_come_go_and_come_back(script: list[tuple[str, ...] | str]) -> None:
    sequencer = Sequencer(("BTCUSDT",))
    newest: dict[str, tuple[int, bytes]] = {}
    for number, step in enumerate(script):
        if isinstance(step, tuple):
            sequencer.set_symbols(step)
            if number % 3 == 0:
                # Another feed, which has followed other symbols, takes over.
                sequencer = Sequencer(("ETHUSDT",))
                sequencer.continue_epoch(Standing(7, number, dict(newest)), {})
                sequencer.set_symbols(step)
            continue
        event = sequencer.tick(trade(number, symbol=step))
        assert (event is not None) is (step in sequencer.symbols)
        if event is not None:
            topic, seq, payload = event
            assert seq == newest.get(topic, (0, b""))[0] + 1
            newest[topic] = seq, payload


def test_what_was_traded_while_a_symbol_was_not_followed_is_not_missed() -> None:
    sequencer = Sequencer(("BTCUSDT", "ETHUSDT"))
    sequencer.tick(trade(1))
    sequencer.set_symbols(("ETHUSDT",))
    # What was on its way is no message of a symbol that was not asked for.
    assert sequencer.tick(trade(2)) is None
    assert sequencer.counters.unknown_symbols == 0
    sequencer.set_symbols(("ETHUSDT", "BTCUSDT"))
    assert sequencer.tick(trade(1)) is None
    assert (sequencer.tick(trade(9)) or ("", 0, b""))[1] == 2
    assert (sequencer.counters.gaps, sequencer.counters.duplicates) == (0, 1)
    sequencer.tick(trade(11))
    assert (sequencer.counters.gaps, sequencer.counters.missed_trades) == (1, 1)
