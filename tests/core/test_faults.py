"""The names of faults."""

from __future__ import annotations

from pathlib import Path

from components.core.faults import CONDITIONS, MOMENTS, Fault, FaultKind, FaultReach
from components.core.remedies import REMEDIES

MANUAL = Path(__file__).parents[2] / "docs" / "how-to" / "monitor.md"


def test_every_fault_has_a_name_fit_for_a_label_and_a_sentence() -> None:
    for fault in Fault:
        assert fault.value.replace("_", "").isalpha()
        assert fault.value == fault.name.lower()
        assert fault.help.endswith(".")
        assert isinstance(fault.kind, FaultKind)
    assert set(CONDITIONS).isdisjoint(MOMENTS)


def test_what_comes_from_outside_is_of_the_nodes_reach_and_what_is_the_clients_of_the_workers() -> None:
    assert {Fault.FEED_TOOK_OVER, Fault.EPOCH_BEGAN, Fault.TRADES_MISSED, Fault.BUS_RETURNED} <= {
        fault for fault in Fault if fault.reach is FaultReach.NODE
    }
    assert {Fault.CLIENTS_CUT, Fault.CLIENTS_VANISHED, Fault.CLIENTS_REFUSED, Fault.LOOP_BLOCKED} <= {
        fault for fault in Fault if fault.reach is FaultReach.WORKER
    }


def test_the_manual_says_of_each_condition_what_the_operators_page_says() -> None:
    assert tuple(REMEDIES) == CONDITIONS
    manual = MANUAL.read_text()
    for fault, remedy in REMEDIES.items():
        assert f"\n### {fault}\n\n{fault.help} {remedy}\n" in manual, fault
