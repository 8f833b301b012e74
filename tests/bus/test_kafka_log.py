"""The rules of Kafka's log, on records alone: who leads, what counts, and that all who read agree."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.bus.kafka.candidacy import Candidacy, CandidacyLimits, Step
from components.bus.kafka.log import (
    NOBODY,
    READY,
    Kept,
    Kind,
    LogReading,
    MalformedRecord,
    SnapshotChunks,
    encode_change,
    encode_record,
    encode_snapshot,
)
from components.core.batch import Batch, Standing, encode_batch
from components.core.symbol_choice import NO_CHOICE, SymbolChoice, encode_choice

A, B, C = (bytes((number,)) * 8 for number in (1, 2, 3))


def claim(token: bytes, follows: bytes = b"") -> bytes:
    return encode_record(Kind.CLAIM, token, follows)


def batch(token: bytes, epoch: int, number: int, topic: str = "market.BTCUSDT") -> bytes:
    events = [(topic, number, b'{"seq":%d}' % number)]
    return encode_record(Kind.BATCH, token, encode_batch(Batch(epoch, number, events)))


def change(version: int, follows: int | None, *symbols: str) -> bytes:
    return encode_record(Kind.CHANGE, C, encode_change(SymbolChoice(version, symbols or None, "olga", 1), follows))


def read(records: list[bytes], reading: LogReading | None = None) -> list[bool]:
    """Return of each record whether it counts."""
    reading = reading or LogReading(0, keeps_newest=True)
    return [reading.take(reading.offset, record).counts for record in records]


def test_of_two_claims_on_the_same_lead_the_first_in_the_log_counts() -> None:
    assert read([claim(A, NOBODY), claim(B, NOBODY), batch(B, 1, 1), batch(A, 1, 1)]) == [True, False, False, True]


def test_what_is_written_under_a_token_that_was_followed_is_void() -> None:
    records = [claim(A, NOBODY), batch(A, 1, 1), claim(B, A), batch(A, 1, 2), batch(B, 1, 2), batch(A, 1, 3)]
    assert read(records) == [True, True, True, False, True, False]


def test_a_claim_that_comes_when_another_feed_leads_already_is_void() -> None:
    assert read([claim(A, NOBODY), claim(B, A), claim(C, A), batch(B, 1, 1)]) == [True, True, False, True]


def test_a_batch_counts_once_and_without_a_hole_before_it() -> None:
    records = [claim(A, NOBODY), *(batch(A, 1, number) for number in (1, 2, 2, 4, 3)), batch(A, 2, 2), batch(A, 2, 1)]
    assert read(records) == [True, True, True, False, False, True, False, True]


def test_nothing_counts_before_somebody_leads() -> None:
    assert read([batch(NOBODY, 1, 1), batch(A, 1, 1), claim(A, NOBODY), batch(A, 1, 1)]) == [False, False, True, True]


def test_what_stands_is_of_one_epoch() -> None:
    reading = LogReading(0, keeps_newest=True)
    read([claim(A, NOBODY), batch(A, 1, 1, "x"), batch(A, 2, 1, "y"), batch(A, 2, 2, "y")], reading)
    assert reading.snapshot().standing() == Standing(2, 2, {"y": (2, b'{"seq":2}')})


def test_who_has_resigned_writes_no_more() -> None:
    records = [claim(A, NOBODY), batch(A, 1, 1), encode_record(Kind.RESIGNATION, A), batch(A, 1, 2), claim(B, A)]
    assert read(records) == [True, True, True, False, True]


def test_a_claim_on_whatever_lead_there_is_counts_for_who_knows_and_who_does_not() -> None:
    knowing, unknowing = LogReading(0), LogReading(7)
    read([claim(A, NOBODY), batch(A, 1, 1)], knowing)
    records = [batch(A, 1, 2), claim(B, C), claim(C), batch(C, 5, 1)]
    assert read(records, knowing) == [True, False, True, True]
    assert read(records, unknowing) == [False, False, True, True]


@pytest.mark.parametrize("data", [b"", bytes(8), b"\x63" + bytes(8), b"\x01" + A + b"no batch"])
def test_bytes_that_are_no_record_are_malformed_and_the_next_is_taken(data: bytes) -> None:
    reading = LogReading(0)
    read([claim(A, NOBODY)], reading)
    with pytest.raises(MalformedRecord):
        reading.take(1, data)
    assert reading.take(2, batch(A, 1, 1)).counts


def test_a_snapshot_larger_than_a_record_may_be_comes_in_parts() -> None:
    reading = LogReading(0, keeps_newest=True)
    events = [(f"market.{number}", 1, b"x" * 1000) for number in range(2000)]
    read([claim(A, NOBODY), encode_record(Kind.BATCH, A, encode_batch(Batch(1, 1, events)))], reading)
    records = encode_snapshot(reading.snapshot())
    assert len(records) == 3
    assert max(map(len, records)) < 1_000_000
    chunks = SnapshotChunks()
    assert [chunks.take(record) for record in records] == [None, None, reading.snapshot()]


def test_parts_of_two_snapshots_are_never_put_together() -> None:
    reading = LogReading(0, keeps_newest=True)
    events = [(f"market.{number}", 1, b"x" * 1000) for number in range(1000)]
    read([claim(A, NOBODY), encode_record(Kind.BATCH, A, encode_batch(Batch(1, 1, events)))], reading)
    early = encode_snapshot(reading.snapshot())
    read([batch(A, 1, 2)], reading)
    late = encode_snapshot(reading.snapshot())
    chunks = SnapshotChunks()
    assert [chunks.take(record) for record in (early[0], late[1], late[0], early[1])][:2] == [None, None]
    chunks = SnapshotChunks()
    taken = [chunks.take(record) for record in (late[0], early[1], *late)]
    assert taken == [None, None, None, reading.snapshot()]


def test_of_two_changes_of_the_same_choice_the_first_in_the_log_counts() -> None:
    reading = LogReading(0)
    records = [change(5, 0, "AAA"), change(6, 0, "BBB"), change(6, 5, "CCC"), change(6, 6, "DDD"), change(9, 5, "EEE")]
    assert read(records, reading) == [True, False, True, False, False]
    assert reading.choice == SymbolChoice(6, ("CCC",), "olga", 1)


def test_a_choice_that_the_log_has_lost_is_written_again_and_undoes_no_later_one() -> None:
    reading = LogReading(7)
    assert read([change(5, None, "AAA"), change(5, None, "BBB"), change(6, 5), change(5, None)], reading) == [
        True,
        False,
        True,
        False,
    ]
    assert reading.choice == SymbolChoice(6, None, "olga", 1)


def test_a_change_needs_no_lead_and_changes_none() -> None:
    records = [change(1, 0), claim(A, NOBODY), change(2, 1), batch(A, 1, 1), claim(B, A), change(3, 2)]
    reading = LogReading(0)
    assert read(records, reading) == [True] * 6
    assert (reading.token, reading.choice.version) == (B, 3)


@pytest.mark.parametrize(
    "body",
    [b"x", encode_choice(NO_CHOICE), encode_change(SymbolChoice(1, ("AAA", "AAA")), 0), b"\x92\xc0\xc4\x01{"],
)
def test_a_change_to_what_is_no_choice_is_malformed(body: bytes) -> None:
    reading = LogReading(0)
    with pytest.raises(MalformedRecord):
        reading.take(0, encode_record(Kind.CHANGE, C, body))
    assert (reading.offset, reading.choice) == (1, NO_CHOICE)


@pytest.mark.parametrize(("first", "begins_at", "knows_who_leads"), [(0, 2, True), (2, 2, True), (3, 9, False)])
def test_what_is_kept_beside_a_log_is_where_its_reading_begins(
    first: int, begins_at: int, knows_who_leads: bool
) -> None:
    whole = LogReading(0, keeps_newest=True)
    read([claim(A, NOBODY), batch(A, 1, 1)], whole)
    choice = SymbolChoice(5, ("AAA",))
    reading = Kept(whole.snapshot(), choice).reading(first, 9)
    assert (reading.offset, reading.token is not None, reading.choice) == (begins_at, knows_who_leads, choice)


def test_a_log_beside_which_nothing_is_kept_is_read_from_its_beginning_where_it_has_it() -> None:
    assert [Kept(None, NO_CHOICE).reading(first, 9).offset for first in (0, 1)] == [0, 9]


tokens = st.sampled_from([A, B, C])
records = st.one_of(
    st.builds(claim, tokens, st.sampled_from([NOBODY, A, B, C, b""])),
    st.builds(batch, tokens, st.integers(1, 2), st.integers(1, 4), st.sampled_from(["x", "y"])),
    st.builds(encode_record, st.sampled_from([Kind.STATUS, Kind.HEARTBEAT, Kind.RESIGNATION, Kind.PROBE]), tokens),
)


@given(st.lists(records, max_size=40), st.data())
def test_who_begins_with_a_snapshot_agrees_with_who_read_all(log: list[bytes], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(log)))
    whole = LogReading(0, keeps_newest=True)
    read(log[:at], whole)
    late = LogReading.after(whole.snapshot(), keeps_newest=True)
    assert read(log[at:], late) == read(log[at:], whole)
    assert late.snapshot() == whole.snapshot()


@given(st.lists(records, max_size=40))
def test_whatever_is_written_the_batches_that_count_have_no_hole(log: list[bytes]) -> None:
    reading = LogReading(0)
    taken = [reading.take(offset, record).batch for offset, record in enumerate(log)]
    counted = [one for one in taken if one is not None]
    for before, after in itertools.pairwise(counted):
        follows = after.epoch == before.epoch and after.number == before.number + 1
        assert follows or (after.epoch != before.epoch and after.number == 1)
    assert not counted or counted[0].number == 1


@given(st.lists(st.tuples(st.sampled_from([A, B, C]), st.integers(1, 3)), max_size=12), st.data())
def test_what_counted_is_known_also_to_who_begins_before_a_snapshot(
    leads: list[tuple[bytes, int]], data: st.DataObject
) -> None:
    """Of logs in which each lead has a token of its own, as tokens that are drawn at random have."""
    log, number, before = [], 0, NOBODY
    for place, (_, batches) in enumerate(leads):
        token = bytes((place + 1,)) * 8
        log.append(claim(token, before))
        for _ in range(batches):
            number += 1
            log += [batch(token, 1, number), batch(before, 1, number)]
        before = token
    whole = LogReading(0, keeps_newest=True)
    expected = read(log, whole)
    at = data.draw(st.integers(0, len(log)))
    assert read(log[at:], LogReading.before(whole.snapshot(), at)) == expected[at:]


@given(
    st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 30)), st.integers(0, 9), st.sampled_from("AB"))), st.data()
)
def test_who_knows_a_choice_too_early_has_the_same_in_the_end(
    wanted: list[tuple[int | None, int, str]], data: st.DataObject
) -> None:
    """Of changes that follow what stood once, or what is earlier: none follows what is made after it."""
    whole, log, stood = LogReading(0), [], [NO_CHOICE]
    for place, (follows, version, symbol) in enumerate(wanted):
        log.append(change(version, None if follows is None else stood[follows % len(stood)].version, symbol * 3))
        whole.take(place, log[-1])
        stood.append(whole.choice)
    at = data.draw(st.integers(0, len(log)))
    late = LogReading(at)
    late.know(data.draw(st.sampled_from(stood[at:])))
    read(log[at:], late)
    assert late.choice == whole.choice


LIMITS = CandidacyLimits(probe_every_s=1, probes=3, quiet_s=2, slow_s=1, lost_after_s=5)


class Standby:
    """A candidacy and the log that it reads."""

    def __init__(self, *log: bytes, former: bytes | None = None) -> None:
        self.reading = LogReading(0)
        self.candidacy = Candidacy(LIMITS, former)
        self.take(0, *log)

    def take(self, now: float, *records: bytes) -> None:
        for record in records:
            self.candidacy.took(self.reading.take(self.reading.offset, record), self.reading, now)

    def steps(self, *times: float) -> list[Step | None]:
        """Return the steps at these times; a probe comes back at once."""
        steps = []
        for now in times:
            steps.append(self.candidacy.next_step(self.reading, now))
            if steps[-1] is Step.PROBE:
                self.take(now, encode_record(Kind.PROBE, self.candidacy.token))
        return steps


def test_a_lead_that_nobody_has_is_claimed_at_once_and_once() -> None:
    for free in (
        Standby(),
        Standby(claim(A, NOBODY), encode_record(Kind.RESIGNATION, A)),
        Standby(claim(A, NOBODY), former=A),
    ):
        assert free.steps(0, 1, 4, 5) == [Step.CLAIM, None, None, None]


def test_a_lead_is_claimed_when_probes_have_come_back_and_nothing_else() -> None:
    standby = Standby(claim(A, NOBODY))
    assert standby.steps(0, 1, 2, 2.1) == [Step.PROBE, Step.PROBE, Step.PROBE, Step.CLAIM]


def test_who_may_not_claim_a_free_lead_probes_until_it_may() -> None:
    standby = Standby()
    for now in range(5):
        assert standby.candidacy.next_step(standby.reading, now, may_claim=False) is Step.PROBE
        standby.take(now, encode_record(Kind.PROBE, standby.candidacy.token))
    assert standby.steps(5) == [Step.CLAIM]


def test_a_probe_says_whether_its_feed_is_ready_to_lead() -> None:
    reading = LogReading(0)
    assert reading.take(0, encode_record(Kind.PROBE, A, READY)).ready
    assert not reading.take(1, encode_record(Kind.PROBE, A)).ready


def test_a_lead_that_writes_is_not_claimed() -> None:
    standby = Standby(claim(A, NOBODY))
    for now in range(20):
        assert standby.steps(now) == [Step.PROBE]
        standby.take(now, encode_record(Kind.HEARTBEAT, A))


def test_where_nobody_knows_who_leads_whoever_writes_may() -> None:
    standby = Standby()
    standby.reading = LogReading(7)
    for now in range(20):
        assert standby.steps(now) == [Step.PROBE]
        standby.take(now, encode_record(Kind.HEARTBEAT, A))


def test_what_a_feed_writes_that_leads_no_more_keeps_nobody_from_the_lead() -> None:
    standby = Standby(claim(A, NOBODY), claim(B, A))
    for now in range(3):
        assert standby.steps(now) == [Step.PROBE]
        standby.take(now, batch(A, 1, 1))
    assert standby.steps(2.1) == [Step.CLAIM]


def test_a_broker_that_was_away_is_not_taken_for_a_feed_that_is_gone() -> None:
    standby = Standby(claim(A, NOBODY))
    assert standby.steps(0, 1) == [Step.PROBE, Step.PROBE]
    assert standby.candidacy.next_step(standby.reading, 2) is Step.PROBE
    standby.take(6, encode_record(Kind.PROBE, standby.candidacy.token))
    assert standby.steps(6, 7, 8) == [Step.PROBE, Step.PROBE, Step.CLAIM]


def test_a_claim_that_was_lost_is_made_again_under_another_token() -> None:
    standby = Standby()
    token = standby.candidacy.token
    assert standby.steps(0, 4.9, 5, 6) == [Step.CLAIM, None, None, Step.CLAIM]
    assert standby.candidacy.token != token
