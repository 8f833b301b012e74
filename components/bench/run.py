"""The whole benchmark: every system under every shape, alternately, for several rounds."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from components.bench.errors import NotInstalled
from components.bench.load import build
from components.bench.machine import machine
from components.bench.measure import Effort, Measurement, measure
from components.bench.processes import cores
from components.bench.report import summarize
from components.bench.shapes import REFERENCE, Shape
from components.bench.systems import SYSTEMS
from components.bench.targets import verdicts


def run(
    shapes: Sequence[Shape], systems: Sequence[str], rounds: int, effort: Effort, say: Callable[[str], None]
) -> dict[str, Any]:
    """Return ``{"machine": …, "method": …, "shapes": {shape: {system: figures}}, "targets": […]}``.

    Systems take turns, and each round begins with another one, so that none has the quiet minutes of the machine for itself.
    Stock Crossbar begins the first: loads are derived from its saturation. ``say`` is told in single lines how it goes.

    Raises:
        BenchError: this is not Linux, or the load generator cannot be built.
    """
    both = cores()
    binary = build()
    systems = [name for name in systems if _installed(name, say)]
    if both[1] is None:
        say("only one core is usable: server and load share it, and the figures say little")
    measurements: list[Measurement] = []
    started = time.monotonic()
    usable = os.sched_getaffinity(0)
    described = machine(systems, both)
    try:
        if both[1] is not None:
            os.sched_setaffinity(0, {both[1]})
        for number in range(rounds):
            for shape in shapes:
                for name in turns([each for each in systems if SYSTEMS[each].takes(shape)], number):
                    stock_per_s = None if name == REFERENCE else saturation_of_stock(measurements, shape)
                    measurement = measure(SYSTEMS[name], name, shape, effort, binary, both, stock_per_s)
                    measurements.append(measurement)
                    say(f"round {number + 1}/{rounds} {_line(measurement)}")
    finally:
        os.sched_setaffinity(0, usable)
    summary = summarize(_in_order(measurements, systems), shapes)
    return {
        "machine": described,
        "method": {
            "rounds": rounds,
            "seconds": effort.seconds,
            "queues_ms": effort.queues_ms,
            "took_s": round(time.monotonic() - started),
        },
        "shapes": summary,
        "targets": verdicts(summary, [shape.name for shape in shapes]),
    }


def turns(systems: Sequence[str], number: int) -> list[str]:
    """Return the systems in the order of a round: each begins with another one, the first with stock Crossbar."""
    order = sorted(systems, key=lambda name: name != REFERENCE)
    first = number % max(1, len(order))
    return order[first:] + order[:first]


def saturation_of_stock(measurements: Sequence[Measurement], shape: Shape) -> float | None:
    """Return the median rate of published events that saturated stock Crossbar so far; ``None`` where it was not measured."""
    rates = [
        measurement.values["published_per_s"]
        for measurement in measurements
        if (measurement.system, measurement.shape) == (REFERENCE, shape.name)
        and "published_per_s" in measurement.values
    ]
    return statistics.median(rates) if rates else None


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
