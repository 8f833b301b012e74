"""``crosstick bench hostile``: attackers by the hundred cost honest clients no tick and little time, and the node no memory."""

from __future__ import annotations

import dataclasses
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.bench.hostile.attackers import Attackers, Onslaught, unexpected
from components.bench.hostile.catalogue import ATTACKS
from components.bench.machine import machine
from components.bench.measure import LOAD_BOUND_SHARE
from components.bench.processes import cores
from components.bench.proof import FEW_REPLAYS, Condition, Pace, Phase, Proof, honest_clients, medians, run_phase
from components.bench.shapes import Shape
from components.bench.systems.crosstick import NodeOptions

MAX_P99_RATIO = 2.0
MAX_FLAT_MIB = 16.0
"""What the node's memory may grow by from the first attack's end to the last one's: what it keeps must not add up."""

MAX_PEAK_MIB = 256.0
"""What an attack may make of it for a while."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Honest clients, and who attacks."""

    readers: int = 50
    topics: int = 100
    ticks_per_s: int = 2_000
    warm_s: float = 1.0
    measured_s: float = 28.0
    """Of a phase."""

    intensity: float = 1.0
    cpu_share: float = 0.3
    bytes_per_s: float = 8e6
    attacks: tuple[str, ...] = tuple(ATTACKS)

    @property
    def shape(self) -> Shape:
        """The honest clients."""
        return Shape("hostile", self.readers, self.topics, self.topics)

    @property
    def pace(self) -> Pace:
        """The load on them."""
        return Pace(self.readers, self.ticks_per_s, self.warm_s, self.measured_s)

    @property
    def onslaught(self) -> Onslaught:
        """Who attacks in a phase."""
        return Onslaught(
            seconds=self.warm_s + self.measured_s,
            intensity=self.intensity,
            cpu_share=self.cpu_share,
            bytes_per_s=self.bytes_per_s,
            attacks=self.attacks,
        )


class Attack:
    """The attackers of a phase, beside the honest clients."""

    def __init__(self, plan: Plan, proof: Proof) -> None:
        self._plan = plan
        self._proof = proof
        self._attackers: Attackers | None = None
        self.report: dict[str, Any] = {}

    def begin(self) -> None:
        """Let them come."""
        proof = self._proof
        self._attackers = Attackers(
            self._plan.onslaught,
            proof.endpoints.port,
            self._plan.shape.topic_names(),
            proof.server.authority,
            proof.server.limits,
            proof.directory,
            proof.load_core,
        )

    def look(self) -> None:
        """Leave them alone."""

    def finish(self) -> Phase:
        """Wait until all are gone."""
        assert self._attackers is not None  # noqa: S101 - it has begun
        self.report = report = self._attackers.report()
        connections = sum(sum(outcome["endings"].values()) for outcome in report["attacks"].values())
        return Phase(
            {
                "attackers": report["attackers"],
                "connections": connections,
                "attack_cpu_share": report["cpu_s"] / report["seconds"],
                "attack_bytes_per_s": report["sent_bytes"] / report["seconds"],
            }
        )

    def close(self) -> None:
        """End what is left of them."""
        if self._attackers is not None:
            self._attackers.__exit__(None, None, None)


def run_hostile(plan: Plan, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Return ``{"machine": …, "plan": …, "hostile": figures, "attacks": {…}, "conditions": […]}``.

    Phases without attackers and with them take turns on one node, and one without is the last.

    Raises:
        BenchError: a phase cannot be made.
    """
    described = machine(["crosstick"], cores())
    quiet: list[Phase] = []
    attacked: list[Phase] = []
    attacks: dict[str, dict[str, Counter[str]]] = {}
    with honest_clients(plan.shape, plan.readers, NodeOptions(FEW_REPLAYS, limited=True, rsa=True)) as proof:
        quiet.append(run_phase(plan.pace, proof, "before the attacks"))
        for number in range(rounds):
            attack = Attack(plan, proof)
            try:
                attacked.append(run_phase(plan.pace, proof, "under attack", attack))
            finally:
                attack.close()
            _add(attacks, attack.report["attacks"])
            quiet.append(run_phase(plan.pace, proof, "after an attack"))
            say(f"round {number + 1}/{rounds} {_line(quiet[-2], attacked[-1], quiet[-1])}")
    rounds_figures = [
        figures(before, phase, after) for before, phase, after in zip(quiet, attacked, quiet[1:], strict=False)
    ]
    problems = [problem for phase in (*quiet, *attacked) for problem in phase.problems]
    rss_bytes = [phase.values["rss_bytes"] for phase in quiet]
    return {
        "machine": described,
        "plan": dataclasses.asdict(plan),
        "hostile": {**medians(rounds_figures), "rss_mib_when_quiet": [round(size / 2**20, 1) for size in rss_bytes]},
        "attacks": attacks,
        "conditions": [
            dataclasses.asdict(condition)
            for condition in conditions(rounds_figures, rss_bytes, unexpected(attacks), problems)
        ],
        "problems": problems,
    }


def figures(before: Phase, attacked: Phase, after: Phase) -> dict[str, float]:
    """Return the figures of a round: those of the phase under attack, beside the mean of the quiet ones around it."""
    found = dict(attacked.values)
    for name in ("p50_ms", "p99_ms", "p999_ms", "server_cpu_share"):
        quiet = (before.values[name] + after.values[name]) / 2
        found |= {f"{name}_quiet": quiet, f"{name.removesuffix('_ms')}_ratio": attacked.values[name] / quiet}
    return found


def conditions(
    rounds: Sequence[Mapping[str, float]],
    rss_bytes_when_quiet: Sequence[float],
    wrong_endings: Sequence[str],
    problems: Sequence[str],
) -> list[Condition]:
    """Return what must hold: latency by its median, everything else in every round."""
    ratio, quiet_ms, attacked_ms = (
        statistics.median(figures[name] for figures in rounds) for name in ("p99_ratio", "p99_ms_quiet", "p99_ms")
    )
    load_share = max(figures["load_cpu_share"] for figures in rounds)
    peak_mib = max(figures["grown_bytes"] for figures in rounds) / 2**20
    kept_mib = (rss_bytes_when_quiet[-1] - rss_bytes_when_quiet[1]) / 2**20
    return [
        Condition("no honest client loses a tick, or is cut off", problems[0] if problems else "none", not problems),
        Condition(
            f"the honest clients' p99 ≤ {MAX_P99_RATIO:g} × what it is without attackers",
            f"{ratio:.2f} × ({quiet_ms:.2f} → {attacked_ms:.2f} ms)",
            ratio <= MAX_P99_RATIO,
            timing=True,
        ),
        Condition(
            f"from the first attack's end to the last one's the node's memory grows by ≤ {MAX_FLAT_MIB:g} MiB",
            f"{kept_mib:.1f} MiB",
            kept_mib <= MAX_FLAT_MIB,
        ),
        Condition(
            f"an attack makes it grow by ≤ {MAX_PEAK_MIB:g} MiB", f"{peak_mib:.1f} MiB", peak_mib <= MAX_PEAK_MIB
        ),
        Condition(
            "every attacker's connection ends as it should",
            "; ".join(wrong_endings[:3]) + (f"; {len(wrong_endings) - 3} more" if len(wrong_endings) > 3 else "")
            if wrong_endings
            else "all",
            not wrong_endings,
        ),
        Condition(
            f"the load generator uses at most {LOAD_BOUND_SHARE:.0%} of its core",
            f"{load_share:.0%}",
            load_share <= LOAD_BOUND_SHARE,
            timing=True,
        ),
    ]


def _add(to: dict[str, dict[str, Counter[str]]], attacks: Mapping[str, Mapping[str, Mapping[str, int]]]) -> None:
    for name, outcome in attacks.items():
        kept = to.setdefault(name, {key: Counter() for key in outcome})
        for key, counts in outcome.items():
            kept[key].update(counts)


def _line(before: Phase, attacked: Phase, after: Phase) -> str:
    quiet, found, later = before.values, attacked.values, after.values
    return (
        f"p99 {quiet['p99_ms']:.2f} → {found['p99_ms']:.2f} → {later['p99_ms']:.2f} ms, "
        f"p50 {quiet['p50_ms']:.2f} → {found['p50_ms']:.2f} → {later['p50_ms']:.2f} ms, "
        f"node's CPU {quiet['server_cpu_share']:.0%} → {found['server_cpu_share']:.0%}, "
        f"{found['attackers']:.0f} attackers, {found['connections']:.0f} connections, "
        f"attackers' CPU {found['attack_cpu_share']:.0%}, {found['attack_bytes_per_s'] / 1e6:.1f} MB/s, "
        f"memory +{found['grown_bytes'] / 2**20:.1f} MiB, then {later['rss_bytes'] / 2**20:.0f} MiB"
    )
