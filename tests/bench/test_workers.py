"""What a second worker brings: figures, and the share of a core that each has."""

from __future__ import annotations

import pytest

from components.bench.errors import BenchError
from components.bench.quota import quota
from components.bench.workers import line, ratios

FIGURES = {"delivered_per_s": 1e6, "delivered_per_cpu_s": 5e6, "workers_cpu_share": 0.2, "load_cpu_share": 0.1}


def test_ratios_are_those_of_two_workers_to_one() -> None:
    two = FIGURES | {"delivered_per_s": 1.8e6, "delivered_per_cpu_s": 4.5e6}
    assert ratios({"1": FIGURES, "2": two}) == {"delivered_per_s": 1.8, "delivered_per_cpu_s": 0.9}


def test_a_measurement_is_one_line() -> None:
    assert line(1, FIGURES) == (
        "1 worker: 1,000,000 events/s, 5,000,000 per second of the workers' CPU, of which they had 0.20 cores;"
        " the load generator used 0.10 of its own"
    )


def test_who_cannot_have_a_share_is_told() -> None:
    # No process has that number; who may not make groups is refused before.
    with pytest.raises(BenchError, match="cannot be given a share of a core"), quota([2**30], 0.2):
        pass
