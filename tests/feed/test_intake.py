"""Going on where another feed stopped: each trade that a leader got is written once, whatever came to whom and was lost."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.batch import Batch, Standing
from components.feed.intake import Intake
from tests.feed.memory_bus import MemoryBus, MemoryWriter

SYMBOLS = ("BTCUSDT", "ETHUSDT")
FIRST_ID = 1000
NOW_MS = 1_700_000_000_000


class FollowingIntake(Intake):
    """An intake that is its own feed, on a clock that the test sets."""

    def __init__(self, bus: MemoryBus, symbols: tuple[str, ...] = SYMBOLS) -> None:
        self.now_s = 0.0
        self.now_ms = NOW_MS
        self.writer = MemoryWriter(bus)
        super().__init__(symbols, self.writer, lambda: self.now_s, lambda: self.now_ms)
        self.recent.connection_started(symbols, 0.0, NOW_MS)
        self.writer.feed = Following(self)

    def get(self, frames: Iterable[bytes]) -> None:
        """Take one read's frames."""
        self.take_frames(frames, self.recent, lambda parsed: None)
        self.write_batch()


class Following:
    """See ``LeadableFeed``."""

    def __init__(self, intake: Intake) -> None:
        self.intake = intake
        self.ready = True

    def lead(self, since: Standing | None) -> None:
        self.intake.lead(since)

    def follow(self, because: str) -> None:
        self.intake.follow()

    def pause(self) -> None:
        raise AssertionError("this bus is never full")

    resume = pause


def frame(stream: str, data: dict[str, Any]) -> bytes:
    return json.dumps({"stream": stream, "data": data}).encode()


def trade(number: int, symbol: str = "BTCUSDT", ts_ms: int | None = None) -> bytes:
    ts_ms = NOW_MS + number if ts_ms is None else ts_ms
    data = {
        "e": "trade",
        "E": ts_ms,
        "s": symbol,
        "t": number,
        "p": "1.5",
        "q": "2.0",
        "T": ts_ms,
        "m": True,
        "M": True,
    }
    return frame(f"{symbol.lower()}@trade", data)


def aggregate(number: int, symbol: str = "BTCUSDT", trades: int = 3) -> bytes:
    first, ts_ms = 5000 + number * trades, NOW_MS + number
    data = {
        "e": "aggTrade",
        "E": ts_ms,
        "s": symbol,
        "a": number,
        "p": "1.5",
        "q": "2.0",
        "T": ts_ms,
        "m": True,
        "M": True,
    }
    return frame(f"{symbol.lower()}@aggTrade", data | {"f": first, "l": first + trades - 1})


def book(number: int, symbol: str = "BTCUSDT") -> bytes:
    return frame(f"{symbol.lower()}@bookTicker", {"u": number, "s": symbol, "b": "1.0", "B": "1", "a": "2.0", "A": "1"})


def day(ts_ms: int, symbol: str = "BTCUSDT") -> bytes:
    figures = {"c": "1.5", "o": "1.00", "h": "2.0", "l": "0.50", "v": "100.0", "q": "150.0"}
    return frame(f"{symbol.lower()}@miniTicker", {"e": "24hrMiniTicker", "E": ts_ms, "s": symbol} | figures)


def lead(intake: FollowingIntake) -> None:
    intake.writer.bus.give_lead(intake.writer)


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


def ids(bus: MemoryBus, topic: str = "market.BTCUSDT") -> list[int]:
    return bus.ids().get(topic, [])


# What each feed gets next, by how many messages; a repetition of the last ones; or the lead, with that many batches lost.
steps = st.lists(
    st.one_of(
        st.tuples(st.just("get"), st.integers(0, 1), st.integers(1, 8)),
        st.tuples(st.just("again"), st.integers(0, 1), st.integers(1, 4)),
        st.tuples(st.just("lead"), st.integers(0, 1), st.integers(0, 4)),
    ),
    min_size=5,
    max_size=40,
)

losses = st.just(set[tuple[int, int]]()) | st.sets(st.tuples(st.integers(0, 1), st.integers(0, 120)))
"""Which feed never gets which message."""


@given(st.sampled_from(["trade", "aggTrade"]), steps, losses)
def test_over_any_changes_of_the_lead_each_trade_is_written_once(
    kind: str, script: list[tuple[str, int, int]], lost: set[tuple[int, int]]
) -> None:
    stream: list[tuple[str, int, bytes]] = []
    for number in range(FIRST_ID, FIRST_ID + 200):
        symbol = SYMBOLS[number % 7 % 2]
        count = FIRST_ID + sum(one == f"market.{symbol}" for one, _, _ in stream)
        made = trade(count, symbol) if kind == "trade" else aggregate(count, symbol)
        stream += [(f"market.{symbol}", count, made), (f"market.{symbol}.book", number, book(number, symbol))]
        stream += [(f"market.{symbol}.day", number, day(number, symbol))]
    bus = MemoryBus()
    feeds = [FollowingIntake(bus), FollowingIntake(bus)]
    position, got = [0, 0], [set[tuple[str, int]](), set[tuple[str, int]]()]
    lead(feeds[0])
    feeds[0].get([stream[0][2]])
    got[0].add(stream[0][:2])
    for what, who, amount in script:
        at = position[who]
        if what == "lead":
            # What had not reached the bus when the leader ended; something has, else an epoch would begin.
            del bus.batches[max(1, len(bus.batches) - amount) :]
            lead(feeds[who])
        elif what == "again":
            feeds[who].get([one[2] for one in stream[max(0, at - amount) : at] if one[:2] in got[who]])
        else:
            taken = [one for place, one in enumerate(stream[at : at + amount], at) if (who, place) not in lost]
            position[who] = at + amount
            got[who].update(one[:2] for one in taken)
            feeds[who].get([one[2] for one in taken])
    bus.assert_gap_free()
    for topic, written in bus.ids().items():
        assert written == sorted(set(written))
        if not topic.endswith((".book", ".day")):
            both = {number for name, number in got[0] & got[1] if name == topic}
            assert {number for number in both if written[0] <= number <= written[-1]} <= set(written)
            if not lost:
                assert written == list(range(written[0], written[-1] + 1))


def test_a_feed_that_follows_writes_nothing_and_then_what_the_former_leader_did_not(bus: MemoryBus) -> None:
    one, other = FollowingIntake(bus), FollowingIntake(bus)
    lead(one)
    one.get([trade(1), trade(2), book(7), day(1000)])
    other.get([trade(1), trade(2), trade(3), book(7), day(1000), trade(4), book(8), day(2001), day(3001)])
    assert ids(bus) == [1, 2]
    lead(other)
    assert ids(bus) == [1, 2, 3, 4]
    assert ids(bus, "market.BTCUSDT.book") == [7, 8]
    # Of statistics, as of best prices, the newest is enough.
    assert ids(bus, "market.BTCUSDT.day") == [1000, 3001]
    other.get([trade(5), book(9), day(3000), day(4001)])
    assert ids(bus, "market.BTCUSDT.day") == [1000, 3001, 4001]
    bus.assert_gap_free()
    counters = other.sequencer.counters
    assert (counters.gaps, counters.duplicates, counters.id_resets) == (0, 1, 0)


def test_a_feed_that_lags_behind_the_standing_drops_what_it_gets_late(bus: MemoryBus) -> None:
    one, other = FollowingIntake(bus), FollowingIntake(bus)
    lead(one)
    one.get([trade(1), trade(2), trade(3), book(8)])
    other.get([trade(1)])
    lead(other)
    other.get([trade(2), book(7), trade(3), book(8), trade(4), book(9)])
    assert ids(bus) == [1, 2, 3, 4]
    assert ids(bus, "market.BTCUSDT.book") == [8, 9]


def test_a_gap_that_neither_feed_can_close_is_counted(bus: MemoryBus) -> None:
    one, other = FollowingIntake(bus), FollowingIntake(bus)
    lead(one)
    one.get([trade(1), trade(2)])
    other.get([trade(6)])
    lead(other)
    assert ids(bus) == [1, 2, 6]
    assert (other.sequencer.counters.gaps, other.sequencer.counters.missed_trades) == (1, 3)
    bus.assert_gap_free()


def test_aggregates_are_compared_by_their_own_ids(bus: MemoryBus) -> None:
    one, other = FollowingIntake(bus), FollowingIntake(bus)
    lead(one)
    one.get([aggregate(1), aggregate(2)])
    other.get([aggregate(1), aggregate(2), aggregate(3)])
    lead(other)
    other.get([aggregate(3), aggregate(4), aggregate(6)])
    assert ids(bus) == [1, 2, 3, 4, 6]
    # Where both sides are known, single trades are counted: three in the aggregate that is missing.
    assert (other.sequencer.counters.gaps, other.sequencer.counters.missed_trades) == (1, 3)


def test_a_leader_that_lost_the_lead_and_gets_it_back_writes_what_was_given_up(bus: MemoryBus) -> None:
    one = FollowingIntake(bus)
    lead(one)
    one.get([trade(1)])
    one.writer.cut_off = True
    one.get([trade(2), trade(3)])
    one.follow()
    one.get([trade(4)])
    one.writer.cut_off = False
    lead(one)
    assert ids(bus) == [1, 2, 3, 4]
    bus.assert_gap_free()


def test_a_symbol_that_the_former_leader_did_not_have_begins_at_one(bus: MemoryBus) -> None:
    one, other = FollowingIntake(bus, ("BTCUSDT",)), FollowingIntake(bus, ("BTCUSDT", "ETHUSDT"))
    lead(one)
    one.get([trade(1)])
    other.get([trade(1), trade(70, "ETHUSDT")])
    lead(other)
    other.get([trade(71, "ETHUSDT")])
    assert ids(bus, "market.ETHUSDT") == [70, 71]
    bus.assert_gap_free()


def test_a_symbol_that_the_next_leader_does_not_have_goes_on_with_the_one_after(bus: MemoryBus) -> None:
    one, other = FollowingIntake(bus, ("BTCUSDT", "ETHUSDT")), FollowingIntake(bus, ("BTCUSDT",))
    lead(one)
    one.get([trade(1), trade(70, "ETHUSDT")])
    lead(other)
    other.get([trade(1), trade(2), trade(71, "ETHUSDT")])
    assert ids(bus, "market.ETHUSDT") == [70]
    one.get([trade(71, "ETHUSDT"), trade(72, "ETHUSDT")])
    lead(one)
    assert ids(bus, "market.ETHUSDT") == [70, 71, 72]
    bus.assert_gap_free()


def test_an_exchange_that_numbered_anew_before_the_change_is_followed(bus: MemoryBus) -> None:
    one, other = FollowingIntake(bus), FollowingIntake(bus)
    lead(one)
    old = [trade(5000, ts_ms=NOW_MS), trade(5001, ts_ms=NOW_MS)]
    new = [trade(number, ts_ms=NOW_MS + 60_000) for number in (1, 2, 3)]
    one.get([*old, *new[:2]])
    other.get([*old, *new])
    lead(other)
    # 5000 and 5001 are greater than 2, and older.
    assert ids(bus) == [5000, 5001, 1, 2, 3]


def test_an_exchange_that_numbered_anew_after_the_standing_is_followed(bus: MemoryBus) -> None:
    one, other = FollowingIntake(bus), FollowingIntake(bus)
    lead(one)
    one.get([trade(5000, ts_ms=NOW_MS), book(900)])
    # The exchange was away, and so both connections were made anew.
    other.recent.connection_started(SYMBOLS, 60.0, NOW_MS + 60_000)
    other.get([trade(1, ts_ms=NOW_MS + 60_000), book(3), trade(2, ts_ms=NOW_MS + 60_000)])
    lead(other)
    assert ids(bus) == [5000, 1, 2]
    assert ids(bus, "market.BTCUSDT.book") == [900, 3]
    assert other.sequencer.counters.id_resets == 1
    bus.assert_gap_free()


def test_update_ids_that_stay_lower_than_the_standings_are_of_another_numbering(bus: MemoryBus) -> None:
    one, other = FollowingIntake(bus), FollowingIntake(bus)
    lead(one)
    one.get([book(900)])
    lead(other)
    other.get([book(3), book(900)])
    other.now_s = 9.0
    other.get([book(4)])
    assert ids(bus, "market.BTCUSDT.book") == [900]
    other.now_s = 10.0
    other.get([book(5)])
    other.get([book(6)])
    assert ids(bus, "market.BTCUSDT.book") == [900, 5, 6]


def test_an_epoch_begins_later_than_the_one_before_even_where_the_clock_is_behind(bus: MemoryBus) -> None:
    one, other = FollowingIntake(bus), FollowingIntake(bus)
    lead(one)
    one.get([trade(1)])
    other.now_ms = NOW_MS - 3_600_000
    lead(other)
    other.get([trade(2)])
    other.lead(None)
    other.get([trade(3)])
    other.lead(None)
    other.get([trade(4)])
    assert [(batch.epoch - NOW_MS, batch.number) for batch in bus.batches] == [(0, 1), (0, 2), (1, 1), (2, 1)]


def test_an_epoch_begins_with_the_newest_updates_and_without_trades_that_may_be_written(
    bus: MemoryBus,
) -> None:
    one = FollowingIntake(bus)
    one.get([trade(1), book(7), book(8), day(1000), day(2000)])
    lead(one)
    assert [(topic, seq) for topic, seq, _ in bus.events()] == [("market.BTCUSDT.book", 1), ("market.BTCUSDT.day", 1)]
    assert ids(bus, "market.BTCUSDT.day") == [2000]
    one.get([trade(2)])
    assert ids(bus) == [2]


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"id":-1,"ts":1}', b'{"id":1}', b"\xff"])
def test_a_standing_that_no_feed_wrote_is_followed_by_an_epoch(bus: MemoryBus, payload: bytes) -> None:
    one = FollowingIntake(bus)
    bus.batches.append(Batch(NOW_MS + 5, 7, [("market.BTCUSDT", 3, payload)]))
    lead(one)
    one.get([trade(1)])
    assert [(batch.epoch - NOW_MS, batch.number) for batch in bus.batches[1:]] == [(6, 1)]


def test_what_a_fenced_leader_still_writes_is_refused_and_it_follows(bus: MemoryBus) -> None:
    one, other = FollowingIntake(bus), FollowingIntake(bus)
    lead(one)
    one.get([trade(1)])
    other.get([trade(1), trade(2)])
    lead(other)
    one.get([trade(2), trade(3)])
    assert bus.refused == 1
    assert not one.leading
    other.get([trade(3)])
    assert ids(bus) == [1, 2, 3]


def test_a_feed_that_is_refused_while_it_writes_what_it_kept_writes_no_more(bus: MemoryBus) -> None:
    one, other = FollowingIntake(bus), FollowingIntake(bus)
    lead(one)
    one.get([trade(1)])
    other.get([trade(number) for number in range(1, 2500)])
    other.get([book(1)])
    # Of a lead that was given to another one meanwhile.
    other.lead(bus.standing())
    assert bus.refused == 1
    assert ids(bus) == [1]


def test_the_lag_is_told_per_batch_with_a_trade(bus: MemoryBus) -> None:
    lags: list[float] = []
    one = FollowingIntake(bus)
    one._observe_lag_s = lags.append
    lead(one)
    one.now_ms = NOW_MS + 100
    one.get([trade(1), trade(40)])
    one.get([book(1)])
    assert lags == [0.06]
