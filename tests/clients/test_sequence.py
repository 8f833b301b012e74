"""Ticks in sequence: what the clients' `SequenceTracker`s, Python's and the browser's, hand on, ask for, and call a gap."""

from __future__ import annotations

import json
import random
import subprocess
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clients.command import NODE
from tests.clients.modules import load

sequence = load("python/sequence.py")
Ask, Deliver, Gap, SequenceTracker = sequence.Ask, sequence.Deliver, sequence.Gap, sequence.SequenceTracker


def tick(seq: int, symbol: str = "BTCUSDT", **more: int) -> dict[str, Any]:
    return {"symbol": symbol, "seq": seq, **more}


def answer(ask: Any, *numbers: int, to_seq: int | None = None, epoch: int | None = None, more: bool = False) -> Any:
    last = to_seq if to_seq is not None else max(numbers, default=ask.after_seq)
    events = [tick(seq, ask.symbol) for seq in numbers]
    return {"epoch": epoch or ask.epoch, "to_seq": last, "events": events, "missing": [], "more": more}


def at(*numbers: int, epoch: int = 1, **more: int) -> Any:
    """Return a tracker in an epoch that has seen these ticks."""
    tracker = SequenceTracker(**more)
    tracker.begin_session(epoch)
    for seq in numbers:
        assert tracker.observe(tick(seq)) == [Deliver(tick(seq), 0)]
    return tracker


def told(steps: Any) -> list[str]:
    """Return steps in short."""
    words = []
    for step in steps:
        if isinstance(step, Deliver):
            words.append(f"{step.tick['seq']}" + (f" missed {step.missed}" if step.missed else ""))
        elif isinstance(step, Gap):
            words.append(f"gap {step.from_seq}-{step.to_seq or '?'} of {step.epoch}: {step.because}")
        else:
            words.append(f"ask {step.epoch} after {step.after_seq}")
    return words


def ask_of(steps: Any) -> Any:
    [ask] = [step for step in steps if isinstance(step, Ask)]
    return ask


def test_what_follows_is_handed_on_and_the_tick_seen_last_is_not_handed_on_again() -> None:
    tracker = at(7, 8)
    assert tracker.observe(tick(8)) == []
    assert told(tracker.observe(tick(500, "ETHUSDT"))) == ["500"]


def test_merged_and_dropped_trades_are_part_of_the_sequence() -> None:
    tracker = at(7)
    assert told(tracker.observe(tick(11, merged=4))) == ["11"]
    assert told(tracker.observe(tick(15, merged=3, dropped=1))) == ["15 missed 1"]
    assert told(tracker.observe(tick(18, dropped=2))) == ["18 missed 2"]
    assert told(tracker.observe(tick(19, "ETHUSDT", dropped=5))) == ["19 missed 5"]


def test_a_jump_is_asked_for_and_joined_with_what_came_meanwhile() -> None:
    tracker = at(7)
    ask = ask_of(tracker.observe(tick(10)))
    assert ask == Ask("BTCUSDT", 1, 7)
    assert tracker.observe(tick(11)) == []
    assert tracker.observe(tick(13, merged=2)) == []
    assert told(tracker.answered(ask, answer(ask, 8, 9, 10, 11))) == ["8", "9", "10", "11", "13"]
    assert told(tracker.observe(tick(14))) == ["14"]


def test_what_the_gateway_no_longer_has_is_an_explicit_gap_before_what_follows() -> None:
    tracker = at(7)
    ask = ask_of(tracker.observe(tick(20)))
    steps = tracker.answered(ask, answer(ask, 12, 13, 16, to_seq=20))
    assert told(steps) == [
        *("gap 8-11 of 1: gone", "12 missed 4", "13", "gap 14-15 of 1: gone", "16 missed 2", "gap 17-20 of 1: gone")
    ]
    assert told(tracker.observe(tick(21))) == ["21 missed 4"]


def test_a_long_replay_is_asked_for_part_by_part() -> None:
    tracker = at(7)
    first = ask_of(tracker.observe(tick(12)))
    steps = tracker.answered(first, answer(first, 8, 9, more=True))
    assert told(steps) == ["8", "9", "ask 1 after 9"]
    second = ask_of(steps)
    assert told(tracker.answered(second, answer(second, 10, 11, 12))) == ["10", "11", "12"]


def test_a_tick_that_stands_for_some_that_were_replayed_is_replaced_by_the_others() -> None:
    tracker = at(7)
    ask = ask_of(tracker.observe(tick(10)))
    tracker.observe(tick(14, merged=4))
    steps = tracker.answered(ask, answer(ask, 8, 9, 10, 11, 12))
    assert told(steps) == ["8", "9", "10", "11", "12", "ask 1 after 12"]
    ask = ask_of(steps)
    assert told(tracker.answered(ask, answer(ask, 13, 14, 15))) == ["13", "14"]
    assert told(tracker.observe(tick(15))) == ["15"]


def test_an_older_tick_with_which_a_rate_begins_ends_no_replay_that_is_under_way() -> None:
    tracker = at(12)
    ask = ask_of(tracker.observe(tick(20)))
    tracker.observe(tick(21))
    tracker.change_streams()
    assert tracker.observe(tick(15, merged=5)) == []
    assert told(tracker.answered(ask, answer(ask, *range(13, 23)))) == [str(seq) for seq in range(13, 23)]


def test_a_replay_between_ticks_at_a_rate_ends_where_one_of_them_ends() -> None:
    tracker = at(7)
    ask = ask_of(tracker.observe(tick(14, merged=5)))
    steps = tracker.answered(ask, answer(ask, *range(8, 14), more=True))
    assert told(steps)[-2:] == ["13", "ask 1 after 13"]
    steps = tracker.answered(ask_of(steps), answer(ask_of(steps), *range(14, 17), more=True))
    assert told(steps) == ["14"]
    assert told(tracker.observe(tick(19, merged=5))) == ["19"]


def test_a_change_of_rates_is_no_other_epoch_and_soon_in_step() -> None:
    tracker = at(20)
    tracker.change_streams()
    assert tracker.observe(tick(18, merged=5)) == []
    ask = ask_of(tracker.observe(tick(23, merged=5)))
    assert told(tracker.answered(ask, answer(ask, *range(21, 27)))) == ["21", "22", "23"]
    assert told(tracker.observe(tick(28, merged=5))) == ["28"]
    tracker.change_streams()
    ask = ask_of(tracker.observe(tick(31)))
    assert told(tracker.answered(ask, answer(ask, *range(29, 33)))) == ["29", "30", "31", "32"]


def test_a_tick_that_would_repeat_some_is_a_gap_where_the_others_cannot_be_had() -> None:
    tracker = at(7)
    ask = ask_of(tracker.observe(tick(9, merged=4)))
    assert told(tracker.failed(ask)) == ["gap 8-9 of 1: unanswered"]
    assert told(tracker.observe(tick(10))) == ["10 missed 2"]


def test_a_replay_that_brings_nothing_further_is_not_asked_for_again() -> None:
    tracker = at(7)
    ask = ask_of(tracker.observe(tick(10)))
    assert told(tracker.answered(ask, answer(ask, to_seq=7))) == ["gap 8-9 of 1: gone", "10 missed 2"]
    ask = ask_of(tracker.observe(tick(20)))
    assert told(tracker.answered(ask, answer(ask, to_seq=10, more=True))) == ["gap 11-19 of 1: gone", "20 missed 9"]


def test_without_an_answer_the_ticks_go_on_behind_a_gap() -> None:
    tracker = at(7)
    ask = ask_of(tracker.observe(tick(10)))
    tracker.observe(tick(11))
    assert told(tracker.failed(ask)) == ["gap 8-9 of 1: unanswered", "10 missed 2", "11"]


def test_beyond_what_is_held_the_oldest_go_and_are_a_gap_where_the_replay_has_not_got_them() -> None:
    tracker = at(7, max_held=3)
    ask = ask_of(tracker.observe(tick(10)))
    for seq in range(11, 21):
        assert tracker.observe(tick(seq)) == []
    steps = tracker.answered(ask, answer(ask, 8, 9, 10, 11))
    assert told(steps) == ["8", "9", "10", "11", "gap 12-17 of 1: overflow", "18 missed 6", "19", "20"]
    ask = ask_of(tracker.observe(tick(30)))
    for seq in range(31, 41):
        tracker.observe(tick(seq))
    assert told(tracker.answered(ask, answer(ask, *range(21, 39))))[-3:] == ["38", "39", "40"]


def test_after_a_reconnect_what_was_missed_is_asked_for_also_where_nothing_comes() -> None:
    tracker = at(7)
    tracker.observe(tick(3, "ETHUSDT"))
    tracker.begin_session(1)
    first = ask_of(tracker.observe(tick(9)))
    assert tracker.resume("BTCUSDT") == []
    second = ask_of(tracker.resume("ETHUSDT"))
    assert tracker.resume("SOLUSDT") == []
    assert told(tracker.answered(first, answer(first, 8, 9))) == ["8", "9"]
    assert told(tracker.answered(second, answer(second))) == []
    assert told(tracker.observe(tick(4, "ETHUSDT"))) == ["4"]


def test_an_answer_of_an_earlier_session_says_nothing() -> None:
    tracker = at(7)
    ask = ask_of(tracker.observe(tick(10)))
    tracker.begin_session(1)
    assert tracker.answered(ask, answer(ask, 8, 9, 10)) == []
    assert tracker.ahead(ask) == tracker.failed(ask) == []
    again = ask_of(tracker.observe(tick(12)))
    assert told(tracker.answered(again, answer(again, *range(8, 13)))) == ["8", "9", "10", "11", "12"]


def test_a_gateway_that_is_a_little_behind_repeats_nothing() -> None:
    tracker = at(9, 10)
    tracker.begin_session(1)
    ask = ask_of(tracker.observe(tick(7)))
    tracker.observe(tick(8))
    assert tracker.ahead(ask) == []
    assert [told(tracker.observe(tick(seq))) for seq in (9, 10, 11, 12)] == [[], [], ["11"], ["12"]]


def test_a_gateway_that_has_caught_up_meanwhile_repeats_nothing_either() -> None:
    tracker = at(9, 10)
    tracker.begin_session(1)
    ask = ask_of(tracker.observe(tick(7)))
    assert told(tracker.answered(ask, answer(ask, 11))) == ["11"]
    assert [told(tracker.observe(tick(seq))) for seq in (8, 9, 10, 11, 12)] == [[], [], [], [], ["12"]]


def test_another_epoch_ends_the_sequences_with_a_gap_and_begins_with_its_first_tick() -> None:
    tracker = at(7)
    assert told(tracker.enter_epoch(2)) == ["gap 8-? of 1: epoch"]
    assert tracker.enter_epoch(2) == tracker.enter_epoch(1) == []
    assert told(tracker.observe(tick(1))) == ["1"]
    assert told(tracker.begin_session(3)) == ["gap 2-? of 2: epoch"]
    ask = ask_of(tracker.observe(tick(5)))
    assert ask == Ask("BTCUSDT", 3, 0)
    assert told(tracker.answered(ask, answer(ask, 4, 5)))[:2] == ["gap 1-3 of 3: gone", "4 missed 3"]


def test_an_epoch_that_the_answer_tells_first_is_followed_and_asked_for_from_its_beginning() -> None:
    tracker = at(7)
    ask = ask_of(tracker.observe(tick(20)))
    steps = tracker.answered(ask, answer(ask, epoch=2))
    assert told(steps) == ["gap 8-? of 1: epoch", "ask 2 after 0"]
    ask = ask_of(steps)
    assert told(tracker.answered(ask, answer(ask, *range(1, 21))))[-1] == "20"


def test_a_lower_number_from_the_same_gateway_is_another_epoch_announced_or_not() -> None:
    tracker = at(7)
    steps = tracker.observe(tick(1))
    assert told(steps) == ["gap 8-? of 1: epoch", "ask 1 after 0"]
    steps = tracker.answered(ask_of(steps), answer(ask_of(steps), epoch=2))
    assert told(steps) == ["ask 2 after 0"]
    assert told(tracker.answered(ask_of(steps), answer(ask_of(steps), 1, 2))) == ["1", "2"]


def test_what_is_left_of_the_epoch_before_is_not_taken_for_the_next_one() -> None:
    tracker = at(7)
    tracker.enter_epoch(2)
    ask = ask_of(tracker.observe(tick(8)))
    assert tracker.answered(ask, answer(ask, epoch=1)) == []
    assert told(tracker.observe(tick(1))) == ["1"]


def test_what_was_asked_for_before_the_epoch_was_known_is_asked_for_in_it() -> None:
    tracker = at(7, epoch=0)
    ask = ask_of(tracker.observe(tick(9)))
    assert tracker.enter_epoch(5) == []
    steps = tracker.answered(ask, answer(ask, epoch=5))
    assert told(steps) == ["ask 5 after 7"]
    assert told(tracker.answered(ask_of(steps), answer(ask_of(steps), 8, 9))) == ["8", "9"]


def test_a_gateway_of_an_earlier_epoch_is_left_twice_and_then_believed() -> None:
    tracker = at(7, epoch=5)
    for _ in range(2):
        with pytest.raises(sequence.GatewayBehind, match="is at epoch 4, and 5 has begun"):
            tracker.begin_session(4)
    assert told(tracker.begin_session(4)) == ["gap 8-? of 5: epoch"]
    assert tracker.begin_session(0) == []


class World:
    """A feed, a gateway with a line, and a client's tracker at its end; moves as a list of numbers says."""

    def __init__(self, moves: deque[int], max_held: int = 10_000) -> None:
        self.moves = moves
        self.tracker = SequenceTracker(max_held)
        self.epoch, self.newest, self.gateway_at, self.floor = 1, 0, 0, 0
        self.lossy = False
        self.line: deque[tuple[str, Any]] = deque()
        self.calls: deque[Any] = deque()
        self.asks: list[Any] = []
        self.record: list[tuple[list[Any], Any]] = []
        self.steps: list[Any] = []
        self.do("begin_session", None, 1)

    def move(self, below: int) -> int:
        return self.moves.popleft() % below if self.moves else 0

    def tick(self, seq: int, **more: int) -> dict[str, Any]:
        return tick(seq, epoch=self.epoch, **more)

    def do(self, method: str, ask: Any, *rest: Any) -> None:
        steps = getattr(self.tracker, method)(*(() if ask is None else (ask,)), *rest)
        number = None if ask is None else next(at for at, known in enumerate(self.asks) if known is ask)
        self.record.append(([method, number, *rest], steps))
        self.steps += steps
        made = [step for step in steps if isinstance(step, Ask)]
        self.asks += made
        self.calls += made

    def publish(self) -> None:
        """Let the gateway catch up with the feed: ticks one by one, merged or with some dropped; or lost on the line."""
        while self.gateway_at < self.newest:
            count = min(1 + self.move(4), self.newest - self.gateway_at)
            self.gateway_at += count
            kind = self.move(8)
            if kind == 0:
                continue
            if kind < 5 or count == 1:
                self.line += [("tick", self.tick(self.gateway_at - left)) for left in reversed(range(count))]
            else:
                dropped = self.move(count)
                marks = {"merged": count - dropped} | ({"dropped": dropped} if dropped else {})
                self.line.append(("tick", self.tick(self.gateway_at, **marks)))

    def answer(self) -> None:
        """Let the gateway answer the oldest call, behind what it has published."""
        ask = self.calls.popleft()
        if ask.epoch != self.epoch:
            self.line.append(("answered", (ask, answer(ask, epoch=self.epoch))))
        elif ask.after_seq > self.gateway_at:
            self.line.append(("ahead", (ask,)))
        else:
            kept = range(max(ask.after_seq, self.floor) + 1, self.gateway_at + 1)
            part = kept[: 1 + self.move(6)]
            more = len(part) < len(kept)
            said = answer(ask, to_seq=part[-1] if more else self.gateway_at, more=more)
            said["events"] = [self.tick(seq) for seq in part]
            self.line.append(("answered", (ask, said)))

    def hear(self) -> None:
        kind, heard = self.line.popleft()
        if kind == "tick":
            self.do("observe", None, heard)
        elif kind == "epoch":
            self.do("enter_epoch", None, heard)
        else:
            self.do(kind, *heard)

    def reconnect(self, lag: int) -> None:
        self.line.clear()
        self.calls.clear()
        self.gateway_at = max(0, self.newest - lag)
        self.do("begin_session", None, self.epoch)
        if self.gateway_at:
            self.line.append(("tick", self.tick(self.gateway_at)))

    def run(self) -> None:
        while self.moves:
            what = self.move(16)
            if what < 5:
                self.newest += 1 + self.move(3)
                self.publish()
            elif what < 9 and self.line:
                self.hear()
            elif what < 12 and self.calls:
                self.answer()
            elif what == 12:
                self.reconnect(self.move(5))
            elif what == 13:
                self.do("resume", None, "BTCUSDT")
            elif what == 14 and self.lossy:
                self.floor = max(self.floor, self.gateway_at - self.move(4))
            elif what == 15 and self.move(3) == 0:
                self.publish()
                self.epoch += 1
                self.newest = self.gateway_at = self.floor = 0
                self.line.append(("epoch", self.epoch))
        self.newest += 1
        self.gateway_at = self.newest if self.gateway_at == self.newest - 1 else self.gateway_at
        self.publish()
        self.line.append(("tick", self.tick(self.newest)))
        for _ in range(10_000):
            if self.line:
                self.hear()
            elif self.calls:
                self.answer()
            else:
                return
        raise AssertionError("asks for ever")

    def check(self) -> list[Any]:
        """Check that what was handed on is one sequence without hole or repetition; return the gaps with an end."""
        reached: int | None = None
        epoch = 0
        ended = True
        gaps = []
        for step in self.steps:
            if isinstance(step, Ask):
                continue
            named = step.tick["epoch"] if isinstance(step, Deliver) else step.epoch
            assert named > epoch if ended else named == epoch
            epoch, ended = named, False
            if isinstance(step, Deliver):
                first = step.tick["seq"] - step.tick.get("merged", 1) - step.tick.get("dropped", 0)
                assert reached is None or first == reached
                reached = step.tick["seq"]
            else:
                assert step.from_seq == reached + 1
                if step.to_seq is None:
                    ended, reached = True, 0
                else:
                    assert step.to_seq >= step.from_seq
                    gaps.append(step)
                    reached = step.to_seq
        assert reached == self.newest
        assert self.tracker._held == 0
        return gaps


MOVES = st.lists(st.integers(0, 10_000), max_size=150)


@given(MOVES)
def test_cuts_losses_and_lags_leave_one_sequence_without_a_gap_where_the_gateway_has_all(moves: list[int]) -> None:
    world = World(deque(moves))
    world.run()
    assert world.check() == []


@given(MOVES, st.integers(1, 5))
def test_what_cannot_be_had_is_told_to_the_number(moves: list[int], max_held: int) -> None:
    world = World(deque(moves), max_held)
    world.lossy = True
    world.run()
    assert all(gap.because in ("gone", "overflow") for gap in world.check())


def as_json(step: Any) -> dict[str, Any]:
    kind = {Deliver: "tick", Gap: "gap", Ask: "ask"}[type(step)]
    return {"kind": kind, **{name: getattr(step, name) for name in step.__dataclass_fields__}}


METHODS = {"begin_session": "beginSession", "enter_epoch": "enterEpoch"}


@pytest.mark.skipif(NODE is None, reason="no node.js on this machine")
def test_the_browsers_tracker_says_the_same_word_for_word() -> None:
    runs, expected = [], []
    for seed in range(150):
        chance = random.Random(seed)
        max_held = chance.choice((2, 10_000))
        world = World(deque(chance.randrange(10_000) for _ in range(300)), max_held)
        world.lossy = chance.random() < 0.5
        world.run()
        calls = [[METHODS.get(method, method), *rest] for (method, *rest), _ in world.record]
        runs.append({"maxHeld": max_held, "calls": calls})
        expected.append([[as_json(step) for step in steps] for _, steps in world.record])
    twin = Path(__file__).with_name("sequence-twin.mjs")
    outcome = subprocess.run(
        [str(NODE), str(twin)], input=json.dumps(runs), capture_output=True, text=True, check=False, timeout=60
    )
    assert outcome.returncode == 0, outcome.stderr
    assert json.loads(outcome.stdout) == expected
