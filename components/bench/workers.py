"""``crosstick bench workers``: what a second router worker on one port brings, where the load generator leaves room for it.

Server and load have a core each, so two workers cannot have two. Each worker has a share of the server's core instead, the
same whether there are one or two; and events per second of the workers' CPU time do not depend on that. Each worker reads
every tick from the bus for itself, and half the clients are sent less at once.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.bench.load import LoadGenerator, build
from components.bench.machine import machine
from components.bench.measure import JOIN_TIMEOUT_S, JOINS_AT_ONCE, problems_of
from components.bench.processes import cores
from components.bench.quota import quota
from components.bench.shapes import Shape
from components.bench.systems.shared_port import SharedPort

CLIENTS = 1000
TOPICS = 100
SHARE = 0.2
"""Of a core, for each worker: two of them leave the load generator time to spare."""

QUEUE_MS = 100.0
MIN_RATIO = 1.7
DRAIN_TIMEOUT_S = 60.0


def run_workers(clients: int, rounds: int, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Return ``{"machine": …, "workers": {"1": figures, "2": figures}, "ratios": {…}, "problems": […]}``.

    One worker and two take turns, and each round begins with the other. Figures are medians over the rounds.

    Raises:
        BenchError: a node cannot be started, or processes cannot be given a share of a core.
    """
    both = cores()
    shape = Shape(f"{clients}x{TOPICS}", clients, TOPICS, TOPICS)
    described = machine(["crosstick"], both)
    measured: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    problems: list[str] = []
    for number in range(rounds):
        for workers in (1, 2) if number % 2 == 0 else (2, 1):
            figures, wrong = _measure(shape, workers, seconds, both)
            measured[workers].append(figures)
            problems += [f"{workers} workers, {text}" for text in wrong]
            say(f"round {number + 1}/{rounds} {line(workers, figures)}")
    medians = {str(workers): _medians(figures) for workers, figures in measured.items()}
    return {"machine": described, "workers": medians, "ratios": ratios(medians), "problems": problems}


def ratios(medians: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return what two workers have of what one has."""
    return {name: medians["2"][name] / medians["1"][name] for name in ("delivered_per_s", "delivered_per_cpu_s")}


def line(workers: int, figures: Mapping[str, float]) -> str:
    """Return the figures of one measurement, for people."""
    return (
        f"{workers} worker{'s' * (workers > 1)}: {figures['delivered_per_s']:,.0f} events/s,"
        f" {figures['delivered_per_cpu_s']:,.0f} per second of the workers' CPU, of which they had"
        f" {figures['workers_cpu_share']:.2f} cores; the load generator used {figures['load_cpu_share']:.2f} of its own"
    )


def _measure(
    shape: Shape, workers: int, seconds: float, both: tuple[int | None, int | None]
) -> tuple[dict[str, float], Sequence[str]]:
    with tempfile.TemporaryDirectory(prefix="crosstick-bench-") as folder:
        directory = Path(folder)
        server = SharedPort(directory, shape, workers, both)
        try:
            server.wait_until_listening()
            topics = list(zip(shape.topic_names(), shape.symbols(), strict=True))
            setup = server.endpoints().describe(topics, shape.subscriptions())
            with LoadGenerator(build(), setup, directory, both[1]) as load:
                load.command("publisher", 20, takes_s=20)
                server.wait_until_ready()
                load.command("connect", shape.clients, JOINS_AT_ONCE, 1, JOIN_TIMEOUT_S, takes_s=JOIN_TIMEOUT_S)
                pids = server.worker_pids()
                with quota(pids, SHARE):
                    takes_s = seconds * 4 / 3 + DRAIN_TIMEOUT_S
                    answer = load.command("saturate", seconds / 3, seconds, QUEUE_MS, *pids, takes_s=takes_s)
                    figures = _figures(answer)
                    server.stop()
        finally:
            server.stop()
    return figures, problems_of(answer, "at saturation")


def _figures(answer: Mapping[str, Any]) -> dict[str, float]:
    seconds, cpu_s = answer["seconds"], answer["server_cpu_us"] / 1e6
    return {
        "delivered_per_s": answer["delivered"] / seconds,
        "delivered_per_cpu_s": answer["delivered"] / max(cpu_s, 1e-9),
        "workers_cpu_share": cpu_s / seconds,
        "load_cpu_share": answer["load_cpu_us"] / seconds / 1e6,
    }


def _medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}
