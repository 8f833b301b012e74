"""A Prometheus beside a cluster: the containers' configuration with this machine's ports, and what it says is wrong."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from components.cluster.topology import REPOSITORY, Cluster, ClusterError, Part, program
from components.free_ports import free_port

CONFIGURATION = REPOSITORY / "docker" / "prometheus"
DASHBOARD = REPOSITORY / "docker" / "grafana" / "dashboards" / "crosstick.json"

NAMED_WITHIN_S = 5.0
"""By when a fault has to have its name."""

NAMED_AT_LAST_S = 15.0
"""By when it has one also where all share a core with many others."""

LOOK_S = 0.1
START_TIMEOUT_S = 60.0


def dashboard_queries() -> list[str]:
    """Return what the dashboard asks, in its order."""
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]


def configuration(targets: Mapping[str, Sequence[int]]) -> str:
    """Return the containers' configuration with other targets: by job, ports of the loopback."""
    made: dict[str, Any] = yaml.safe_load((CONFIGURATION / "prometheus.yml").read_text())
    made["rule_files"] = [str(CONFIGURATION / name) for name in made["rule_files"]]
    for job in made["scrape_configs"]:
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in targets[job["job_name"]]]}]
    return yaml.safe_dump(made)


class Prometheus(Part):
    """One beside a cluster; to be started when that is."""

    def __init__(self, cluster: Cluster, directory: Path, port: int) -> None:
        """Lay out in ``directory``, an empty folder.

        Raises:
            ClusterError: Prometheus is not installed.
        """
        self.port = port
        directory.mkdir()
        path = directory / "prometheus.yml"
        path.write_text(configuration({"gateways": cluster.gateway_ports, "feeds": cluster.feed_ports}))
        command = [
            program("prometheus"),
            f"--config.file={path}",
            f"--storage.tsdb.path={directory / 'data'}",
            "--storage.tsdb.retention.time=1d",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
        super().__init__("prometheus", command, directory, {})

    def wait_until_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until it has heard of all parts that it asks.

        Raises:
            ClusterError: it has not in time.
        """
        deadline_s = time.monotonic() + timeout_s
        while not self._hears_all():
            if not self.running:
                raise ClusterError(f"prometheus ended while starting; its last words: {self.last_words()}")
            if time.monotonic() > deadline_s:
                raise ClusterError(f"prometheus does not hear all parts within {timeout_s:g} s")
            time.sleep(LOOK_S)

    def _hears_all(self) -> bool:
        up = self.query("up")
        return bool(up) and all(value == "1" for _, value in up)

    def query(self, expression: str) -> list[tuple[dict[str, str], str]]:
        """Return labels and value of each series of an instant query; nothing while it does not answer.

        Raises:
            ClusterError: the expression is none.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", f"/api/v1/query?query={quote(expression)}")
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            return []
        finally:
            connection.close()
        if answer.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
            return []
        said = json.loads(body)
        if said["status"] != "success":
            raise ClusterError(f"prometheus: {said['error']}")
        return [(each["metric"], each["value"][1]) for each in said["data"]["result"]]

    def without_series(self) -> list[str]:
        """Return what of the dashboard's queries has no series at this moment; those that ask for trouble have none in peace.

        Raises:
            ClusterError: one of them is no query.
        """
        return [query for query in dashboard_queries() if not self.query(query)]

    def named(self) -> set[str]:
        """Return what is wrong, by name."""
        return {labels["fault"] for labels, _ in self.query("crosstick:fault == 1")}

    def named_after_s(self, fault: str, within_s: float) -> float | None:
        """Return how long from here it takes until a fault has its name; ``None`` where it has none in time."""
        began_s = time.monotonic()
        while time.monotonic() - began_s < within_s:
            if fault in self.named():
                return time.monotonic() - began_s
            time.sleep(LOOK_S)
        return None


@contextmanager
def beside(running: Cluster, directory: Path, is_wanted: bool) -> Iterator[Prometheus | None]:
    """Run Prometheus beside a cluster, where it is wanted, in a folder of its own in ``directory``.

    Raises:
        ClusterError: it is not installed, or does not start.
    """
    if not is_wanted:
        yield None
        return
    port = free_port()
    prometheus = Prometheus(running, directory / "prometheus", port)
    prometheus.start()
    try:
        prometheus.wait_until_ready()
        yield prometheus
    finally:
        prometheus.kill()
