"""What the reference shows of settings, claims, metrics and close codes is what the code has."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from components.core.closing import CLOSE_CODES
from components.core.limits import Limits, RealmLimits
from components.feed.feed import Feed
from components.feed.web import lag_histogram, make_site
from components.router.drain.settings import DrainSettings, parse_drain
from components.router.fanout_settings import FanOutSettings
from components.router.listeners.settings import ListenerSettings, parse_listeners
from components.settings import KNOWN_VARIABLES, FeedSettings
from components.tokens.claims import CLAIMS
from tests.feed.memory_bus import MemoryBus
from tests.harness.documents import PAGES, configured
from tests.harness.node import Node
from tests.harness.reactor import ReactorOnClock


def rows(page: str, pattern: str) -> list[str]:
    """Return what a pattern finds at the beginning of the rows of a page's tables."""
    return re.findall(rf"^\| {pattern} \|", PAGES[f"docs/reference/{page}.md"], re.MULTILINE)


def test_the_variables_that_it_shows_are_all_there_are() -> None:
    assert sorted(rows("environment", r"`(CROSSTICK_\w+)`")) == sorted(KNOWN_VARIABLES)


def test_the_claims_that_it_shows_are_all_that_are_checked() -> None:
    table = PAGES["docs/reference/tokens.md"].split("| claim | meaning |")[1].split("\n\n")[0]
    shown = [name for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    assert sorted(shown) == sorted(CLAIMS)


def test_the_fan_outs_entry_is_what_a_node_has_without_one() -> None:
    documented = FanOutSettings.from_extra(configured("fanout"))
    assert documented.outbox.policy_for("market.BTCUSDT") == FanOutSettings().outbox.policy_for("market.BTCUSDT")
    assert replace(documented, outbox=replace(documented.outbox, policies=())) == FanOutSettings()


def test_the_drains_entry_is_what_a_node_has_without_one() -> None:
    shown = configured("drain")
    assert parse_drain(shown) == DrainSettings()
    assert set(shown["drain"]) == set(DrainSettings.__struct_fields__)


def test_the_listeners_entry_shows_all_settings_and_their_defaults() -> None:
    extra = configured("listeners")
    assert parse_listeners(extra) == {"public": ListenerSettings()}
    assert list(extra["listeners"]["public"]) == list(ListenerSettings.__struct_fields__)


def test_the_limits_that_it_shows_are_all_there_are_and_their_defaults() -> None:
    shown = configured("limits")["limits"]
    assert RealmLimits.from_mapping(shown).base == Limits()
    assert RealmLimits.from_mapping(shown).authenticate_timeout_s == RealmLimits.from_mapping({}).authenticate_timeout_s
    assert RealmLimits.from_mapping(shown).expiry_grace_s == RealmLimits.from_mapping({}).expiry_grace_s
    assert set(shown) == {*Limits.__struct_fields__, "authenticate_timeout", "expiry_grace", "roles", "tiers"}


def test_the_metrics_that_it_lists_are_those_that_there_are(node: Node) -> None:
    _, _, body = node.get("/metrics")
    registry = CollectorRegistry()
    lag_histogram(registry)
    settings = FeedSettings("ws://127.0.0.1:1", ("BTCUSDT",), "trade", 60.0, "one")
    feed = Feed(ReactorOnClock(), settings, MemoryBus().writer(), lambda: 0, pytest.fail)
    make_site(feed, registry)
    answers = body.decode() + generate_latest(registry).decode()
    there = re.findall(r"^# TYPE (crosstick_\w+) ", answers, re.MULTILINE)
    # The library adds to each histogram when it was made.
    assert {name for row in rows("metrics", r"(`crosstick_\w+`.*?)") for name in re.findall(r"`(\w+)`", row)} == {
        name for name in there if not name.endswith("_created")
    }


def test_every_reason_of_closing_is_listed_with_its_code() -> None:
    listed = re.findall(r"^\| `(crosstick\.close\.\w+)` \| (\d+) \|", PAGES["docs/reference/errors.md"], re.MULTILINE)
    assert [(uri, int(code)) for uri, code in listed] == [(reason.value, code) for reason, code in CLOSE_CODES.items()]
