"""What a writer keeps: enough to write again, and never more than its bounds."""

from __future__ import annotations

from components.core.batch import Batch, Standing
from components.core.written_batches import EVENT_OVERHEAD_BYTES, KeptLimits, WrittenBatches

NOTHING = Standing(7, 0, {})


def batch(number: int, topic: str = "market.A", size: int = 10) -> Batch:
    return Batch(7, number, [(topic, number, b"x" * size)])


def test_what_is_not_confirmed_is_kept_however_old() -> None:
    kept = WrittenBatches(NOTHING, KeptLimits(max_age_s=1.0))
    for number in range(1, 4):
        assert kept.add(batch(number), now_s=float(number * 100))
    assert (kept.first, kept.last, kept.unconfirmed) == (1, 3, 3)
    assert [kept.get(number) for number in (1, 2, 3)] == [batch(1), batch(2), batch(3)]


def test_what_is_confirmed_and_old_goes_and_leaves_the_newest_events_behind() -> None:
    kept = WrittenBatches(Standing(7, 0, {"market.Z": (9, b"z")}), KeptLimits(max_age_s=1.0))
    kept.add(batch(1), 0.0)
    kept.add(batch(2, "market.B"), 0.0)
    kept.confirm(2)
    kept.add(batch(3), 5.0)
    assert (kept.first, kept.last) == (3, 3)
    assert kept.standing_before() == Standing(
        7, 2, {"market.Z": (9, b"z"), "market.A": (1, b"x" * 10), "market.B": (2, b"x" * 10)}
    )
    assert [kept.has_after(number) for number in (1, 2, 3, 4)] == [False, True, True, False]


def test_of_too_many_bytes_the_confirmed_go_first_and_the_rest_is_said_to_be_too_much() -> None:
    size = 10 + 2 * EVENT_OVERHEAD_BYTES
    kept = WrittenBatches(NOTHING, KeptLimits(max_bytes=2 * size))
    assert kept.add(batch(1), 0.0)
    kept.confirm(1)
    assert kept.add(batch(2), 0.0)
    assert kept.add(batch(3), 0.0)
    assert (kept.first, kept.size_bytes) == (2, 2 * size)
    assert not kept.add(batch(4), 0.0)


def test_what_the_bus_has_lost_is_not_confirmed_any_more() -> None:
    kept = WrittenBatches(NOTHING, KeptLimits())
    for number in range(1, 6):
        kept.add(batch(number), 0.0)
    kept.confirm(5)
    kept.lost_after(2)
    assert kept.unconfirmed == 3
