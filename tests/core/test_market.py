"""The newest of everything, and the truth about the feed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.core.batch import Batch, Standing
from components.core.market import Market


class Time:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def a_market(time: Time) -> Market:
    return Market(time, lambda: 1_700_000_000.0 + time())


def status(**changes: Any) -> bytes:
    return json.dumps({"epoch": 7, "state": "live", "symbols": ["BTCUSDT"], "stale": []} | changes).encode()


def test_a_snapshot_has_the_newest_of_each_stream_with_its_digits() -> None:
    market = a_market(Time())
    market.take_batch(
        Batch(
            7,
            1,
            [
                ("market.BTCUSDT", 1, b'{"price":1.10}'),
                ("market.BTCUSDT.book", 1, b'{"bid":1.00}'),
                ("market.BTCUSDT.day", 1, b'{"last":1.150}'),
                ("market.BTCUSDT", 2, b'{"price":1.20}'),
            ],
        )
    )
    assert market.snapshot(["BTCUSDT", "ETHUSDT"]) == (
        b'{"epoch":7,"symbols":{"BTCUSDT":{"tick":{"price":1.20},"book":{"bid":1.00},"day":{"last":1.150}},'
        b'"ETHUSDT":{"tick":null,"book":null,"day":null}}}'
    )


def test_a_new_epoch_forgets_the_old_ones_values() -> None:
    market = a_market(Time())
    market.take_batch(Batch(7, 1, [("market.BTCUSDT", 1, b"{}")]))
    market.take_batch(Batch(8, 1, [("market.ETHUSDT", 1, b"{}")]))
    assert json.loads(market.snapshot(["BTCUSDT"]))["symbols"]["BTCUSDT"]["tick"] is None
    assert market.missed_batches == 0


def test_topics_are_those_that_have_had_an_event_in_this_epoch() -> None:
    time = Time()
    market = a_market(time)
    market.take_batch(Batch(7, 1, [("market.BTCUSDT", 1, b"{}"), ("market.ETHUSDT.book", 1, b"{}")]))
    assert list(market.topics()) == ["market.BTCUSDT", "market.ETHUSDT.book"]
    time.now_s += 5
    market.take_batch(Batch(7, 2, [("market.ETHUSDT", 1, b"1")]))
    assert market.last_event("market.ETHUSDT") == (b"1", 105.0)
    assert market.last_event("market.ETHUSDT.book") == (b"{}", 100.0)
    market.take_batch(Batch(8, 1, []))
    assert list(market.topics()) == []


def test_a_batch_of_an_earlier_epoch_changes_nothing() -> None:
    market = a_market(Time())
    assert market.take_batch(Batch(8, 1, [("market.BTCUSDT", 1, b'{"new":1}')]))
    assert not market.take_batch(Batch(7, 9, [("market.BTCUSDT", 9, b'{"old":1}')]))
    assert market.last_event("market.BTCUSDT") == (b'{"new":1}', 100.0)
    assert market.missed_batches == 0


def test_batches_are_a_sign_of_life_too() -> None:
    time = Time()
    market = a_market(time)
    market.take_status(status())
    time.now_s += 4
    market.take_batch(Batch(7, 1, []))
    time.now_s += 4
    assert not market.feed_lost


def test_a_batch_that_never_came_is_counted() -> None:
    market = a_market(Time())
    market.take_batch(Batch(7, 1, []))
    market.take_batch(Batch(7, 4, []))
    assert market.missed_batches == 2


def test_without_a_feed_the_status_says_so() -> None:
    assert a_market(Time()).status() == {
        "epoch": 0,
        "state": "feed_lost",
        "role": "none",
        "since": None,
        "stale": 0,
        "symbols": 0,
        "symbols_version": 0,
        "missed_batches": 0,
    }


def test_a_feed_that_falls_silent_is_lost_and_comes_back() -> None:
    time = Time()
    market = a_market(time)
    assert market.take_status(status())
    assert market.status()["state"] == "live"
    time.now_s += 6
    assert market.status()["state"] == "feed_lost"
    assert market.take_status(status())


def test_while_no_feed_is_heard_nobody_leads_since_the_last_word_of_one() -> None:
    time = Time()
    market = a_market(time)
    said = status(feed="one", role="leading", since=5, exchange={"url": "ws://exchange"})
    market.take_status(said)
    time.now_s += 4
    market.take_batch(Batch(7, 1, []))
    heard_ms = 1_700_000_000_000 + 104_000
    for _ in range(2):
        time.now_s += 6
        lost = market.status()
        assert (lost["role"], lost["since"], lost["state"]) == ("none", heard_ms, "feed_lost")
        assert (lost["feed"], lost["exchange"]) == ("one", {"url": "ws://exchange"})
    market.take_status(said)
    assert (market.status()["role"], market.status()["since"]) == ("leading", 5)


def test_what_stands_of_a_symbol_that_is_no_longer_followed_is_forgotten_whatever_the_bus_keeps_of_it() -> None:
    market = a_market(Time())
    newest = {f"market.{symbol}{family}": (1, b"{}") for symbol in ("BTCUSDT", "ETHUSDT") for family in ("", ".book")}
    market.take_standing(Standing(7, 1, newest))
    assert market.take_status(status(symbols=["BTCUSDT", "ETHUSDT"]))
    assert len(list(market.topics())) == 4
    choice = {"version": 5, "source": "operator", "by": "olga", "at": 5, "rejected": {"NOUSDT": "silent"}}
    assert market.take_status(status(symbols=["BTCUSDT", "NOUSDT"], choice=choice))
    assert set(market.topics()) == {"market.BTCUSDT", "market.BTCUSDT.book"}
    assert (market.status()["symbols_version"], market.choice.rejected) == (5, {"NOUSDT": "silent"})
    assert "choice" not in market.status()
    # On its way while it was let go.
    market.take_batch(Batch(7, 2, [("market.ETHUSDT", 2, b"{}")]))
    followed = market.symbols
    assert not market.take_status(status(symbols=["BTCUSDT", "NOUSDT"], choice=choice))
    assert market.last_event("market.ETHUSDT") is None
    assert market.symbols is followed
    unknown = market.take_standing(Standing(7, 3, newest | {"market.BTCUSDT": (2, b"[]")}))
    assert [topic for topic, _, _ in unknown.events] == ["market.BTCUSDT"]


@pytest.mark.parametrize("choice", [{"version": -1}, {"rejected": {"X": 5}}, {"by": "x" * 129}, []])
def test_a_choice_that_no_feed_says_is_no_status(choice: object) -> None:
    with pytest.raises(ValueError, match="choice"):
        a_market(Time()).take_status(status(choice=choice))


def test_only_a_change_of_state_epoch_or_symbols_is_news() -> None:
    market = a_market(Time())
    assert market.take_status(status())
    assert not market.take_status(status(counters={"ticks": 5}))
    assert market.take_status(status(stale=["BTCUSDT"]))
    assert market.status()["state"] == "stale"
    assert market.take_status(status(stale=["BTCUSDT"], symbols=["BTCUSDT", "ETHUSDT"]))
    assert market.take_status(status(state="connecting"))
    assert market.status()["state"] == "connecting"


@pytest.mark.parametrize("wrong", [b"", b"[]", b"nonsense", b"\xff", b"{}", status(symbols=[1]), status(exchange=1)])
def test_a_status_that_is_none_of_a_feeds_is_refused(wrong: bytes) -> None:
    with pytest.raises((ValueError, TypeError)):
        a_market(Time()).take_status(wrong)


def test_what_stands_becomes_what_is_known_and_only_what_was_not_is_returned() -> None:
    market = a_market(Time())
    market.take_batch(Batch(7, 1, [("market.BTCUSDT", 1, b"1"), ("market.ETHUSDT", 1, b"1")]))
    standing = Standing(7, 9, {"market.BTCUSDT": (1, b"1"), "market.ETHUSDT": (4, b"4")})
    assert market.take_standing(standing) == Batch(7, 9, [("market.ETHUSDT", 4, b"4")])
    assert market.snapshot(["ETHUSDT"]) == b'{"epoch":7,"symbols":{"ETHUSDT":{"tick":4,"book":null,"day":null}}}'
    market.take_batch(Batch(7, 10, []))
    assert market.missed_batches == 0


def test_what_stands_of_an_earlier_epoch_is_believed() -> None:
    market = a_market(Time())
    market.take_batch(Batch(9, 1, [("market.BTCUSDT", 1, b"1")]))
    market.take_standing(Standing(8, 3, {}))
    assert market.epoch == 8
    assert list(market.topics()) == []
    assert market.take_batch(Batch(8, 4, []))


def test_what_stands_says_nothing_of_whether_a_feed_lives() -> None:
    market = a_market(Time())
    market.take_standing(Standing(8, 3, {}))
    assert market.feed_lost
