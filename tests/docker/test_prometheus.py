"""Prometheus' rules and the dashboard: that they are such, by Prometheus' own program, and that they know all faults."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.cluster.prometheus import CONFIGURATION, DASHBOARD, configuration, dashboard_queries
from components.core.faults import MOMENTS, Fault, FaultKind
from tests.harness.node import REPOSITORY

RULES: dict[str, Any] = yaml.safe_load((CONFIGURATION / "rules.yml").read_text())
PROMTOOL = shutil.which("promtool")
MANUAL = (REPOSITORY / "docs" / "how-to" / "monitor.md").read_text()

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="Prometheus is not installed")


def promtool(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    assert PROMTOOL is not None
    return subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False, **options)


def rules() -> list[dict[str, Any]]:
    return [rule for group in RULES["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


@needs_promtool
def test_the_configuration_is_one() -> None:
    checked = promtool("check", "config", str(CONFIGURATION / "prometheus.yml"))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@needs_promtool
def test_each_fault_has_its_name_by_the_rules(tmp_path: Path) -> None:
    conditions = [
        {"series": f'crosstick_fault_active{{job="gateways",instance="g",fault="{fault}"}}', "values": "0 1 1 0"}
        for fault in ("bus_away", "node_draining")
    ]
    moments = [
        {"series": f'crosstick_faults_total{{job="gateways",instance="g",fault="{fault}"}}', "values": "0x10 1x100"}
        for fault in MOMENTS
    ]
    outside = [
        {"series": 'up{job="gateways",instance="g"}', "values": "1 0 0 1"},
        {"series": 'up{job="feeds",instance="f"}', "values": "1 0 0 1"},
        {"series": 'crosstick_workers{job="gateways",instance="g"}', "values": "2 2 2 2"},
        {"series": 'crosstick_workers_answering{job="gateways",instance="g"}', "values": "2 1 1 2"},
    ]

    def named(*faults: str) -> list[dict[str, Any]]:
        jobs = {"feed_down": "feeds"}
        return [
            {
                "labels": f'crosstick:fault{{job="{jobs.get(fault, "gateways")}",'
                f'instance="{"f" if fault in jobs else "g"}",fault="{fault}"}}',
                "value": 1,
            }
            for fault in faults
        ]

    wrong = named("bus_away", "node_draining", "gateway_down", "feed_down", "worker_silent")
    told = named(*(fault.value for fault in MOMENTS))
    test = {
        "rule_files": [str(CONFIGURATION / "rules.yml")],
        "evaluation_interval": "1s",
        "tests": [
            {
                "interval": "1s",
                "input_series": [*conditions, *outside, *moments],
                "promql_expr_test": [
                    {"expr": "crosstick:fault", "eval_time": "0s", "exp_samples": []},
                    {"expr": "crosstick:fault", "eval_time": "1s", "exp_samples": wrong},
                    {"expr": "crosstick:fault", "eval_time": "2s", "exp_samples": wrong},
                    {"expr": "crosstick:fault", "eval_time": "4s", "exp_samples": []},
                    {"expr": "crosstick:fault", "eval_time": "12s", "exp_samples": told},
                    {"expr": "crosstick:fault", "eval_time": "60s", "exp_samples": told},
                    {"expr": "crosstick:fault", "eval_time": "80s", "exp_samples": []},
                ],
            }
        ],
    }
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump(test))
    tested = promtool("test", "rules", str(path))
    assert tested.returncode == 0, tested.stdout + tested.stderr


@needs_promtool
def test_one_cause_is_one_page(tmp_path: Path) -> None:
    def state(bus: tuple[str, str], heard: str) -> list[dict[str, Any]]:
        gateways = zip("ab", bus, strict=True)
        return [
            {"series": 'up{job="gateways",instance="a"}', "values": "1x40"},
            *(
                {"series": f'crosstick_bus_connected{{job="gateways",instance="{name}"}}', "values": values}
                for name, values in gateways
            ),
            {"series": 'crosstick_leading_feed_heard{job="gateways",instance="a"}', "values": heard},
            {
                "series": 'crosstick_fault_active{job="gateways",instance="b",fault="realm_closed"}',
                "values": "0 1x40" if "1x40" not in bus else "0x40",
            },
        ]

    def group(series: list[dict[str, Any]], pages: dict[str, str | None]) -> dict[str, Any]:
        """``pages``: by alert's name ``None``, or of which instance it is fired, "" for one without."""
        return {
            "interval": "5s",
            "input_series": series,
            "promql_expr_test": [
                {
                    "expr": f'count by (alertname, instance) (ALERTS{{alertname="{name}",alertstate="firing"}})',
                    "eval_time": "120s",
                    "exp_samples": []
                    if of is None
                    else [
                        {
                            "labels": f'{{alertname="{name}"' + (f',instance="{of}"' if of else "") + "}",
                            "value": 1,
                        }
                    ],
                }
                for name, of in pages.items()
            ],
        }

    bus_for_all, lost, closed, bus = (
        f"Crosstick{name}" for name in ("BusAwayForAll", "FeedLost", "RealmClosed", "BusAway")
    )
    away, back = "1 0x40", "1 0x11 1x28"
    test = {
        "rule_files": [str(CONFIGURATION / "rules.yml")],
        "evaluation_interval": "5s",
        "tests": [
            group(state((away, away), "1 0x40"), {bus_for_all: "", lost: None, closed: None, bus: None}),
            group(state((away, "1x40"), "1 0x40"), {bus_for_all: None, lost: "", bus: "a"}),
            # What is still so when the bus is back has a cause of its own.
            group(state((back, back), "1 0x40"), {bus_for_all: None, lost: "", closed: "b", bus: None}),
        ],
    }
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump(test))
    tested = promtool("test", "rules", str(path))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_alerts_do_not_promise_what_is_not_so() -> None:
    said = {alert["alert"]: alert["annotations"]["description"] for alert in alerts()}
    # Trades that no feed got have no number, so there is no gap to tell of.
    assert "clients see no gap" in said["CrosstickTradesMissed"]
    assert "told" not in said["CrosstickTradesMissed"]
    assert said["CrosstickFeedDown"].startswith("If another one answers, ")
    for metric in (
        "crosstick_refusals_total",
        "crosstick_refused_connections_total",
        "crosstick_refused_tickets_total",
    ):
        assert metric in said["CrosstickClientsRefused"]


@needs_promtool
def test_the_dashboard_asks_what_prometheus_understands(tmp_path: Path) -> None:
    asked = [{"record": f"panel:number:{number}", "expr": query} for number, query in enumerate(dashboard_queries())]
    assert len(asked) > 50
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": asked}]}))
    checked = promtool("check", "rules", str(path))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_fault_is_in_the_rules_and_in_the_manual() -> None:
    [record] = [rule for rule in rules() if rule.get("record") == "crosstick:fault"]
    for fault in Fault:
        if fault.kind is FaultKind.OUTSIDE:
            assert f'"fault", "{fault}"' in record["expr"]
        assert f"\n### {fault}\n\n{fault.help}" in MANUAL, fault
    [moments] = re.findall(r'fault=~"([^"]*)"', record["expr"])
    assert set(moments.split("|")) == {fault.value for fault in MOMENTS}


def test_each_alert_says_what_to_do_and_where_more_is_said() -> None:
    assert len(alerts()) > 20
    for alert in alerts():
        assert alert["labels"]["severity"] in ("critical", "warning")
        assert alert["annotations"]["summary"].endswith(".")
        assert alert["annotations"]["description"].endswith(".")
        page, _, anchor = alert["annotations"]["runbook"].partition("#")
        assert page == "docs/how-to/monitor.md"
        headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", MANUAL, re.MULTILINE)}
        assert anchor in headings, anchor


def test_the_configuration_of_a_cluster_on_one_machine_is_that_of_the_containers() -> None:
    made = yaml.safe_load(configuration({"gateways": [1, 2], "feeds": [3]}))
    shipped = yaml.safe_load((CONFIGURATION / "prometheus.yml").read_text())
    assert [job["static_configs"][0]["targets"] for job in made["scrape_configs"]] == [
        ["127.0.0.1:1", "127.0.0.1:2"],
        ["127.0.0.1:3"],
    ]
    assert made["global"] == shipped["global"]
    assert [Path(name).read_text() for name in made["rule_files"]] == [(CONFIGURATION / "rules.yml").read_text()]


def test_the_dashboard_is_laid_out_without_overlap() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert [panel["type"] for panel in panels[:3]] == ["stat", "state-timeline", "table"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        position = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(position["x"], position["x"] + position["w"])
            for y in range(position["y"], position["y"] + position["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "prometheus"}
            assert [target["refId"] for target in panel["targets"]] == sorted({t["refId"] for t in panel["targets"]})
