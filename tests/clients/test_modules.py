"""What needs neither a node nor a browser: the pure modules of the clients, and rules for the page's sources."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pytest

from tests.clients.command import CLIENTS, NODE


def load(path: str) -> ModuleType:
    """Import a file of clients/, which is no package."""
    location = CLIENTS / path
    spec = importlib.util.spec_from_file_location(f"clients_{location.stem}", location)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SequenceTracker = load("python/sequence.py").SequenceTracker
vwap = load("service/vwap.py")


def tick(seq: int, symbol: str = "BTCUSDT", **more: int) -> dict:
    return {"symbol": symbol, "seq": seq, **more}


@pytest.mark.skipif(NODE is None, reason="no node.js on this machine")
def test_the_modules_of_the_page_pass_their_own_tests() -> None:
    assert NODE is not None
    files = [str(file) for file in sorted(Path(__file__).parent.glob("*.test.mjs"))]
    outcome = subprocess.run([NODE, "--test", *files], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout


def test_ticks_in_sequence_miss_nothing_and_a_gap_is_counted_once() -> None:
    tracker = SequenceTracker()
    assert [tracker.observe(tick(seq)) for seq in (7, 8, 12, 13)] == [0, 0, 3, 0]
    assert tracker.observe(tick(500, "ETHUSDT")) == 0


def test_a_merged_tick_closes_the_numbers_it_stands_for() -> None:
    tracker = SequenceTracker()
    assert [tracker.observe(tick(7)), tracker.observe(tick(11, merged=4)), tracker.observe(tick(16, merged=4))] == [
        0,
        0,
        1,
    ]


def test_a_merged_tick_that_says_what_was_left_out_misses_just_that_wherever_in_its_numbers_it_was() -> None:
    tracker = SequenceTracker()
    tracker.observe(tick(7))
    assert tracker.observe(tick(11, merged=3, first_seq=9, dropped=1)) == 1
    assert tracker.observe(tick(15, merged=3, first_seq=12, dropped=1)) == 1
    assert tracker.observe(tick(18, dropped=2)) == 2
    assert tracker.observe(tick(25, merged=3, first_seq=22, dropped=1)) == 4


def test_what_was_left_out_is_told_also_before_a_first_tick_and_across_a_feed_started_afresh() -> None:
    tracker = SequenceTracker()
    assert tracker.observe(tick(7, merged=2, first_seq=6, dropped=5)) == 5
    assert tracker.observe(tick(2, merged=3, first_seq=8, dropped=4)) == 4


def test_a_merged_tick_that_begins_before_the_last_one_seen_misses_nothing() -> None:
    tracker = SequenceTracker()
    tracker.observe(tick(7))
    assert tracker.observe(tick(9, merged=4, first_seq=6)) == 0


def test_the_tick_seen_last_is_told_apart_from_a_new_one() -> None:
    tracker = SequenceTracker()
    assert [tracker.observe(tick(7)), tracker.observe(tick(7))] == [0, None]


def test_another_epoch_is_no_gap_whether_announced_before_its_first_tick_or_after() -> None:
    tracker = SequenceTracker()
    tracker.enter_epoch(1)
    tracker.observe(tick(7))
    tracker.enter_epoch(2)
    assert tracker.observe(tick(50)) == 0
    assert tracker.observe(tick(1)) == 0
    tracker.enter_epoch(3)
    assert tracker.observe(tick(2)) == 0


def test_an_average_is_weighted_by_volume_and_has_the_decimals_of_the_newest_price() -> None:
    window = vwap.VwapWindow()
    window.add(Decimal("100.00"), Decimal(1))
    window.add(Decimal("103.00"), Decimal("2.0"))
    assert [str(figure) for figure in window.average()] == ["102.00", "3.0"]


def test_an_average_is_exact_where_floats_are_not() -> None:
    window = vwap.VwapWindow()
    for _ in range(vwap.WINDOW_TICKS):
        window.add(Decimal("98765432109876.12345678"), Decimal("12345678.00000001"))
    assert str(window.average()[0]) == "98765432109876.12345678"


def test_a_window_keeps_the_last_trades_only() -> None:
    window = vwap.VwapWindow()
    window.add(Decimal("1000000.0"), Decimal(1))
    for _ in range(vwap.WINDOW_TICKS):
        window.add(Decimal("1.0"), Decimal(1))
    assert len(window) == vwap.WINDOW_TICKS
    assert window.average() == (Decimal("1.0"), vwap.WINDOW_TICKS)


PAGE_SOURCES = sorted((CLIENTS / "browser").iterdir())

FORBIDDEN = {
    "markup made from text": r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser",
    "code made from text": r"\beval\b|new Function|setTimeout\(\s*[\"'`]|javascript:",
    "an inline handler": r"<[^>]*\son\w+\s*=",
    "an inline style": r"<[^>]*\sstyle\s*=|<style\b",
    "an inline script": r"<script(?![^>]*\ssrc=)[^>]*>",
    "another host": r"(?:src|href)=[\"'](?:https?:)?//|import\s[^;]*[\"']https?:|@import|url\(",
}


@pytest.mark.parametrize("what", list(FORBIDDEN))
def test_the_page_contains_nothing_that_a_strict_content_policy_refuses(what: str) -> None:
    assert PAGE_SOURCES
    found = [
        f"{source.name}: {match[0]}"
        for source in PAGE_SOURCES
        for match in re.finditer(FORBIDDEN[what], source.read_text())
    ]
    assert found == []


def test_the_lock_file_pins_by_content_and_names_no_registry() -> None:
    lock = json.loads((CLIENTS / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert {"node_modules/autobahn", "node_modules/autobahn-browser"} <= set(packages)
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert not any("resolved" in package for package in packages.values())
