"""The pages of a feed in a process of its own, over HTTP."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator
from http.client import HTTPConnection
from typing import Any

import pytest
import pytest_twisted
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.logger import LogEvent, globalLogPublisher

from components.bus import WriterFigures
from components.feed.feed import Feed
from components.feed.web import make_site
from components.settings import FeedSettings
from tests.feed.memory_bus import MemoryBus, MemoryWriter
from tests.harness.reactor import ReactorOnClock


class Place:
    """A feed that has not been started, its writer, and the port of its pages."""

    def __init__(self) -> None:
        self.writer: MemoryWriter = MemoryBus().writer()
        settings = FeedSettings("ws://127.0.0.1:1", ("BTCUSDT",), "trade", 60.0, "one")
        feed = Feed(ReactorOnClock(), settings, self.writer, lambda: 0, pytest.fail)
        site = make_site(feed, CollectorRegistry())
        self.listening: Any = reactor.listenTCP(0, site, interface="127.0.0.1")  # type: ignore[attr-defined]

    async def get(self, path: str) -> tuple[int, str]:
        """Return status and body."""

        def get() -> tuple[int, str]:
            connection = HTTPConnection("127.0.0.1", self.listening.getHost().port, timeout=5)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            finally:
                connection.close()

        found: tuple[int, str] = await deferToThread(get)
        return found


@pytest_twisted.async_yield_fixture
async def place() -> AsyncIterator[Place]:
    made = Place()
    yield made
    await made.listening.stopListening()


@pytest_twisted.ensureDeferred
async def test_a_page_is_at_its_own_path_only(place: Place) -> None:
    for page, status in (("/healthz", 200), ("/readyz", 503), ("/metrics", 200)):
        assert (await place.get(page))[0] == status
        for path in (f"{page}/", f"{page}/x", f"{page}/.."):
            assert (await place.get(path))[0] == 404, path


@pytest_twisted.ensureDeferred
async def test_what_the_writer_counts_is_in_the_metrics(place: Place) -> None:
    names = [field.name for field in dataclasses.fields(WriterFigures)]
    place.writer.figures = WriterFigures(*range(1, len(names) + 1))
    families = text_string_to_metric_families((await place.get("/metrics"))[1])
    values = {sample.name: sample.value for family in families for sample in family.samples}
    for number, name in enumerate(names, 1):
        assert values[f"crosstick_feed_bus_{name}_total"] == number


@pytest_twisted.ensureDeferred
async def test_requests_are_not_logged(place: Place) -> None:
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    try:
        assert (await place.get("/healthz?asked"))[0] == 200
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert not [event for event in events if "healthz" in str(event)]


@pytest_twisted.ensureDeferred
async def test_what_the_bus_warns_of_is_degraded(place: Place) -> None:
    assert json.loads((await place.get("/readyz"))[1])["degraded"] == []
    place.writer.warned_of = ["may lose something"]
    said = json.loads((await place.get("/readyz"))[1])
    assert said["degraded"] == ["may lose something"]
    assert "may lose something" not in said["because"]
