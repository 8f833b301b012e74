"""What the reference shows of settings, claims, problems and metrics is what the code takes and has."""

from __future__ import annotations

import configparser
import re
from typing import Any

import pytest

from components.cli.node import node as node_command
from components.core.limits import RealmLimits
from components.router.drain.settings import DrainSettings, parse_drain
from components.router.fanout_settings import FanOutSettings
from components.router.http_api.problems import PROBLEMS
from components.router.listeners.listener import SPARE_SOCKETS
from components.router.listeners.settings import ListenerSettings, parse_listeners
from components.tokens.claims import CLAIMS
from components.uris import ERROR_LIMIT_EXCEEDED
from tests.harness.documents import PAGES, block_with, extras
from tests.harness.node import REPOSITORY, Node

PARSERS = {
    "fanout": FanOutSettings.from_extra,
    "drain": parse_drain,
    "listeners": parse_listeners,
    "limits": lambda extra: RealmLimits.from_mapping(extra["limits"], {"viewer", "service", "operator"}),
}


@pytest.mark.parametrize("extra", extras(), ids=lambda extra: "-".join(extra))
def test_the_examples_of_settings_are_what_a_node_takes(extra: dict[str, Any]) -> None:
    [key] = extra
    assert PARSERS[key](extra)


def test_each_component_has_an_example() -> None:
    assert {key for extra in extras() for key in extra} == PARSERS.keys()


def test_the_unit_lets_a_node_leave_gently() -> None:
    unit = configparser.ConfigParser(strict=False)
    unit.read_string(block_with("[Service]", "ini"))
    service = unit["Service"]
    drain, listener = DrainSettings(), ListenerSettings()
    # See docs/how-to/leave-gently.md.
    assert service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) >= drain.notice_s + drain.over_s + 15
    assert int(service["LimitNOFILE"]) > 2 * (listener.max_connections + SPARE_SOCKETS)
    program, *arguments = service["ExecStart"].split()
    assert program.endswith("/bin/crosstick")
    node_command.make_context("node", [*arguments[1:-1], str(REPOSITORY / ".crossbar")])
    assert arguments[0] == "node"


def test_the_claims_that_it_shows_are_all_that_are_checked() -> None:
    table = PAGES["docs/reference/tokens.md"].split("| claim | meaning |")[1].split("\n\n")[0]
    shown = [name for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    assert sorted(shown) == sorted(CLAIMS)


def test_the_problems_that_it_lists_are_those_that_there_are() -> None:
    rows = set(re.findall(r"^\| (\d{3}) \| `([a-z_.]+)` \|", PAGES["docs/reference/http.md"], re.MULTILINE))
    made = {(str(status.value), uri) for uri, (status, _) in PROBLEMS.items()}
    # A limit that is not the client's own is 503.
    assert rows - {("503", ERROR_LIMIT_EXCEEDED)} == made


def test_a_running_worker_has_the_metrics_that_it_lists(node: Node) -> None:
    _, _, body = node.get("/metrics")
    there = set(re.findall(r"^# TYPE (crosstick_\w+) ", body.decode(), re.MULTILINE))
    table = PAGES["docs/reference/metrics.md"].split("## Of a node of several workers")[0]
    # Of a gauge histogram the library writes sums and counts as metrics of their own.
    assert {name for name in there if not name.endswith(("_gsum", "_gcount"))} == set(
        re.findall(r"^\| `(crosstick_\w+)`", table, re.MULTILINE)
    )
