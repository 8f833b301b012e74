"""One measurement: one system, one shape, one round. Says what was measured and what was wrong with it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.bench.errors import BenchError
from components.bench.load import LoadGenerator
from components.bench.shapes import Load, Shape
from components.bench.systems import System

JOIN_TIMEOUT_S = 60.0
JOINS_AT_ONCE = 100
DRAIN_TIMEOUT_S = 60.0
"""How long what is on its way at the end of a measurement may take to arrive."""

SETTLE_S = 0.5
MAX_OFFERED_SHARE = 0.8
"""Loads beyond this share of what a system takes at saturation are not offered unless required: there latency is only a queue's
length."""

LOAD_BOUND_SHARE = 0.95
"""A load generator busier than this may be what limits."""

SATURATED_SHARE = 0.9
"""A server that used less of its core than this was not saturated, or not alone on it."""

MAX_LATE_MS = 5.0
"""A publisher that was later than this with anything may have made latencies worse."""


DEFAULT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Effort:
    """How long and how hard to measure."""

    seconds: float = DEFAULT_SECONDS
    """Length of each measurement; a third of it before it warms up."""

    queues_ms: tuple[float, ...] = (20.0, 100.0)
    """At saturation, as many events are kept on their way as the server delivers in this time. Each depth is measured and the
    one with most deliveries counts: a deeper queue lets a server write more at once, until it costs more than that saves."""


@dataclass(slots=True)
class Measurement:
    """What one round gave for one system and shape."""

    system: str
    shape: str
    values: dict[str, float] = field(default_factory=dict)
    """By name; what was measured at a load is named by it, as ``p50_ms@2000`` or ``p99_ms@7.5x_stock``."""

    problems: list[str] = field(default_factory=list)
    """Empty: every client got every event."""

    notes: list[str] = field(default_factory=list)
    """What does not make it wrong, but should be known."""


def measure(
    system: type[System],
    name: str,
    shape: Shape,
    effort: Effort,
    binary: Path,
    cores: tuple[int | None, int | None],
    stock_per_s: float | None = None,
) -> Measurement:
    """Start a system, put it under load, stop it.

    ``stock_per_s`` is the rate of published events that saturated stock Crossbar under this shape; ``None``: not measured, or
    nothing is to be measured against it. What fails is told in the measurement's ``problems``; only ``NotInstalled`` is raised.
    """
    measurement = Measurement(name, shape.name)
    with tempfile.TemporaryDirectory(prefix="crosstick-bench-") as folder:
        directory = Path(folder)
        (directory / "server").mkdir()
        server = system(directory / "server", shape, cores[0])
        try:
            server.wait_until_listening()
            topics = list(zip(shape.topic_names(), shape.symbols(), strict=True))
            setup = server.endpoints().describe(topics, shape.subscriptions())
            with LoadGenerator(binary, setup, directory, cores[1]) as load:
                load.command("publisher", 20, takes_s=20)
                server.wait_until_ready()
                if shape.churn:
                    _churn(server, load, shape, effort, measurement)
                else:
                    _events(server, load, shape, shape.loads(stock_per_s), effort, measurement)
        except BenchError as error:
            measurement.problems.append(str(error))
        finally:
            server.stop()
    return measurement


def _events(
    server: System, load: LoadGenerator, shape: Shape, loads: Sequence[Load], effort: Effort, into: Measurement
) -> None:
    """Measure saturation and latency; what comes after a load at which clients were cut off would say nothing."""
    joins = _join(load, shape, subscribe=True)
    into.values["join_and_subscribe_s"] = joins["seconds"]
    pids = server.pids()
    load.command("idle", SETTLE_S, takes_s=SETTLE_S)
    warm_s, run_s = effort.seconds / 3, effort.seconds

    for queue_ms in effort.queues_ms:
        answer = load.command("saturate", warm_s, run_s, queue_ms, *pids, takes_s=warm_s + run_s + DRAIN_TIMEOUT_S)
        into.problems += problems_of(answer, f"at saturation, {queue_ms:g} ms of events on their way")
        figures = _saturation(answer, queue_ms)
        rss_mb = max(into.values.get("rss_mb", 0), figures["rss_mb"])
        if figures["delivered_per_s"] > into.values.get("delivered_per_s", 0):
            into.values |= figures
        into.values["rss_mb"] = rss_mb
        if answer["lost_clients"]:
            return
    into.notes += _notes(into.values)

    for offered in loads:
        if not offered.required and offered.per_s > MAX_OFFERED_SHARE * into.values.get("published_per_s", 0):
            continue
        answer = load.command("pace", offered.per_s, warm_s, run_s, *pids, takes_s=warm_s + run_s + DRAIN_TIMEOUT_S)
        when = f"at {offered.per_s:,.0f} published/s"
        into.problems += problems_of(answer, when)
        if answer["max_late_us"] > MAX_LATE_MS * 1e3:
            into.notes.append(f"{when} the publisher was up to {answer['max_late_us'] / 1e3:.0f} ms late")
        figures = {
            "offered_per_s": offered.per_s,
            "cpu_us_per_event": answer["server_cpu_us"] / max(1, answer["delivered"]),
        }
        if answer["latency"] is not None:
            figures |= {name: answer["latency"][name] for name in ("p50_ms", "p99_ms", "p999_ms")}
        into.values |= {f"{name}@{offered.name}": value for name, value in figures.items()}
        into.values["rss_mb"] = max(into.values["rss_mb"], sum(answer["rss_bytes"]) / 1e6)
        if answer["lost_clients"]:
            return


def _notes(values: Mapping[str, float]) -> list[str]:
    notes = []
    if values.get("server_cpu_share", 1) < SATURATED_SHARE:
        notes.append(f"at saturation the server had or used only {values['server_cpu_share']:.0%} of its core")
    if values.get("load_cpu_share", 0) > LOAD_BOUND_SHARE:
        notes.append("at saturation the load generator was busy all the time and may be what limited")
    return notes


def _saturation(answer: Mapping[str, Any], queue_ms: float) -> dict[str, float]:
    seconds = answer["seconds"]
    figures: dict[str, float] = {
        "delivered_per_s": answer["delivered"] / seconds,
        "cpu_us_per_event": answer["server_cpu_us"] / max(1, answer["delivered"]),
        "published_per_s": answer["published"] / seconds,
        "merged_per_s": answer["merged"] / seconds,
        "dropped_per_s": answer["dropped"] / seconds,
        "server_cpu_share": answer["server_cpu_us"] / seconds / 1e6,
        "load_cpu_share": answer["load_cpu_us"] / seconds / 1e6,
        "queue_ms": queue_ms,
        "rss_mb": sum(answer["rss_bytes"]) / 1e6,
    }
    if answer["latency"] is not None:
        figures["saturated_p50_ms"] = answer["latency"]["p50_ms"]
    return figures


def _churn(server: System, load: LoadGenerator, shape: Shape, effort: Effort, into: Measurement) -> None:
    pids = server.pids()
    base_bytes = _rss_bytes(load, pids)
    into.values["base_rss_mb"] = base_bytes / 1e6
    joins = _join(load, shape, subscribe=False)
    into.values["joins_per_s"] = shape.clients / joins["seconds"]
    load.command("idle", effort.seconds, takes_s=effort.seconds)
    into.values["rss_kb_per_idle_connection"] = (_rss_bytes(load, pids) - base_bytes) / 1e3 / shape.clients
    load.command("close", takes_s=0)
    # Leaving is the server's work, too, and not what is measured next.
    _until_quiet(load, pids, lambda: load.command("idle", SETTLE_S, takes_s=SETTLE_S))
    joins = _join(load, shape, subscribe=True)
    into.values["coming_back_s"] = joins["seconds"]
    into.values["subscriptions_per_s"] = shape.clients * shape.topics_per_client / joins["seconds"]
    into.values["rss_mb"] = _rss_bytes(load, pids) / 1e6


def _join(load: LoadGenerator, shape: Shape, *, subscribe: bool) -> dict[str, Any]:
    command = ("connect", shape.clients, JOINS_AT_ONCE, int(subscribe), JOIN_TIMEOUT_S)
    return load.command(*command, takes_s=JOIN_TIMEOUT_S)


def _rss_bytes(load: LoadGenerator, pids: list[int]) -> int:
    total: int = sum(load.command("rss", *pids, takes_s=1)["rss_bytes"])
    return total


def _until_quiet(load: LoadGenerator, pids: list[int], wait: Callable[[], object]) -> None:
    """Wait until the server uses less than a tenth of its core, or for 20 s."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        before_us, started = load.command("cpu", *pids, takes_s=1)["cpu_us"], time.monotonic()
        wait()
        if load.command("cpu", *pids, takes_s=1)["cpu_us"] - before_us < 1e5 * (time.monotonic() - started):
            return


def problems_of(answer: Mapping[str, Any], when: str) -> list[str]:
    """Return what was wrong with the deliveries of a measurement, by the load generator's answer."""
    expected = answer["expected"]
    found = []
    for key, text in (
        ("missing", "of {expected:,} deliveries {n:,} never came"),
        ("surplus", "{n:,} deliveries too many"),
        ("wrong_seq_clients", "{n} clients got as many events as expected, but not those"),
        ("unreadable", "{n:,} events were not as published"),
        ("lost_clients", "{n} clients were cut off ({why})"),
    ):
        if answer[key]:
            found.append(when + ": " + text.format(n=answer[key], expected=expected, why=answer["why_lost"]))
    return found
