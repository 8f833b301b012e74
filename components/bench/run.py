"""The whole benchmark: every system under every shape, alternately, for several rounds."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from components.bench.errors import NotInstalled
from components.bench.load import build
from components.bench.machine import machine
from components.bench.measure import Effort, Measurement, measure
from components.bench.processes import cores
from components.bench.report import summarize
from components.bench.shapes import Shape
from components.bench.systems import SYSTEMS


def run(
    shapes: Sequence[Shape], systems: Sequence[str], rounds: int, effort: Effort, say: Callable[[str], None]
) -> dict[str, Any]:
    """Return ``{"machine": …, "method": …, "shapes": {shape: {system: figures}}}``.

    Systems take turns, and each round begins with another one, so that none has the quiet minutes of the machine for itself.
    ``say`` is told in single lines how it goes.

    Raises:
        BenchError: this is not Linux, or the load generator cannot be built.
    """
    server_core, load_core = both = cores()
    binary = build()
    systems = [name for name in systems if _installed(name, say)]
    if load_core is None:
        say("only one core is usable: server and load share it, and the figures say little")
    measurements: list[Measurement] = []
    usable = os.sched_getaffinity(0)
    described = machine(systems, both)
    try:
        if load_core is not None:
            os.sched_setaffinity(0, {load_core})
        for number in range(rounds):
            for shape in shapes:
                for turn in range(len(systems)):
                    name = systems[(turn + number) % len(systems)]
                    measurement = measure(SYSTEMS[name], name, shape, effort, binary, (server_core, load_core))
                    measurements.append(measurement)
                    say(f"round {number + 1}/{rounds} {_line(measurement)}")
    finally:
        os.sched_setaffinity(0, usable)
    return {
        "machine": described,
        "method": {"rounds": rounds, "seconds": effort.seconds, "queues_ms": effort.queues_ms},
        "shapes": summarize(_in_order(measurements, systems), shapes),
    }


def _in_order(measurements: Sequence[Measurement], systems: Sequence[str]) -> list[Measurement]:
    return sorted(measurements, key=lambda measurement: systems.index(measurement.system))


def _installed(name: str, say: Callable[[str], None]) -> bool:
    try:
        SYSTEMS[name].version()
    except NotInstalled as error:
        say(f"{name} is left out: {error}")
        return False
    return True


def _line(measurement: Measurement) -> str:
    values = measurement.values
    figures = [
        f"{label} {values[key]:,.{decimals}f}"
        for key, label, decimals in (
            ("delivered_per_s", "delivered/s", 0),
            ("cpu_us_per_event", "µs/event", 3),
            ("joins_per_s", "joins/s", 0),
            ("coming_back_s", "coming back s", 2),
        )
        if key in values
    ]
    return f"{measurement.shape} {measurement.system}: " + ", ".join([*figures, *measurement.problems])
