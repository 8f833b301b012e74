"""What needs neither a node nor a browser: the pure modules of the clients, and rules for the page's sources."""

from __future__ import annotations

import json
import re
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

from tests.clients.command import CLIENTS, NODE
from tests.clients.modules import load

vwap = load("service/vwap.py")


@pytest.mark.skipif(NODE is None, reason="no node.js on this machine")
def test_the_modules_of_the_page_pass_their_own_tests() -> None:
    assert NODE is not None
    files = [str(file) for file in sorted(Path(__file__).parent.glob("*.test.mjs"))]
    outcome = subprocess.run([NODE, "--test", *files], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout


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


PAGE_SOURCES = sorted(source for source in (CLIENTS / "browser").rglob("*") if source.is_file())

FORBIDDEN = {
    "markup made from text": r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser",
    "code made from text": r"\beval\b|new Function|setTimeout\(\s*[\"'`]|javascript:",
    "an inline handler": r"<[^>]*\son\w+\s*=",
    "an inline style": r"<[^>]*\sstyle\s*=|<style\b",
    "an inline script": r"<script(?![^>]*\ssrc=)[^>]*>",
    "another host": r"(?:src|<(?!a\b)[^>]*href)=[\"'](?:https?:)?//|import\s[^;]*[\"']https?:|@import|url\(",
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
