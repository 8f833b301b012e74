"""The slow-client proof's own logic: what ticks must add up to, and which figures fail which condition."""

from __future__ import annotations

import importlib
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from components.bench.proof import Phase
from components.bench.report import conditions_table
from components.bench.slow import conditions, figures
from components.bench.slow_phase import Plan
from components.bench.tick_ledger import LedgerError, TickLedger

# By its name in sys.modules: in the package, the command has taken the module's place.
BENCH = importlib.import_module("components.cli.bench")

PLAN = Plan()
GOOD = {
    "mib_per_stuck_client": 0.5,
    "p99_ratio": 1.2,
    "p99_ms_without": 5.0,
    "p99_ms": 6.0,
    "p50_ms_without": 2.0,
    "p50_ms": 2.5,
    "cut": 10,
    "ended": 10,
    "told_why": 10,
    "told_else": 0,
    "first_cut_s": 5.8,
    "last_cut_s": 5.9,
    "max_late_ms": 1.0,
    "bytes_per_s_and_client": 750_000.0,
    "reader_bytes_per_s": 190_000.0,
    "reader_max_age_s": 3.0,
    "reader_connected": 1,
    "reader_wrong_topics": 0,
    "reader_merged_ticks": 100,
    "load_cpu_share": 0.4,
}


def failing(problems: list[str] | None = None, **changes: Any) -> list[str]:
    """Return the conditions that do not hold when one of three rounds differs from good ones."""
    rounds = [GOOD, GOOD | changes, GOOD]
    return [condition.text for condition in conditions(PLAN, rounds, problems or []) if not condition.holds]


def test_good_rounds_meet_every_condition() -> None:
    assert failing() == []


@pytest.mark.parametrize(
    ("changes", "condition"),
    [
        ({"mib_per_stuck_client": 1.1}, "memory per stuck client"),
        ({"cut": 9}, "all 10 stuck clients"),
        ({"cut": 11}, "all 10 stuck clients"),
        ({"ended": 9}, "all 10 stuck clients"),
        ({"first_cut_s": 4.9}, "not before stall_timeout"),
        ({"last_cut_s": 9.0}, "when stall_timeout and the time"),
        ({"told_why": 0}, "those that read again"),
        ({"told_else": 1}, "those that read again"),
        ({"reader_connected": 0}, "the slow reader stays connected"),
        ({"reader_max_age_s": 6.0}, "the ticks it reads"),
        ({"reader_wrong_topics": 1}, "its ticks, some of them merged"),
        ({"reader_merged_ticks": 0}, "its ticks, some of them merged"),
        ({"load_cpu_share": 0.96}, "the load generator"),
    ],
)
def test_one_bad_round_fails_the_condition_that_it_breaks(changes: dict[str, float], condition: str) -> None:
    [text] = failing(**changes)
    assert text.startswith(condition)


def test_latency_is_judged_by_its_median() -> None:
    assert failing(p99_ratio=9.0) == []
    [text] = [c.text for c in conditions(PLAN, [GOOD | {"p99_ratio": 1.6}] * 2 + [GOOD], []) if not c.holds]
    assert text.startswith("the others' p99")


def test_a_lost_event_fails_and_is_told() -> None:
    [text] = failing(["of 5 deliveries 1 never came"])
    assert text.startswith("nothing is lost")
    assert "of 5 deliveries 1 never came" in conditions_table(
        [
            {"text": c.text, "found": c.found, "holds": c.holds}
            for c in conditions(PLAN, [GOOD], ["of 5 deliveries 1 never came"])
        ]
    )


def test_stuck_clients_that_were_never_cut_fail_without_times_of_cuts() -> None:
    never = {name: value for name, value in GOOD.items() if name not in ("first_cut_s", "last_cut_s")}
    texts = [c.text for c in conditions(PLAN, [never | {"cut": 0, "ended": 0, "told_why": 0}], []) if not c.holds]
    assert [text.split()[0] for text in texts] == ["all", "not", "when", "those"]


def test_ratios_are_those_of_the_two_phases_of_a_round() -> None:
    common = {"load_cpu_share": 0.3, "grown_bytes": 0.0}
    without = Phase({"p50_ms": 2.0, "p99_ms": 4.0, **common})
    with_slow = Phase({"p50_ms": 3.0, "p99_ms": 5.0, **common, "load_cpu_share": 0.5, "grown_bytes": 5 * 2**20})
    found = figures(PLAN, without, with_slow)
    assert (found["p50_ratio"], found["p99_ratio"]) == (1.5, 1.25)
    assert (found["p99_ms"], found["p99_ms_without"]) == (5, 4)
    assert found["mib_per_stuck_client"] == 0.5
    assert found["load_cpu_share"] == 0.5


@pytest.mark.parametrize(("holds", "exit_code"), [(True, 0), (False, 1)])
def test_the_command_fails_when_a_condition_does_not_hold(
    holds: bool, exit_code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = {
        "conditions": [{"text": "first", "found": "1", "holds": True}, {"text": "x", "found": "2", "holds": holds}]
    }
    monkeypatch.setattr(BENCH, "run_slow", lambda plan, rounds, say: result | {"rounds": rounds})
    file = tmp_path / "slow.json"
    outcome = CliRunner().invoke(BENCH.bench, ["slow", "--rounds", "2", "--json", str(file)])
    assert outcome.exit_code == exit_code, outcome.output
    assert json.loads(file.read_text()) == result | {"rounds": 2}
    assert ("NO" in outcome.output) is not holds


def tick(seq: int, volume: str, **more: Any) -> dict[str, Any]:
    return {"symbol": "BTCUSDT", "seq": seq, "volume": Decimal(volume), **more}


def test_merged_ticks_count_for_all_that_they_stand_for_and_sums_are_exact() -> None:
    ledger = TickLedger(4)
    ledger.take(tick(5, "0.1"))
    ledger.take(tick(8, "0.2", first_seq=6, merged=3))
    assert (ledger.last_seq, ledger.volume) == (8, Decimal("0.3"))
    assert (ledger.ticks, ledger.merged_ticks) == (2, 1)


@pytest.mark.parametrize(
    "second",
    [
        tick(7, "1"),
        tick(5, "1"),
        tick(8, "1", first_seq=7, merged=2),
        tick(8, "1", first_seq=5, merged=4),
        tick(8, "1", first_seq=6, merged=2),
        tick(8, "1", first_seq=6),
    ],
    ids=[
        "a hole",
        "a repetition",
        "a hole before a merged one",
        "a merged one overlaps",
        "merged too small",
        "no merged",
    ],
)
def test_a_tick_that_does_not_follow_is_refused(second: dict[str, Any]) -> None:
    ledger = TickLedger(4)
    ledger.take(tick(5, "1"))
    with pytest.raises(LedgerError):
        ledger.take(second)
