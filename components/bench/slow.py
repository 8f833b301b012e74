"""``crosstick bench slow``: clients that do not read hurt nobody and are cut; one that reads slowly is not told a lie."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from components.bench.machine import machine
from components.bench.measure import LOAD_BOUND_SHARE
from components.bench.processes import cores
from components.bench.proof import FEW_REPLAYS, Condition, Phase, honest_clients, medians, run_phase
from components.bench.slow_phase import STALLED_CODE, STALLED_URI, Plan, SlowClients
from components.bench.systems.crosstick import NodeOptions

MAX_P99_RATIO = 1.5
MAX_MIB_PER_STUCK_CLIENT = 1.0
TOLERANCE_S = 1.0
"""For what is due at a time: the machine has other work, the log is looked at 50 times a second."""


def run_slow(plan: Plan, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Return ``{"machine": …, "plan": …, "slow": figures, "conditions": […]}``.

    Each round is a phase without slow clients and one with them, on one node; figures are medians over the rounds, with least
    and greatest in ``spread``.

    Raises:
        BenchError: a phase cannot be made.
    """
    measured: list[tuple[Phase, Phase]] = []
    described = machine(["crosstick"], cores())
    fanout = {"stall_timeout": plan.stall_timeout_s, "send_buffer_bytes": plan.send_buffer_bytes} | FEW_REPLAYS
    with honest_clients(plan.shape, plan.readers, NodeOptions(fanout)) as proof:
        for number in range(rounds):
            without = run_phase(plan.pace, proof, "without slow clients")
            slow = SlowClients(plan, proof, without.values["bytes_per_s_and_client"])
            try:
                with_slow = run_phase(plan.pace, proof, "with slow clients", slow)
            finally:
                slow.close()
            measured.append((without, with_slow))
            say(f"round {number + 1}/{rounds} {_line(without, with_slow)}")
    rounds_figures = [figures(plan, *phases) for phases in measured]
    problems = [problem for phases in measured for phase in phases for problem in phase.problems]
    return {
        "machine": described,
        "plan": dataclasses.asdict(plan),
        "slow": medians(rounds_figures),
        "conditions": [dataclasses.asdict(condition) for condition in conditions(plan, rounds_figures, problems)],
        "problems": problems,
    }


def figures(plan: Plan, without: Phase, with_slow: Phase) -> dict[str, float]:
    """Return the figures of one round: those of the phase with slow clients, some beside those of the one without."""
    quiet, slow = without.values, with_slow.values
    return {
        **slow,
        "p50_ms_without": quiet["p50_ms"],
        "p99_ms_without": quiet["p99_ms"],
        "p50_ratio": slow["p50_ms"] / quiet["p50_ms"],
        "p99_ratio": slow["p99_ms"] / quiet["p99_ms"],
        "load_cpu_share": max(quiet["load_cpu_share"], slow["load_cpu_share"]),
        "mib_per_stuck_client": slow["grown_bytes"] / 2**20 / plan.stuck,
    }


def conditions(plan: Plan, rounds: Sequence[Mapping[str, float]], problems: Sequence[str]) -> list[Condition]:
    """Return what must hold over all rounds: latency by its median, everything else in every round."""

    def least(name: str) -> float:
        return min(figures.get(name, 0) for figures in rounds)

    def most(name: str) -> float:
        return max(figures.get(name, float("inf")) for figures in rounds)

    mib, load_share = most("mib_per_stuck_client"), most("load_cpu_share")
    p99_ratio, *others_ms = (
        statistics.median(figures[name] for figures in rounds)
        for name in ("p99_ratio", "p99_ms_without", "p99_ms", "p50_ms_without", "p50_ms")
    )
    first_cut_s, last_cut_s = least("first_cut_s"), most("last_cut_s")
    # A tick's time is that at which it was due: a publisher that came late adds to both.
    late_s = most("max_late_ms") / 1e3 + TOLERANCE_S
    cut_by_s = plan.stall_timeout_s + plan.held_bytes / max(1, least("bytes_per_s_and_client")) + late_s
    age_limit_s = plan.held_bytes / max(1, least("reader_bytes_per_s")) + late_s
    age_s, wrong, merged = most("reader_max_age_s"), most("reader_wrong_topics"), least("reader_merged_ticks")
    connected = bool(least("reader_connected"))
    return [
        Condition(
            f"memory per stuck client ≤ {MAX_MIB_PER_STUCK_CLIENT:g} MiB",
            f"{mib:.2f} MiB",
            mib <= MAX_MIB_PER_STUCK_CLIENT,
        ),
        Condition(
            f"the others' p99 ≤ {MAX_P99_RATIO:g} × what it is without slow clients",
            "{:.2f} × (p99 {:.2f} → {:.2f}, p50 {:.2f} → {:.2f} ms)".format(p99_ratio, *others_ms),
            p99_ratio <= MAX_P99_RATIO,
            timing=True,
        ),
        Condition(
            f"all {plan.stuck} stuck clients are cut, for {STALLED_URI}",
            f"{least('cut'):.0f}, {least('ended'):.0f} connections ended",
            least("cut") == most("cut") == least("ended") == plan.stuck,
        ),
        Condition(
            f"not before stall_timeout, {plan.stall_timeout_s:g} s",
            f"{first_cut_s:.2f} s after the first tick",
            first_cut_s >= plan.stall_timeout_s,
        ),
        Condition(
            f"when stall_timeout and the time in which their buffers fill are over, {cut_by_s:.1f} s",
            f"{last_cut_s:.2f} s after the first tick",
            last_cut_s <= cut_by_s,
            timing=True,
        ),
        Condition(
            f"those that read again within a second are told {STALLED_URI} and {STALLED_CODE}",
            f"{least('told_why'):.0f} so, {most('told_else'):.0f} otherwise",
            least("told_why") > 0 and most("told_else") == 0,
            timing=True,
        ),
        Condition("the slow reader stays connected", "yes" if connected else "no", connected),
        Condition(
            f"the ticks it reads are at most {age_limit_s:.1f} s old: what its buffers hold, at its rate",
            f"{age_s:.2f} s",
            age_s <= age_limit_s,
            timing=True,
        ),
        Condition(
            "its ticks, some of them merged, add up to the traded volume",
            f"{merged:,.0f} merged, {wrong:.0f} topics wrong",
            wrong == 0 and merged > 0,
        ),
        Condition(
            f"the load generator uses at most {LOAD_BOUND_SHARE:.0%} of its core",
            f"{load_share:.0%}",
            load_share <= LOAD_BOUND_SHARE,
            timing=True,
        ),
        Condition(
            "nothing is lost, repeated or out of order", problems[0] if problems else "nothing", holds=not problems
        ),
    ]


def _line(without: Phase, with_slow: Phase) -> str:
    quiet, slow = without.values, with_slow.values
    return (
        f"without slow clients p50 {quiet['p50_ms']:.2f} p99 {quiet['p99_ms']:.2f} ms, with them p50 {slow['p50_ms']:.2f} "
        f"p99 {slow['p99_ms']:.2f} ms, {slow['cut']:.0f} cut, {slow['grown_bytes'] / 2**20:.1f} MiB more"
    )
