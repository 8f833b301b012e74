"""How a feed goes on that is given the lead: by what the bus has, and what the feed has."""

from __future__ import annotations

import pytest

from components.core.batch import Batch, Standing
from components.core.lead import GoOn, Grant, go_on
from components.core.written_batches import KeptLimits, WrittenBatches


def kept(first: int, last: int, epoch: int = 7) -> WrittenBatches:
    batches = WrittenBatches(Standing(epoch, first - 1, {}), KeptLimits())
    for number in range(first, last + 1):
        batches.add(Batch(epoch, number, []), 0.0)
    return batches


@pytest.mark.parametrize(
    ("same_server", "epoch", "expected"),
    [(True, 7, GoOn.CONTINUE), (True, 0, GoOn.BEGIN), (False, 7, GoOn.BEGIN), (False, 0, GoOn.BEGIN)],
)
def test_a_stranger_goes_on_only_where_nothing_can_be_lost(same_server: bool, epoch: int, expected: GoOn) -> None:
    assert go_on(Grant(5, 4, same_server, epoch, 9), 0, None) is expected


@pytest.mark.parametrize(
    ("epoch", "number", "expected"),
    [
        (7, 20, GoOn.REWRITE),
        (7, 15, GoOn.REWRITE),
        (7, 10, GoOn.REWRITE),
        (7, 9, GoOn.RESTORE),
        (0, 0, GoOn.RESTORE),
        (6, 500, GoOn.RESTORE),
        (7, 21, GoOn.BEGIN),
        (8, 1, GoOn.BEGIN),
    ],
)
def test_the_last_leader_makes_good_what_the_bus_lacks(epoch: int, number: int, expected: GoOn) -> None:
    for token_before, same_server in ((4, True), (4, False), (3, False), (0, False)):
        assert go_on(Grant(5, token_before, same_server, epoch, number), 4, kept(11, 20)) is expected


def test_who_gave_up_what_it_kept_begins_an_epoch() -> None:
    assert go_on(Grant(5, 4, True, 7, 10), 4, None) is GoOn.BEGIN


@pytest.mark.parametrize(("same_server", "expected"), [(True, GoOn.CONTINUE), (False, GoOn.BEGIN)])
def test_who_was_led_after_does_not_go_on_with_its_own(same_server: bool, expected: GoOn) -> None:
    assert go_on(Grant(9, 8, same_server, 7, 15), 4, kept(11, 20)) is expected
