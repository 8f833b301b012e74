"""The order of batches: each once, and what is missing named."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from components.core.batch_order import BatchOrder, MissingBatches, Step


def test_reading_begins_with_whatever_comes_first() -> None:
    assert BatchOrder().take(7, 12) == Step(True)


def test_a_batch_that_was_read_and_one_of_an_earlier_epoch_are_passed_over() -> None:
    order = BatchOrder()
    order.begin_after(7, 3)
    assert not order.take(7, 3).is_next
    assert not order.take(6, 9).is_next
    assert order.take(7, 4) == Step(True)


def test_what_is_missing_is_named() -> None:
    order = BatchOrder()
    order.begin_after(7, 3)
    assert order.take(7, 6).missing == MissingBatches(7, 4, 5)
    assert order.take(8, 1) == Step(True)
    assert order.take(9, 3).missing == MissingBatches(9, 1, 2)
    assert str(MissingBatches(9, 1, 2)) == "1 to 2 of epoch 9"


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 9))))
def test_what_is_handed_on_and_what_is_missing_are_all_there_is_and_nothing_twice(
    batches: list[tuple[int, int]],
) -> None:
    order = BatchOrder()
    order.begin_after(1, 0)
    seen: list[tuple[int, int]] = []
    for epoch, number in batches:
        step = order.take(epoch, number)
        if step.missing is not None:
            seen += [(epoch, missing) for missing in range(step.missing.first, step.missing.last + 1)]
        if step.is_next:
            seen.append((epoch, number))
    assert seen == sorted(set(seen))
    for epoch in {epoch for epoch, _ in seen}:
        numbers = [number for of, number in seen if of == epoch]
        assert numbers == list(range(1, len(numbers) + 1))
