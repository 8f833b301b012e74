"""Faults by name: begin, end, count, and never more than may be kept."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.fault_log import ALIKE_MS, MAX_DETAIL, FaultLog
from components.core.faults import CONDITIONS, MOMENTS, Fault, FaultKind


class Clock:
    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_condition_is_active_from_its_begin_to_its_end(clock: Clock) -> None:
    log = FaultLog(clock)
    began_ms = clock.ms
    log.set(Fault.BUS_AWAY, True, "connection refused")
    clock.ms += 3_000
    log.set(Fault.BUS_AWAY, True, "timed out")
    [entry] = log.active()
    assert entry.as_dict() == {
        "fault": "bus_away",
        "since_ms": began_ms,
        "until_ms": None,
        "count": 1,
        "detail": "timed out",
    }
    assert log.recent() == [entry]
    clock.ms += 1_000
    log.set(Fault.BUS_AWAY, False)
    assert log.active() == []
    [ended] = log.recent()
    assert (ended.since_ms, ended.until_ms, ended.detail) == (began_ms, began_ms + 4_000, "timed out")
    assert log.counts[Fault.BUS_AWAY] == 1


def test_what_never_was_does_not_end(clock: Clock) -> None:
    log = FaultLog(clock)
    log.set(Fault.FEED_LOST, False)
    assert log.recent() == []
    assert log.counts[Fault.FEED_LOST] == 0


def test_a_condition_that_flaps_is_one_entry(clock: Clock) -> None:
    log = FaultLog(clock)
    began_ms = clock.ms
    for _ in range(50):
        log.set(Fault.LINK_DOWN, True)
        clock.ms += 100
        log.set(Fault.LINK_DOWN, False)
        clock.ms += ALIKE_MS
    [entry] = log.recent()
    assert (entry.since_ms, entry.count) == (began_ms, 50)
    clock.ms += 1
    log.set(Fault.LINK_DOWN, True)
    assert [entry.count for entry in log.recent()] == [1, 50]


def test_moments_alike_are_counted_together(clock: Clock) -> None:
    log = FaultLog(clock)
    began_ms = clock.ms
    log.tell(Fault.CLIENTS_CUT, "stalled", times=3)
    clock.ms += ALIKE_MS
    log.tell(Fault.CLIENTS_CUT, "too many bytes")
    clock.ms += 1
    log.tell(Fault.CLIENTS_CUT, times=0)
    [entry] = log.recent()
    assert (entry.since_ms, entry.until_ms, entry.count) == (began_ms, began_ms + ALIKE_MS, 4)
    assert entry.detail == "too many bytes"
    clock.ms += ALIKE_MS
    log.tell(Fault.CLIENTS_CUT)
    assert [entry.count for entry in log.recent()] == [1, 4]
    assert log.counts[Fault.CLIENTS_CUT] == 5


def test_moments_of_another_name_between_do_not_part_them(clock: Clock) -> None:
    log = FaultLog(clock)
    for _ in range(3):
        log.tell(Fault.CLIENTS_CUT)
        log.tell(Fault.LOOP_BLOCKED)
    assert [(entry.fault, entry.count) for entry in log.recent()] == [
        (Fault.LOOP_BLOCKED, 3),
        (Fault.CLIENTS_CUT, 3),
    ]


def test_a_fault_that_comes_again_and_again_takes_no_other_ones_place(clock: Clock) -> None:
    log = FaultLog(clock, max_kept=10)
    log.tell(Fault.EPOCH_BEGAN)
    log.set(Fault.BUS_AWAY, True)
    log.set(Fault.BUS_AWAY, False)
    for _ in range(100):
        clock.ms += ALIKE_MS + 1
        log.tell(Fault.CLIENTS_CUT)
    kept = [entry.fault for entry in log.recent()]
    assert kept == [Fault.CLIENTS_CUT] * 8 + [Fault.BUS_AWAY, Fault.EPOCH_BEGAN]


def test_a_clock_that_is_set_back_ends_nothing_before_its_begin(clock: Clock) -> None:
    log = FaultLog(clock)
    log.set(Fault.BUS_AWAY, True)
    log.tell(Fault.EPOCH_BEGAN)
    clock.ms -= 60_000
    log.set(Fault.BUS_AWAY, False)
    log.tell(Fault.EPOCH_BEGAN)
    for entry in log.recent():
        assert entry.until_ms is not None
        assert entry.until_ms >= entry.since_ms


def test_a_detail_is_of_bounded_length(clock: Clock) -> None:
    log = FaultLog(clock)
    log.set(Fault.LINK_DOWN, True, "x" * 10_000)
    log.tell(Fault.EPOCH_BEGAN, "y" * 10_000)
    assert {len(entry.detail) for entry in log.recent()} == {MAX_DETAIL}


def test_who_mixes_up_conditions_and_moments_is_told(clock: Clock) -> None:
    log = FaultLog(clock)
    with pytest.raises(ValueError, match="epoch_began is no condition, but of kind moment"):
        log.set(Fault.EPOCH_BEGAN, True)
    with pytest.raises(ValueError, match="bus_away is no moment, but of kind condition"):
        log.tell(Fault.BUS_AWAY)
    with pytest.raises(ValueError, match="gateway_down is no condition, but of kind outside"):
        log.set(Fault.GATEWAY_DOWN, True)
    with pytest.raises(ValueError, match="times must be >= 0, was -1"):
        log.tell(Fault.EPOCH_BEGAN, times=-1)
    with pytest.raises(ValueError, match="max_kept must be > 0, was 0"):
        FaultLog(clock, max_kept=0)


def test_what_ends_while_a_process_starts_is_held_back_and_forgotten_when_it_starts_as_it_should(clock: Clock) -> None:
    log = FaultLog(clock, starting=True)
    for _ in range(3):
        log.set(Fault.BUS_AWAY, True, "not connected yet")
        [active] = log.active()
        assert log.recent() == [active]
        log.set(Fault.BUS_AWAY, False)
        log.tell(Fault.BUS_RETURNED)
        log.tell(Fault.LOOP_BLOCKED)
    log.tell(Fault.TRADES_MISSED, times=5)
    log.set(Fault.CERTIFICATE_EXPIRES, True)
    log.set(Fault.LINK_DOWN, True)
    log.set(Fault.LINK_DOWN, False)
    log.set(Fault.LINK_DOWN, True)
    assert log.counts == {Fault.TRADES_MISSED: 5}
    assert {entry.fault for entry in log.recent()} == {Fault.CERTIFICATE_EXPIRES, Fault.LINK_DOWN, Fault.TRADES_MISSED}
    log.end_start(ordinary=True)
    assert {entry.fault: entry.count for entry in log.recent()} == log.counts
    assert log.counts == {Fault.TRADES_MISSED: 5, Fault.CERTIFICATE_EXPIRES: 1, Fault.LINK_DOWN: 2}
    # It comes back a moment later, and has not been there before.
    log.set(Fault.BUS_AWAY, True)
    assert (log.active()[-1].count, log.counts[Fault.BUS_AWAY]) == (1, 1)


def test_a_start_that_is_none_as_it_should_be_is_shown_and_counted_as_it_was(clock: Clock) -> None:
    log, told = FaultLog(clock, starting=True), FaultLog(clock)
    for each in (log, told):
        each.set(Fault.REALM_CLOSED, True)
        each.set(Fault.REALM_CLOSED, False)
        each.set(Fault.BUS_AWAY, True)
        each.tell(Fault.LOOP_BLOCKED, times=2)
    log.end_start(ordinary=False)
    # A process starts once.
    log.end_start(ordinary=True)
    assert (log.recent(), log.counts) == (told.recent(), told.counts)


steps = st.lists(
    st.tuples(st.sampled_from([*CONDITIONS, *MOMENTS]), st.booleans(), st.integers(-2_000, 12_000)), max_size=200
)


@given(steps)
def test_whatever_happens_the_log_is_bounded_sorted_and_counts_all(steps: list[tuple[Fault, bool, int]]) -> None:
    clock = Clock()
    log = FaultLog(clock, max_kept=5)
    active: set[Fault] = set()
    begun = 0
    for fault, is_so, later_ms in steps:
        clock.ms += later_ms
        if fault.kind is FaultKind.MOMENT:
            log.tell(fault)
            begun += 1
        else:
            log.set(fault, is_so)
            begun += is_so and fault not in active
            active = active | {fault} if is_so else active - {fault}
        assert {entry.fault for entry in log.active()} == active
        ended = [entry for entry in log.recent() if entry.until_ms is not None]
        assert len(ended) <= 5
        assert sum(log.counts.values()) == begun
        json.dumps([entry.as_dict() for entry in log.recent()])


@given(steps, st.integers(0, 200), st.booleans())
def test_however_a_start_ends_counts_only_grow_and_are_of_what_is_told(
    steps: list[tuple[Fault, bool, int]], started: int, ordinary: bool
) -> None:
    clock = Clock()
    log = FaultLog(clock, max_kept=1_000, starting=True)
    before: dict[Fault, int] = {}
    for step, (fault, is_so, later_ms) in enumerate(steps):
        clock.ms += later_ms
        if fault.kind is FaultKind.MOMENT:
            log.tell(fault)
        else:
            log.set(fault, is_so)
        if step == started:
            log.end_start(ordinary=ordinary)
        assert all(log.counts[fault] >= count for fault, count in before.items())
        before = dict(log.counts)
        if not log.starting:
            told: Counter[Fault] = Counter()
            for entry in log.recent():
                told[entry.fault] += entry.count
            assert told == log.counts
