"""What the reference shows of settings, claims and metrics is what the code takes and has."""

from __future__ import annotations

import re

from components.core.limits import RealmLimits
from components.router.drain.settings import parse_drain
from components.router.fanout_settings import FanOutSettings
from components.router.listeners.settings import parse_listeners
from components.tokens.claims import CLAIMS
from tests.harness.documents import PAGES, configured
from tests.harness.node import Node


def test_the_examples_of_settings_are_what_a_node_takes() -> None:
    assert FanOutSettings.from_extra(configured("fanout")) != FanOutSettings()
    assert parse_drain(configured("drain")) != parse_drain(None)
    assert list(parse_listeners(configured("listeners"))) == ["public"]
    limits = RealmLimits.from_mapping(configured("limits")["limits"], {"viewer", "service", "operator"})
    assert limits.of("viewer", "trial") != limits.of("viewer", None) != limits.of("service", None)


def test_the_claims_that_it_shows_are_all_that_are_checked() -> None:
    table = PAGES["docs/reference/tokens.md"].split("| claim | meaning |")[1].split("\n\n")[0]
    shown = [name for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    assert sorted(shown) == sorted(CLAIMS)


def test_a_running_worker_has_the_metrics_that_it_lists(node: Node) -> None:
    _, _, body = node.get("/metrics")
    there = set(re.findall(r"^# TYPE (crosstick_\w+) ", body.decode(), re.MULTILINE))
    table = PAGES["docs/reference/metrics.md"].split("## Of a feed")[0]
    # The library adds to each histogram when it was made.
    assert {name for name in there if not name.endswith("_created")} == set(
        re.findall(r"^\| `(crosstick_\w+)`", table, re.MULTILINE)
    )
