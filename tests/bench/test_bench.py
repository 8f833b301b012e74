"""The harness: one small shape at a real node, and what becomes of the figures."""

from __future__ import annotations

import importlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from components.bench.load import LoadGenerator, build
from components.bench.measure import Effort, Measurement, _events, measure, problems_of
from components.bench.processes import cores
from components.bench.report import summarize, table
from components.bench.run import saturation_of_stock, turns
from components.bench.shapes import SHAPES, Shape
from components.bench.systems import SYSTEMS

# By its name in sys.modules: in the package, the command has taken the module's place.
BENCH = importlib.import_module("components.cli.bench")

TINY = Shape("tiny", clients=4, topics=3, topics_per_client=2, offered_per_s=(100,), multiples_of_stock=(0.5,))
EFFORT = Effort(seconds=0.4, queues_ms=(20.0,))


def test_the_harness_measures_crosstick_and_every_event_arrives() -> None:
    measurement = measure(SYSTEMS["crosstick"], "crosstick", TINY, EFFORT, build(), cores(), stock_per_s=400)
    assert measurement.problems == []
    assert measurement.values["delivered_per_s"] > 0
    assert measurement.values["cpu_us_per_event"] > 0
    assert measurement.values["rss_mb"] > 0
    assert 0 < measurement.values["p50_ms@100"] <= measurement.values["p99_ms@100"]
    assert measurement.values["offered_per_s@0.5x_stock"] == 200
    assert 0 < measurement.values["p50_ms@0.5x_stock"] <= measurement.values["p99_ms@0.5x_stock"]


def test_a_server_that_stops_for_a_moment_is_waited_for_without_spinning_and_then_given_what_was_due(
    tmp_path: Path,
) -> None:
    (tmp_path / "server").mkdir()
    server = SYSTEMS["crosstick"](tmp_path / "server", TINY, None)
    try:
        server.wait_until_listening()
        topics = list(zip(TINY.topic_names(), TINY.symbols(), strict=True))
        setup = server.endpoints().describe(topics, TINY.subscriptions())
        with LoadGenerator(build(), setup, tmp_path, None) as load:
            load.command("publisher", 20, takes_s=20)
            server.wait_until_ready()
            load.command("connect", TINY.clients, TINY.clients, 1, 20, takes_s=20)
            load.send("pace", 5_000, 0.2, 2, *server.pids())
            assert not load.wait(0.5)
            for pid in server.pids():
                os.kill(pid, signal.SIGSTOP)
            assert not load.wait(0.8)
            for pid in server.pids():
                os.kill(pid, signal.SIGCONT)
            answer = load.answer()
    finally:
        server.stop()
    assert problems_of(answer, "then") == []
    assert answer["max_late_us"] > 500_000
    assert answer["expected"] == pytest.approx(2.2 * 5_000 * TINY.clients * 2 / 3, rel=0.1)
    assert answer["load_cpu_us"] < 500_000


def test_after_a_load_at_which_clients_were_cut_off_nothing_more_is_measured() -> None:
    said: list[str] = []

    class Load:
        """A load generator whose clients are cut off at the second load."""

        def command(self, *words: Any, takes_s: float) -> dict[str, Any]:
            said.append(str(words[0]))
            lost = said.count("pace") == 2
            answer = dict.fromkeys(("missing", "surplus", "wrong_seq_clients", "unreadable", "merged", "dropped"), 0)
            answer |= dict.fromkeys(("server_cpu_us", "load_cpu_us", "max_late_us"), 0)
            return {
                **answer,
                "seconds": 1.0,
                "delivered": 1000,
                "published": 1000,
                "expected": 1000,
                "rss_bytes": [1],
                "latency": None,
                "lost_clients": int(lost),
                "why_lost": "queue full" if lost else "",
            }

    class Server:
        """No server, with no processes."""

        def pids(self) -> list[int]:
            return []

    shape = Shape("s", 1, 1, 1, offered_per_s=(1, 2, 3))
    measurement = Measurement("crosstick", "s")
    server: Any = Server()
    load: Any = Load()
    _events(server, load, shape, shape.loads(None), EFFORT, measurement)
    assert said == ["connect", "idle", "saturate", "pace", "pace"]
    assert measurement.problems == ["at 2 published/s: 1 clients were cut off (queue full)"]


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
    assert written["targets"] == []
    assert written["method"]["rounds"] == 1


def test_an_unknown_shape_is_refused_with_the_known_ones() -> None:
    outcome = CliRunner().invoke(BENCH.bench, ["--shapes", "100x100,7x7"])
    assert outcome.exit_code == 2
    assert "100x100of400" in outcome.output


def test_plain_clients_are_left_out_where_services_publish() -> None:
    left_out = [name for name, system in SYSTEMS.items() for shape in SHAPES if not system.takes(shape)]
    assert left_out == ["crosstick-plain", "crosstick-plain-batched"]
    assert [shape.name for shape in SHAPES if not SYSTEMS["crosstick-plain"].takes(shape)] == ["100x100-external"]


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


def test_each_round_begins_with_another_system_and_the_first_with_stock_crossbar() -> None:
    systems = ["crosstick", "crossbar", "nats"]
    assert [turns(systems, number) for number in range(4)] == [
        ["crossbar", "crosstick", "nats"],
        ["crosstick", "nats", "crossbar"],
        ["nats", "crossbar", "crosstick"],
        ["crossbar", "crosstick", "nats"],
    ]
    assert turns(["crosstick"], 5) == ["crosstick"]
    assert turns([], 1) == []


def test_loads_follow_what_saturated_stock_crossbar_so_far() -> None:
    shape = Shape("s", 1, 1, 1, offered_per_s=(10,), multiples_of_stock=(1, 7.5))
    measurements = [
        Measurement("crossbar", "s", {"published_per_s": 100.0}),
        Measurement("crossbar", "other", {"published_per_s": 9.0}),
        Measurement("crosstick", "s", {"published_per_s": 9.0}),
        Measurement("crossbar", "s", {}, problems=["the server ended"]),
        Measurement("crossbar", "s", {"published_per_s": 300.0}),
    ]
    assert saturation_of_stock(measurements[1:4], shape) is None
    stock_per_s = saturation_of_stock(measurements, shape)
    assert stock_per_s == 200
    assert [(load.name, load.per_s) for load in shape.loads(stock_per_s)] == [
        ("10", 10),
        ("1x_stock", 200),
        ("7.5x_stock", 1500),
    ]
    assert [load.name for load in shape.loads(None)] == ["10"]
    assert shape.load_names() == ["10", "1x_stock", "7.5x_stock"]


def test_latency_at_a_multiple_of_stocks_load_is_in_figures_and_table() -> None:
    shape = Shape("s", 1, 1, 1, offered_per_s=(10,), multiples_of_stock=(7.5,))
    values = {
        f"{name}@7.5x_stock": value
        for name, value in (
            ("offered_per_s", 6000.0),
            ("p50_ms", 1.0),
            ("p99_ms", 2.0),
            ("p999_ms", 3.0),
            ("cpu_us_per_event", 4.0),
        )
    }
    summary = summarize([Measurement("crosstick", "s", {"delivered_per_s": 1.0, **values})], [shape])
    [load] = summary["s"]["crosstick"]["latency"]
    assert (load["load"], load["offered_per_s"], load["p99_ms"]) == ("7.5x_stock", 6000, 2)
    assert "p99_ms" not in summary["s"]["crosstick"]
    assert "crosstick at 6,000 published/s, 7.5 × what saturated stock Crossbar: p50 1, p99 2" in table(
        summary, [shape]
    )


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
