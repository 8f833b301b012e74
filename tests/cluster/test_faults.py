"""A whole cluster under faults that a seed draws: no client misses a tick, or sees one twice, without being told."""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.cluster.faults import IN_TURN, Fault, faults, long_faults
from components.cluster.prometheus import beside
from components.cluster.proof import prove
from components.cluster.topology import Cluster, Plan

CLIENTS = 20
INSTALLED = shutil.which("prometheus") is not None


def suffered(directory: Path, chosen: Iterator[Fault], gateways: int) -> dict[str, Any]:
    said: list[str] = []
    with (
        Cluster(directory, Plan(gateways=gateways, rate_per_s=500)) as cluster,
        # Where it is installed, each fault must have its name there.
        beside(cluster, directory, INSTALLED) as prometheus,
    ):
        report = asyncio.run(prove(cluster, CLIENTS, chosen, said.append, prometheus=prometheus))
        logs = {part.name: part.log.read_text(errors="replace") for part in cluster.parts}
    print("\n".join(said))
    for name, log in logs.items():
        assert "Traceback" not in log, f"{name}: {log[log.index('Traceback') - 500 :][:3000]}"
    return report


def drawn(seed: int, minutes: float, gateways: int, *, long: bool = False) -> Iterator[Fault]:
    generator = random.Random(seed)
    kinds = faults(generator, gateways) | (long_faults() if long else {})
    # Those that are known to come in turn first, whatever is drawn.
    yield from (kinds[name]() for name in IN_TURN)
    until_s = time.monotonic() + minutes * 60
    while time.monotonic() < until_s:
        yield kinds[generator.choice(sorted(kinds))]()


def assert_whole(report: dict[str, Any]) -> None:
    assert report["problems"] == []
    if INSTALLED:
        assert {fault["fault"] for fault in report["faults"] if fault["named_after_s"] is not None} >= set(IN_TURN)
    clients = report["clients"]
    assert clients["ticks"] > 0
    assert clients["replayed"] > 0
    # None of these faults is one that a bus, a standby and a ring of recent ticks could not make good.
    assert (clients["gaps"], clients["epochs"], clients["lost"]) == (0, 0, 0)


def test_a_minute_of_faults_costs_no_client_a_tick(tmp_path: Path) -> None:
    assert_whole(suffered(tmp_path, drawn(1, 0.4, 2), 2))


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [2])
def test_ten_minutes_of_faults_cost_no_client_a_tick(tmp_path: Path, seed: int) -> None:
    assert_whole(suffered(tmp_path, drawn(seed, 10, 3, long=True), 3))
