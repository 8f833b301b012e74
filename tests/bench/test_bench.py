"""The harness: one small shape at a real node, and what becomes of the figures."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from components.bench.load import build
from components.bench.measure import Effort, Measurement, measure
from components.bench.processes import cores
from components.bench.report import summarize, table
from components.bench.shapes import SHAPES, Shape
from components.bench.systems import SYSTEMS

# By its name in sys.modules: in the package, the command has taken the module's place.
BENCH = importlib.import_module("components.cli.bench")

TINY = Shape("tiny", clients=4, topics=3, topics_per_client=2, offered_per_s=(100,))
EFFORT = Effort(seconds=0.4, queues_ms=(20.0,))


def test_the_harness_measures_crosstick_and_every_event_arrives() -> None:
    measurement = measure(SYSTEMS["crosstick"], "crosstick", TINY, EFFORT, build(), cores())
    assert measurement.problems == []
    assert measurement.values["delivered_per_s"] > 0
    assert measurement.values["cpu_us_per_event"] > 0
    assert measurement.values["rss_mb"] > 0
    assert 0 < measurement.values["p50_ms@100"] <= measurement.values["p99_ms@100"]


def test_the_command_writes_figures_by_shape_and_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    churn = Shape("churn", clients=5, topics=3, topics_per_client=3, churn=True)
    monkeypatch.setattr(BENCH, "_SHAPES", {"100x100": churn})
    file = tmp_path / "out.json"
    arguments = [
        "--shapes",
        "100x100",
        "--systems",
        "crosstick",
        "--rounds",
        "1",
        "--seconds",
        "0.2",
        "--json",
        str(file),
    ]
    outcome = CliRunner().invoke(BENCH.bench, arguments)
    assert outcome.exit_code == 0, outcome.output
    written = json.loads(file.read_text())
    assert written["machine"]["versions"]["crosstick"]
    figures = written["shapes"]["churn"]["crosstick"]
    assert figures["complete"] is True
    assert figures["joins_per_s"] > 0
    assert figures["coming_back_s"] > 0


def test_an_unknown_shape_is_refused_with_the_known_ones() -> None:
    outcome = CliRunner().invoke(BENCH.bench, ["--shapes", "100x100,7x7"])
    assert outcome.exit_code == 2
    assert "100x100of400" in outcome.output


def test_figures_are_medians_with_least_and_greatest() -> None:
    shape = Shape("s", 1, 1, 1, offered_per_s=(10, 100))
    rounds = [
        Measurement("crosstick", "s", {"delivered_per_s": value, "p50_ms@10": value / 10, "p50_ms@100": value})
        for value in (30.0, 10.0, 20.0)
    ]
    figures = summarize(rounds, [shape])["s"]["crosstick"]
    assert figures["delivered_per_s"] == 20
    assert figures["spread"]["delivered_per_s"] == [10, 30]
    assert figures["p50_ms"] == 2
    assert [load["p50_ms"] for load in figures["latency"]] == [2, 20]
    assert figures["complete"] is True


def test_a_round_with_a_problem_shows_in_figures_and_table() -> None:
    shape = Shape("s", 1, 1, 1)
    good = Measurement("nats", "s", {"delivered_per_s": 10.0})
    bad = Measurement("nats", "s", {"delivered_per_s": 99.0}, problems=["of 5 deliveries 1 never came"])
    summary = summarize([good, bad], [shape])
    assert summary["s"]["nats"]["complete"] is False
    assert "nats: of 5 deliveries 1 never came" in table(summary, [shape])


def test_every_shape_subscribes_each_client_to_as_many_topics_as_it_says() -> None:
    for shape in SHAPES:
        chosen = shape.subscriptions()
        assert len(chosen) == shape.clients
        assert {len(topics) for topics in chosen} == {shape.topics_per_client}
        assert chosen == shape.subscriptions()
