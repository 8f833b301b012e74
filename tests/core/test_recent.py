"""What a feed keeps: bounds, times, and two connections' worth made one."""

from __future__ import annotations

from components.core.binance import BookTicker, MiniTicker, Trade
from components.core.recent import Recent

SYMBOLS = ("BTCUSDT", "ETHUSDT")


def trade(number: int, symbol: str = "BTCUSDT") -> Trade:
    return Trade(symbol, "1.0", "2.0", "buy", number, number, number, number)


def book(number: int, symbol: str = "BTCUSDT") -> BookTicker:
    return BookTicker(symbol, number, "1.10", "2.0", "1.20", "3.00")


def day(ts_ms: int, symbol: str = "BTCUSDT") -> MiniTicker:
    return MiniTicker(symbol, ts_ms, "1.1", "1.0", "1.2", "0.9", "10", "11")


def kept(recent: Recent, now_s: float) -> list[int]:
    return [trade.id for trade in recent.trades(now_s)]


def test_trades_are_kept_in_order_for_their_time() -> None:
    recent = Recent(SYMBOLS, keep_s=10.0)
    for number in range(20):
        recent.tick(trade(number, SYMBOLS[number % 2]), float(number))
        recent.forget(float(number))
    assert kept(recent, 19.0) == list(range(9, 20))
    assert kept(recent, 25.0) == list(range(15, 20))
    assert recent.dropped == 0


def test_more_trades_than_are_allowed_push_out_the_oldest_and_are_counted() -> None:
    recent = Recent(SYMBOLS, max_trades=3)
    for number in range(5):
        recent.tick(trade(number), 0.0)
    recent.forget(0.0)
    assert kept(recent, 0.0) == [2, 3, 4]
    assert (recent.trades_kept, recent.dropped) == (3, 2)


def test_a_symbol_that_is_not_ours_is_not_kept() -> None:
    recent = Recent(SYMBOLS)
    recent.tick(trade(1, "SOLUSDT"), 0.0)
    recent.book(book(1, "SOLUSDT"), 0.0, 0)
    assert kept(recent, 0.0) == []
    recent.day(day(1, "SOLUSDT"))
    assert list(recent.books()) == []
    assert list(recent.days()) == []


def test_of_best_prices_the_newest_are_kept() -> None:
    recent = Recent(SYMBOLS)
    recent.book(book(1), 0.0, 100)
    recent.book(book(2), 0.0, 200)
    assert [(one.ticker.update_id, one.received_ms) for one in recent.books()] == [(2, 200)]


def test_what_two_connections_kept_is_merged_within_the_bound() -> None:
    recent, other = Recent(SYMBOLS, max_trades=4), Recent(["BTCUSDT"])
    for number in (1, 2, 3):
        recent.tick(trade(number), 0.0)
        other.tick(trade(number + 1), 0.0)
    recent.book(book(8), 0.0, 1)
    other.book(book(7), 0.0, 2)
    recent.day(day(2000))
    other.day(day(1000))
    recent.merge(other)
    assert kept(recent, 0.0) == [3, 2, 3, 4]
    assert recent.dropped == 2
    assert [one.ticker.update_id for one in recent.books()] == [8]
    assert [one.ts_ms for one in recent.days()] == [2000]


def test_a_symbol_is_stale_after_its_silence_only() -> None:
    recent = Recent(SYMBOLS)
    recent.connection_started(SYMBOLS, 100.0, 0)
    recent.book(book(1), 150.0, 0)
    assert recent.stale(160.0, 60.0) == []
    assert recent.stale(161.0, 60.0) == ["ETHUSDT"]


def test_a_trade_stream_that_died_is_not_hidden_by_best_prices() -> None:
    recent = Recent(("BTCUSDT",))
    recent.connection_started(["BTCUSDT"], 0.0, 0)
    recent.tick(trade(1), 1.0)
    for number in range(70):
        recent.book(book(number), 10.0 * number, 0)
    assert recent.stale(601.0, 60.0) == []
    assert recent.stale(602.0, 60.0) == ["BTCUSDT"]


def test_statistics_are_missing_where_there_are_trades_without_them_only() -> None:
    recent = Recent(SYMBOLS)
    recent.connection_started(SYMBOLS, 0.0, 0)
    assert recent.without_day(1000.0, 10.0) == []
    recent.tick(trade(1), 1000.0)
    recent.tick(trade(2), 1009.0)
    assert recent.without_day(1010.0, 10.0) == []
    assert recent.without_day(1010.1, 10.0) == ["BTCUSDT"]
    recent.day(day(1))
    assert recent.without_day(2000.0, 10.0) == []
    recent.tick(trade(3), 2000.0)
    recent.connection_started(SYMBOLS, 2005.0, 0)
    assert recent.without_day(2011.0, 10.0) == []
    assert recent.stale(1010.0, 2000.0) == []


def test_a_connection_made_anew_says_nothing_of_another_ones_symbols() -> None:
    recent = Recent(SYMBOLS)
    recent.connection_started(SYMBOLS, 0.0, 0)
    recent.connection_started(["ETHUSDT"], 100.0, 7)
    assert recent.stale(101.0, 60.0) == ["BTCUSDT"]
    assert recent.opened_ms() == {"BTCUSDT": 0, "ETHUSDT": 7}


def test_a_connection_is_behind_on_what_another_one_has_had_since() -> None:
    first, following = Recent(SYMBOLS), Recent(SYMBOLS)
    first.tick(trade(3, "ETHUSDT"), 1.0)
    first.tick(trade(7), 3.0)
    first.book(book(9), 3.0, 0)
    following.tick(trade(6), 3.0)
    following.book(book(9), 3.0, 0)
    assert following.behind(first.reached(2.0)) == ["BTCUSDT"]
    following.tick(trade(7), 3.1)
    assert following.behind(first.reached(2.0)) == []
    first.book(book(10), 3.2, 0)
    assert following.behind(first.reached(2.0)) == ["BTCUSDT"]
    assert following.behind(first.reached(0.5)) == ["BTCUSDT", "ETHUSDT"]


def test_a_connection_lies_before_the_next_one_until_it_has_come_to_its_first_trade() -> None:
    first, following = Recent(SYMBOLS), Recent(SYMBOLS)
    following.tick(trade(5), 0.0)
    following.tick(trade(6), 0.0)
    assert first.lies_before(following) == ["BTCUSDT"]
    first.tick(trade(4), 0.0)
    assert first.lies_before(following) == ["BTCUSDT"]
    first.tick(trade(5), 0.0)
    assert first.lies_before(following) == []


def test_a_symbol_that_is_let_go_leaves_nothing_behind_and_one_that_is_added_was_heard_just_now() -> None:
    recent = Recent(SYMBOLS)
    for symbol in SYMBOLS:
        recent.tick(trade(1, symbol), 0.0)
        recent.book(book(1, symbol), 0.0, 0)
    recent.set_symbols(("SOLUSDT", "BTCUSDT"), 50.0, 50_000)
    assert [trade.symbol for trade in recent.trades(0.0)] == ["BTCUSDT"]
    assert [kept.ticker.symbol for kept in recent.books()] == ["BTCUSDT"]
    assert recent.opened_ms() == {"SOLUSDT": 50_000, "BTCUSDT": 0}
    assert recent.unheard() == ["SOLUSDT"]
    assert recent.stale(60.0, 20.0) == ["BTCUSDT"]
    assert recent.stale(75.0, 20.0) == ["SOLUSDT", "BTCUSDT"]
    recent.set_symbols(SYMBOLS, 80.0, 80_000)
    assert recent.unheard() == ["ETHUSDT"]
