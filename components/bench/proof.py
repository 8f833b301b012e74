"""What proofs have in common: a node, honest clients of the load generator's, phases of a steady load, conditions."""

from __future__ import annotations

import dataclasses
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from components.bench.errors import BenchError, LoadError
from components.bench.load import GRACE_S, Endpoints, LoadGenerator, build
from components.bench.measure import DRAIN_TIMEOUT_S, JOIN_TIMEOUT_S, JOINS_AT_ONCE, problems_of
from components.bench.processes import cores, rss_bytes
from components.bench.shapes import Shape
from components.bench.systems.crosstick import Crosstick, NodeOptions

STEP_S = 0.02

FEW_REPLAYS = {"replay": {"max_bytes": 65_536}}
"""A fan-out's setting: what is kept for replays fills up in minutes, and would look like memory that clients cost."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold, and what was found."""

    text: str
    found: str
    holds: bool
    timing: bool = False
    """Whether a machine that is busy with other things can make it fail."""


@dataclass(frozen=True, slots=True)
class Pace:
    """A steady load on honest clients."""

    readers: int
    ticks_per_s: int
    warm_s: float
    measured_s: float


@dataclass(slots=True)
class Phase:
    """What a phase gave."""

    values: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class Beside(Protocol):
    """What goes on beside the honest clients in a phase."""

    def begin(self) -> None:
        """Be told that the first tick is published."""

    def look(self) -> None:
        """Be called 50 times a second."""

    def finish(self) -> Phase:
        """Be told that the phase is over; return what its figures begin with."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A node in processes of its own with honest clients, who have joined."""

    server: Crosstick
    endpoints: Endpoints
    """Those of all clients, also of those that are not honest."""

    load: LoadGenerator
    directory: Path
    load_core: int | None


@contextmanager
def honest_clients(shape: Shape, readers: int, options: NodeOptions) -> Iterator[Proof]:
    """Run a node with the first ``readers`` of a shape's clients.

    Raises:
        BenchError: the node does not start, or the clients do not join.
    """
    server_core, load_core = cores()
    binary = build()
    usable = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory(prefix="crosstick-bench-") as folder:
        directory = Path(folder)
        (directory / "server").mkdir()
        server = Crosstick(directory / "server", shape, server_core, options)
        try:
            if load_core is not None:
                os.sched_setaffinity(0, {load_core})
            server.wait_until_listening()
            endpoints = server.endpoints()
            honest = dataclasses.replace(endpoints, clients=endpoints.clients[:readers])
            topics = list(zip(shape.topic_names(), shape.symbols(), strict=True))
            setup = honest.describe(topics, shape.subscriptions()[:readers])
            with LoadGenerator(binary, setup, directory, load_core) as load:
                load.command("publisher", 20, takes_s=20)
                server.wait_until_ready()
                load.command("connect", readers, JOINS_AT_ONCE, 1, JOIN_TIMEOUT_S, takes_s=JOIN_TIMEOUT_S)
                yield Proof(server, endpoints, load, directory, load_core)
        finally:
            server.stop()
            os.sched_setaffinity(0, usable)


def run_phase(pace: Pace, proof: Proof, when: str, beside: Beside | None = None) -> Phase:
    """Publish for a phase, and look at what goes on beside, if anything, meanwhile.

    Raises:
        BenchError: the load generator gave up, or what goes on beside failed.
    """
    pids = proof.server.pids()
    memory = most = rss_bytes(pids)
    proof.load.send("pace", pace.ticks_per_s, pace.warm_s, pace.measured_s, *pids)
    began_s = time.monotonic()
    if beside is not None:
        beside.begin()
    while not proof.load.wait(STEP_S):
        most = max(most, rss_bytes(pids))
        if beside is not None:
            beside.look()
        if time.monotonic() - began_s > pace.warm_s + pace.measured_s + DRAIN_TIMEOUT_S + GRACE_S:
            raise LoadError("the load generator did not end a phase in time")
    answer = proof.load.answer()
    seconds = answer["seconds"]
    if answer["latency"] is None:
        raise BenchError("nothing arrived in a phase")
    phase = Phase() if beside is None else beside.finish()
    phase.problems += problems_of(answer, when)
    phase.values |= {
        "p50_ms": answer["latency"]["p50_ms"],
        "p99_ms": answer["latency"]["p99_ms"],
        "p999_ms": answer["latency"]["p999_ms"],
        "delivered_per_s": answer["delivered"] / seconds,
        "merged_per_s": answer["merged"] / seconds,
        "bytes_per_s_and_client": answer["delivered_bytes"] / seconds / pace.readers,
        "server_cpu_share": answer["server_cpu_us"] / seconds / 1e6,
        "load_cpu_share": answer["load_cpu_us"] / seconds / 1e6,
        "max_late_ms": answer["max_late_us"] / 1e3,
        "grown_bytes": most - memory,
        "rss_bytes": rss_bytes(pids),
    }
    return phase


def medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return each figure's median over the rounds, with least and greatest in ``spread``."""
    names = {name: None for figures in rounds for name in figures}
    values = {name: [figures[name] for figures in rounds if name in figures] for name in names}
    return {
        **{name: float(f"{statistics.median(found):.4g}") for name, found in values.items()},
        "spread": {name: [float(f"{edge(found):.4g}") for edge in (min, max)] for name, found in values.items()},
        "rounds": len(rounds),
    }
