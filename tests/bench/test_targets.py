"""Targets: figures and ratios against their bounds."""

from __future__ import annotations

from typing import Any

import pytest

from components.bench.report import targets_table
from components.bench.shapes import SHAPES
from components.bench.systems import SYSTEMS
from components.bench.targets import TARGETS, verdicts


def summary(**crosstick: Any) -> dict[str, dict[str, Any]]:
    """Return medians in which the other systems deliver 10 events/s at 1 µs, under every shape."""
    other = {"delivered_per_s": 10.0, "coming_back_s": 10.0, "rss_kb_per_idle_connection": 10.0}
    other["latency"] = [{"load": "50", "p50_ms": 1.0}]  # type: ignore[assignment]
    return {shape.name: {"crosstick": crosstick, "crossbar": other, "nats": other} for shape in SHAPES}


def verdict_on(text: str, figures: dict[str, dict[str, Any]], shape: str = "100x100") -> dict[str, Any]:
    """Return the one verdict whose target begins with ``text``."""
    [found] = [verdict for verdict in verdicts(figures, [shape]) if verdict["target"].startswith(text)]
    return found


@pytest.mark.parametrize(("delivered", "met"), [(1000.0, True), (999.0, False)])
def test_a_ratio_to_stock_is_met_from_its_limit_on(delivered: float, met: bool) -> None:
    verdict = verdict_on("delivered/s ≥ 100 × crossbar", summary(delivered_per_s=delivered))
    assert verdict["measured"] == delivered / 10
    assert verdict["met"] is met


@pytest.mark.parametrize(("delivered", "met"), [(85.0, True), (84.0, False)])
def test_plain_clients_are_judged_by_those_of_the_same_run_that_speak_wamp(delivered: float, met: bool) -> None:
    figures = summary(delivered_per_s=100.0)
    figures["100x100"]["crosstick-plain"] = {"delivered_per_s": delivered}
    verdict = verdict_on("plain clients' delivered/s ≥ 0.85 × crosstick", figures)
    assert verdict["measured"] == delivered / 100
    assert verdict["met"] is met


@pytest.mark.parametrize(("p99_ms", "met"), [(8.0, True), (8.1, False)])
def test_latency_at_stocks_load_is_taken_from_that_load(p99_ms: float, met: bool) -> None:
    latency = [{"load": "200", "p99_ms": 1.0}, {"load": "1x_stock", "p99_ms": p99_ms}]
    verdict = verdict_on("p99 at the load that saturates", summary(latency=latency))
    assert verdict["measured"] == p99_ms
    assert verdict["met"] is met


def test_what_less_is_better_of_is_met_up_to_its_limit() -> None:
    assert verdict_on("time to come back", summary(coming_back_s=2.0), "connections")["met"] is True
    assert verdict_on("time to come back", summary(coming_back_s=2.1), "connections")["met"] is False


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    without_stock: dict[str, dict[str, Any]] = {"100x100": {"crosstick": {"delivered_per_s": 5.0}}}
    for verdict in verdicts(without_stock, ["100x100"]):
        assert verdict["measured"] is None
        assert verdict["met"] is None
    assert "not measured" in targets_table(verdicts(without_stock, ["100x100"]))


def test_only_targets_of_the_measured_shapes_are_judged() -> None:
    assert {verdict["shape"] for verdict in verdicts(summary(), ["1x100"])} == {"1x100"}
    assert verdicts(summary(), []) == []


def test_the_table_tells_what_was_met_and_what_was_missed() -> None:
    lines = targets_table(verdicts(summary(delivered_per_s=50.0, cpu_us_per_event=0.05), ["100x100"])).splitlines()
    assert any("≥ 100 × crossbar" in line and "5 × crossbar" in line and "missed" in line for line in lines)
    assert any("CPU per event ≤ 0.08 µs" in line and "0.05 µs" in line and "met" in line for line in lines)


def test_every_target_is_a_figure_that_some_shape_and_system_has() -> None:
    shapes = {shape.name: shape for shape in SHAPES}
    for target in TARGETS:
        load = target.figure.partition("@")[2]
        assert not load or load in shapes[target.shape].load_names()
        assert target.against is None or target.against in SYSTEMS
        assert SYSTEMS[target.subject].takes(shapes[target.shape])
