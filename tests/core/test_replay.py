"""What is kept for clients that come back, and what they are told of the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.batch import Batch
from components.core.entries import InvalidEntry, checked
from components.core.replay import (
    MAX_ANSWER_BYTES,
    MAX_ANSWER_EVENTS,
    OVERHEAD_BYTES,
    ReplaySettings,
    SeqAhead,
    TickHistory,
)

EPOCH = 7


class Clock:
    """Says what a test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def history(clock: Clock | None = None, **settings: Any) -> TickHistory:
    return TickHistory(ReplaySettings(**settings), clock or Clock())


def batch(*numbers: int, symbol: str = "BTCUSDT", epoch: int = EPOCH, more: bytes = b"") -> Batch:
    return Batch(epoch, 1, [(f"market.{symbol}", seq, b'{"seq":%d%b}' % (seq, more)) for seq in numbers])


def answer(kept: TickHistory, after_seq: int, symbol: str = "BTCUSDT", epoch: int = EPOCH) -> dict[str, Any]:
    return dict(json.loads(kept.replay(symbol, epoch, after_seq)))


def numbers(said: dict[str, Any]) -> list[int]:
    return [event["seq"] for event in said["events"]]


def test_who_comes_back_is_given_all_that_followed_in_order() -> None:
    kept = history()
    for seq in range(1, 6):
        kept.take_batch(batch(seq))
        kept.take_batch(batch(seq, symbol="ETHUSDT"))
    assert answer(kept, 2) == {
        "epoch": EPOCH,
        "symbol": "BTCUSDT",
        "after_seq": 2,
        "to_seq": 5,
        "events": [{"seq": 3}, {"seq": 4}, {"seq": 5}],
        "missing": [],
        "more": False,
    }
    assert (answer(kept, 5)["events"], answer(kept, 5)["to_seq"]) == ([], 5)


def test_digits_stay_as_they_came() -> None:
    kept = history()
    kept.take_batch(batch(1, more=b',"price":62520.10000000'))
    assert b'"events":[{"seq":1,"price":62520.10000000}]' in kept.replay("BTCUSDT", EPOCH, 0)


def test_what_a_full_ring_has_forgotten_is_told_as_missing() -> None:
    kept = history(max_events_per_symbol=3)
    kept.take_batch(batch(*range(1, 11)))
    said = answer(kept, 4)
    assert (numbers(said), said["missing"], said["to_seq"]) == ([8, 9, 10], [[5, 7]], 10)
    assert answer(kept, 8)["missing"] == []


def test_a_hole_on_the_bus_is_told_wherever_it_is() -> None:
    kept = history()
    kept.take_batch(batch(1, 2, 5, 6, 9))
    said = answer(kept, 1)
    assert (numbers(said), said["missing"]) == ([2, 5, 6, 9], [[3, 4], [7, 8]])
    assert answer(kept, 3)["missing"] == [[4, 4], [7, 8]]


def test_what_a_gateway_never_saw_since_it_started_later_is_missing() -> None:
    kept = history()
    kept.take_batch(batch(500))
    assert answer(kept, 498)["missing"] == [[499, 499]]


def test_best_prices_are_not_kept() -> None:
    kept = history()
    kept.take_batch(Batch(EPOCH, 1, [("market.BTCUSDT.book", 1, b"{}")]))
    assert kept.size_bytes == 0
    assert numbers(answer(kept, 0)) == []


def test_a_later_epoch_forgets_the_earlier_and_an_earlier_one_is_left_alone() -> None:
    kept = history()
    kept.take_batch(batch(1, 2, 3))
    kept.take_batch(batch(1, epoch=EPOCH + 1))
    kept.take_batch(batch(4))
    kept.take_history(batch(5))
    said = answer(kept, 2)
    assert (said["epoch"], said["events"], said["to_seq"], said["missing"]) == (EPOCH + 1, [], 2, [])
    assert numbers(answer(kept, 0, epoch=EPOCH + 1)) == [1]
    assert kept.size_bytes == len(b'{"seq":1}') + OVERHEAD_BYTES


def test_the_age_of_an_earlier_epochs_ticks_takes_none_of_the_later_ones() -> None:
    clock = Clock()
    kept = history(clock, max_age=32.0)
    kept.take_batch(batch(*range(1, 100)))
    kept.take_batch(batch(1, symbol="ETHUSDT"))
    clock.now_s += 20
    kept.take_batch(batch(1, 2, epoch=EPOCH + 1))
    clock.now_s += 20
    assert numbers(answer(kept, 0, epoch=EPOCH + 1)) == [1, 2]


def test_a_number_that_has_not_been_is_refused() -> None:
    kept = history()
    kept.take_batch(batch(1, 2))
    with pytest.raises(SeqAhead, match="at most 2"):
        kept.replay("BTCUSDT", EPOCH, 3)
    with pytest.raises(SeqAhead, match="at most 0"):
        kept.replay("ETHUSDT", EPOCH, 1)
    assert answer(kept, 0, symbol="ETHUSDT")["to_seq"] == 0


def test_ticks_go_when_they_are_too_old_also_where_nothing_new_comes() -> None:
    clock = Clock()
    kept = history(clock, max_age=32.0)
    kept.take_batch(batch(1, 2))
    clock.now_s += 20
    kept.take_batch(batch(3))
    clock.now_s += 14
    said = answer(kept, 0)
    assert (numbers(said), said["missing"]) == ([3], [[1, 2]])
    clock.now_s += 40
    kept.take_batch(batch(1, symbol="ETHUSDT"))
    said = answer(kept, 1)
    assert (numbers(said), said["missing"], said["to_seq"]) == ([], [[2, 3]], 3)
    kept.take_batch(batch(2, 3))
    assert numbers(answer(kept, 1)) == []
    with pytest.raises(SeqAhead):
        kept.replay("BTCUSDT", EPOCH, 4)


def test_all_symbols_together_stay_within_the_bytes_and_the_oldest_go_first() -> None:
    kept = history(max_bytes=65_536)
    for seq in range(1, 1001):
        for symbol in ("BTCUSDT", "ETHUSDT"):
            kept.take_batch(batch(seq, symbol=symbol, more=b',"x":"%b"' % (b"x" * 100)))
            assert kept.size_bytes <= 65_536
    assert kept.size_bytes > 65_536 * 0.9
    first = {symbol: numbers(answer(kept, 0, symbol=symbol))[0] for symbol in ("BTCUSDT", "ETHUSDT")}
    assert abs(first["BTCUSDT"] - first["ETHUSDT"]) <= 1
    assert numbers(answer(kept, 0)) == list(range(first["BTCUSDT"], 1001))


def test_one_batch_beyond_all_bounds_leaves_less_than_the_bounds() -> None:
    kept = history(max_bytes=65_536, max_events_per_symbol=1_000_000)
    kept.take_batch(batch(*range(1, 2001)))
    assert kept.size_bytes <= 65_536
    said = answer(kept, 0)
    assert sum(last - first + 1 for first, last in said["missing"]) + len(said["events"]) == 2000


def test_an_answer_is_bounded_in_bytes_and_events_and_the_rest_is_asked_for_again() -> None:
    for more in (b"", b',"x":"%b"' % (b"x" * 10_000)):
        kept = history(max_events_per_symbol=5000)
        kept.take_batch(batch(*range(1, 2501), more=more))
        reached, said = 0, {"more": True}
        while said["more"]:
            text = kept.replay("BTCUSDT", EPOCH, reached)
            said = json.loads(text)
            assert len(text) < MAX_ANSWER_BYTES + 11_000
            assert 0 < len(said["events"]) <= MAX_ANSWER_EVENTS
            assert numbers(said) == list(range(reached + 1, said["to_seq"] + 1))
            reached = said["to_seq"]
        assert reached == 2500


def test_history_takes_its_place_before_what_is_there_and_in_its_holes() -> None:
    kept = history()
    kept.take_batch(batch(10, 11, 14))
    kept.take_history(batch(3, 4, 5))
    kept.take_history(batch(6, 7, 12, 11))
    said = answer(kept, 3)
    assert (numbers(said), said["missing"]) == ([4, 5, 6, 7, 10, 11, 12, 14], [[8, 9], [13, 13]])


def test_a_full_ring_takes_from_history_only_what_is_newer_than_its_oldest() -> None:
    kept = history(max_events_per_symbol=3)
    kept.take_batch(batch(10, 11, 14))
    kept.take_history(batch(9, 13))
    assert numbers(answer(kept, 0)) == [11, 13, 14]
    assert kept.size_bytes == 3 * (len(b'{"seq":11}') + OVERHEAD_BYTES)


def test_history_may_be_the_first_that_there_is() -> None:
    kept = history()
    kept.take_history(batch(1, 2))
    kept.take_batch(batch(2, 3))
    assert numbers(answer(kept, 0)) == [1, 2, 3]


def test_answers_are_counted_with_their_ticks_and_what_is_missing() -> None:
    kept = history()
    kept.take_batch(batch(1, 2, 5))
    answer(kept, 0)
    answer(kept, 0, epoch=3)
    assert (kept.counters.replays, kept.counters.events, kept.counters.missing) == (2, 3, 2)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("live"), st.sampled_from("AB"), st.integers(1, 3), st.integers(0, 2)),
        st.tuples(st.just("history"), st.sampled_from("AB"), st.integers(1, 60), st.integers(0, 4)),
        st.tuples(st.just("wait"), st.just("A"), st.integers(1, 20), st.just(0)),
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 8), st.integers(0, 40))
def test_every_number_is_answered_once_as_a_tick_or_as_missing(
    steps: list[tuple[str, str, int, int]], most: int, after: int
) -> None:
    clock = Clock()
    kept = history(clock, max_events_per_symbol=most, max_age=30.0)
    newest = {"A": 0, "B": 0}
    seen: dict[str, set[int]] = {"A": set(), "B": set()}
    for kind, symbol, number, more in steps:
        if kind == "wait":
            clock.now_s += number
            continue
        if kind == "live":
            run = range(newest[symbol] + number, newest[symbol] + number + more + 1)
            kept.take_batch(batch(*run, symbol=symbol))
        else:
            run = range(number, number + more + 1)
            kept.take_history(batch(*run, symbol=symbol))
        seen[symbol].update(run)
        newest[symbol] = max(newest[symbol], run[-1])
    for symbol, last in newest.items():
        asked = min(after, last)
        said = answer(kept, asked, symbol=symbol)
        missing = [seq for first, end in said["missing"] for seq in range(first, end + 1)]
        assert sorted(numbers(said) + missing) == list(range(asked + 1, said["to_seq"] + 1))
        assert numbers(said) == sorted(numbers(said))
        assert set(numbers(said)) <= seen[symbol]
        assert len(numbers(said)) <= most


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"max_events_per_symbol": 0}, "replay.max_events_per_symbol: expected `int` >= 1, was 0"),
        ({"max_bytes": 1000}, "replay.max_bytes: expected `int` >= 65536, was 1000"),
        ({"max_age": 0}, "replay.max_age: expected `float` > 0.0, was 0"),
        ({"max_age": "5m"}, "replay.max_age: expected `float`, got `str`, was '5m'"),
        ({"max_ages": 5}, "replay has an unknown key 'max_ages'"),
    ],
)
def test_impossible_bounds_are_refused_in_one_line(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidEntry) as raised:
        checked(values, ReplaySettings, "replay")
    assert reason in str(raised.value)


@pytest.mark.parametrize("epoch", [EPOCH - 1, EPOCH + 1])
def test_an_epoch_that_is_begun_forgets_what_was_kept_and_counted(epoch: int) -> None:
    kept = history()
    kept.take_batch(batch(1, 2, 3))
    kept.begin_epoch(EPOCH)
    assert numbers(answer(kept, 0)) == [1, 2, 3]
    kept.begin_epoch(epoch)
    assert (kept.epoch, kept.size_bytes) == (epoch, 0)
    kept.take_batch(batch(1, epoch=epoch))
    assert numbers(answer(kept, 0, epoch=epoch)) == [1]
    assert answer(kept, 0)["epoch"] == epoch
