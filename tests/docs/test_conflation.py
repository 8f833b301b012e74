"""The example by which docs/explanation/conflation.md explains merging is what the outbox does."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from itertools import pairwise

from components.core.outbox import ConflatingOutbox
from components.core.outbox_settings import OutboxSettings
from tests.harness.documents import PAGES

TOPIC = "market.BTCUSDT"
PAGE = PAGES["docs/explanation/conflation.md"]
PUBLISHED, CONFLATED, DROPPED = (
    block.encode().splitlines() for block in re.findall(r"^```jsonl\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
)


def read_by_the_client(settings: OutboxSettings) -> list[bytes]:
    """Return what is read by the client of the page, who does not read while the third to the sixth trade come."""
    outbox = ConflatingOutbox(settings)
    for payload in PUBLISHED[2:6]:
        assert outbox.add(1, TOPIC, payload) is None
    return [*PUBLISHED[:2], *(delivery.payload for delivery in outbox.drain()), PUBLISHED[6]]


def test_the_merged_tick_is_that_of_the_page() -> None:
    assert read_by_the_client(OutboxSettings()) == CONFLATED


def test_the_dropped_trades_are_said_as_on_the_page() -> None:
    assert "{policy: drop_oldest, depth: 2}" in PAGE
    settings = OutboxSettings.from_mapping({"policies": {"market.": {"policy": "drop_oldest", "depth": 2}}})
    assert read_by_the_client(settings) == DROPPED


def test_its_arithmetic_is_right() -> None:
    for lines in (PUBLISHED, CONFLATED, DROPPED):
        ticks = [json.loads(line, parse_float=Decimal) for line in lines]
        for before, tick in pairwise(ticks):
            assert tick["seq"] - before["seq"] == tick.get("merged", 1) + tick.get("dropped", 0)
    volumes = [
        sum(json.loads(line, parse_float=Decimal)["volume"] for line in lines) for lines in (PUBLISHED, CONFLATED)
    ]
    assert volumes[0] == volumes[1] == Decimal("1.735")
