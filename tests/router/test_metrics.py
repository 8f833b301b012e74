"""``/metrics``: made anew at most twice a second."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.core import GaugeMetricFamily
from twisted.internet.task import Clock
from twisted.web.test.requesthelper import DummyRequest

from components.router import metrics
from components.router.metrics import MAX_AGE_S, Metrics


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock by which the text ages; what is measured differs each time that it is read."""
    clock = Clock()
    clock.advance(1000)
    monkeypatch.setattr(metrics.time, "monotonic", clock.seconds)
    reads = [0]

    def collect(_collector: Any) -> Iterator[GaugeMetricFamily]:
        reads[0] += 1
        yield GaugeMetricFamily("reads", "How often it was read", reads[0])

    monkeypatch.setattr(metrics.WorkerCollector, "collect", collect)
    return clock


def test_who_asks_too_often_is_given_the_same_text_again(clock: Clock) -> None:
    resource = Metrics()
    first = resource.render_GET(DummyRequest([]))
    assert b"\nreads " in first
    clock.advance(MAX_AGE_S / 2)
    request = DummyRequest([])
    assert resource.render_GET(request) == first
    assert request.responseHeaders.getRawHeaders(b"cache-control") == [b"no-store"]
    clock.advance(MAX_AGE_S / 2)
    second = resource.render_GET(DummyRequest([]))
    assert second != first
    assert resource.render_GET(DummyRequest([])) == second
