"""The containers' files say what they should; whether they run is seen where there is a Docker daemon (docker/README.md)."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness.documents import PAGES
from tests.harness.haproxy import EXECUTABLE

DOCKER = Path(__file__).resolve().parents[2] / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def test_the_topology_is_whole() -> None:
    assert set(SERVICES) == {
        *("redis", "exchange", "feed-1", "feed-2", "gateway-1", "gateway-2", "gateway-3"),
        *("haproxy", "prometheus", "grafana"),
    }


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_write_nothing_gain_nothing_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert service["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", [name for name in SERVICES if SERVICES[name]["image"] != "crosstick"])
def test_an_image_from_elsewhere_is_pinned_and_its_health_is_looked_at(name: str) -> None:
    _, _, tag = SERVICES[name]["image"].partition(":")
    assert re.match(r"v?\d+\.\d+\.\d+", tag)
    assert SERVICES[name]["healthcheck"]["test"]


def test_the_image_runs_as_nobody_in_particular_and_its_health_is_looked_at() -> None:
    lines = (DOCKER / "Dockerfile").read_text().splitlines()
    assert "USER crosstick" in lines
    assert any(line.startswith("HEALTHCHECK ") for line in lines)
    [base] = [line.partition("=")[2] for line in lines if line.startswith("ARG BASE=")]
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base)


def test_what_is_scraped_and_balanced_is_what_runs() -> None:
    scraped = yaml.safe_load((DOCKER / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    hosts = {
        target.partition(":")[0] for job in scraped for group in job["static_configs"] for target in group["targets"]
    }
    assert hosts == {name for name in SERVICES if name.startswith(("feed-", "gateway-"))}
    addresses = {SERVICES[f"gateway-{number}"]["networks"]["inside"]["ipv4_address"] for number in (1, 2, 3)}
    [command] = SERVICES["haproxy"]["command"]
    assert set(re.findall(r"([\d.]+):8080", command)) == addresses
    balancer = SERVICES["haproxy"]["networks"]["inside"]["ipv4_address"]
    for number in (1, 2, 3):
        command = SERVICES[f"gateway-{number}"]["command"]
        assert command[command.index("--trusted-proxy") + 1] == balancer


def test_haproxy_takes_the_configuration_for_other_addresses(tmp_path: Path) -> None:
    if EXECUTABLE is None:
        pytest.skip("no HAProxy")
    script = DOCKER / "balancers/haproxy-for.sh"
    nodes = ["127.0.0.1:1001", "127.0.0.1:1002", "127.0.0.1:1003"]
    made = subprocess.run([script, "127.0.0.1:1000", *nodes], capture_output=True, text=True, check=True).stdout
    path = tmp_path / "haproxy.cfg"
    path.write_text(made)
    subprocess.run([EXECUTABLE, "-c", "-f", path], capture_output=True, check=True)
    servers = re.findall(r"^ *server (\w+) (\S+)", made, re.M)
    assert servers == [(f"node{number}", node) for number, node in enumerate(nodes, 1)] * 2
    assert made.count("\n    bind 127.0.0.1:1000\n") == 1
    assert made.count("\n    fd-hard-limit 11000\n") == 1


def test_scripts_are_what_a_shell_takes() -> None:
    shell = shutil.which("sh")
    assert shell is not None
    for script in (DOCKER / "entrypoint.sh", DOCKER / "balancers/haproxy-for.sh"):
        subprocess.run([shell, "-n", script], check=True)


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    dashboard = (DOCKER / "grafana/dashboards/crosstick.json").read_text()
    asked = {re.sub(r"_bucket$", "", name) for name in re.findall(r"\bcrosstick_\w+", dashboard)}
    assert len(asked) > 10
    documented = set(re.findall(r"\bcrosstick_\w+", PAGES["docs/reference/metrics.md"]))
    assert asked <= documented
