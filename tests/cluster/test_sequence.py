"""What judges the clients of a cluster: it must see every hole and every repetition, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.cluster.sequence import SymbolSequence, Tick, Verdict
from tests.cluster.places import PlainPlace


def tick(seq: int, merged: int = 1) -> Tick:
    """Return a tick of trades whose ids are 100 more than their numbers."""
    return seq - merged + 1, seq, 100 + seq - merged + 1, 100 + seq


@pytest.fixture
def verdict() -> Verdict:
    return Verdict()


def followed(verdict: Verdict, *seqs: int) -> SymbolSequence:
    sequence = SymbolSequence("BTCUSDT", verdict, PlainPlace())
    for seq in seqs:
        sequence.take(tick(seq))
    return sequence


@given(st.lists(st.integers(1, 5), min_size=1))
def test_ticks_that_say_what_they_stand_for_are_whole(sizes: list[int]) -> None:
    verdict = Verdict()
    sequence = followed(verdict, 7)
    seq = 7
    for size in sizes:
        seq += size
        assert not sequence.take(tick(seq, size))
    assert verdict == Verdict(ticks=1 + sum(sizes))
    assert sequence.seq == seq


def test_a_hole_is_asked_for_and_filled(verdict: Verdict) -> None:
    sequence = followed(verdict, 7, 8)
    assert sequence.take(tick(11))
    assert not sequence.take(tick(12))
    assert sequence.ask() == 8
    sequence.replayed([tick(9), tick(10), tick(11)], [], 11, False)
    assert sequence.seq == 12
    assert verdict == Verdict(ticks=6, replayed=3)


def test_what_is_gone_is_counted(verdict: Verdict) -> None:
    sequence = followed(verdict, 7)
    assert sequence.take(tick(12))
    sequence.replayed([tick(11)], [(8, 10)], 11, False)
    assert sequence.seq == 12
    assert verdict == Verdict(ticks=3, replayed=1, gaps=1, missing=3)


def test_a_replay_in_parts_is_joined_to_what_came_meanwhile(verdict: Verdict) -> None:
    sequence = followed(verdict, 7)
    assert sequence.ask() == 7
    sequence.take(tick(10))
    sequence.replayed([tick(8)], [], 8, True)
    assert sequence.asking
    assert sequence.ask() == 8
    sequence.replayed([tick(9)], [], 9, False)
    assert (sequence.seq, verdict.ticks, verdict.broken) == (10, 4, [])


def test_a_merged_tick_may_overlap_a_replay(verdict: Verdict) -> None:
    sequence = followed(verdict, 7)
    sequence.ask()
    sequence.take(tick(12, merged=4))
    sequence.replayed([tick(8), tick(9), tick(10)], [], 10, False)
    assert (sequence.seq, verdict.ticks, verdict.broken) == (12, 6, [])


@pytest.mark.parametrize("again", [6, 7])
def test_a_repetition_is_blamed(verdict: Verdict, again: int) -> None:
    followed(verdict, 6, 7, again)
    assert verdict.broken == [f"BTCUSDT: {again} came again behind 7"]


def test_a_replay_with_a_hole_is_blamed(verdict: Verdict) -> None:
    sequence = followed(verdict, 7)
    sequence.ask()
    sequence.replayed([tick(9)], [], 9, False)
    assert verdict.broken == ["BTCUSDT: a replay goes on with 9 behind 7"]


def test_a_replay_that_ends_before_what_came_meanwhile_is_blamed(verdict: Verdict) -> None:
    sequence = followed(verdict, 7)
    sequence.ask()
    sequence.take(tick(12))
    sequence.replayed([tick(8)], [], 8, False)
    assert verdict.broken == ["BTCUSDT: 12 came behind a replay to 8"]


def test_trades_that_are_in_no_tick_are_counted(verdict: Verdict) -> None:
    sequence = followed(verdict, 7)
    sequence.take((8, 8, 110, 110))
    assert verdict.lost == 2
    assert verdict.broken == []


def test_another_epoch_is_told_and_begins_anywhere(verdict: Verdict) -> None:
    sequence = followed(verdict, 7)
    sequence.begin_epoch()
    assert not sequence.take((3, 3, 500, 500))
    assert verdict == Verdict(ticks=2, epochs=1)


def test_what_came_while_a_replay_was_asked_for_is_not_of_the_epoch_that_begins_meanwhile(verdict: Verdict) -> None:
    sequence = followed(verdict, 7)
    assert sequence.take((9, 9, 109, 109))
    sequence.begin_epoch()
    assert not sequence.take((1, 1, 500, 500))
    assert (sequence.seq, verdict.broken, verdict.epochs) == (1, [], 1)
