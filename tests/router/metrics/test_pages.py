"""``/metrics``: made at most twice a second, once for all who ask, and answered whatever happens."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.web.server import NOT_DONE_YET
from twisted.web.test.requesthelper import DummyRequest

from components.core.histogram import Histogram
from components.router import runtime
from components.router.metrics import pages
from components.router.metrics.families import Merge, gauge, gauge_histogram
from components.router.metrics.pages import MAX_AGE_S, METRICS_PATH, Metrics, NodeText
from components.router.siblings.asking import Answered, Siblings


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock by which the text ages."""
    clock = Clock()
    clock.advance(1000)
    monkeypatch.setattr(pages.time, "monotonic", clock.seconds)
    return clock


class Slow(Metrics):
    """Is made when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.makings: list[Deferred[bytes]] = []

    async def make(self) -> bytes:
        making: Deferred[bytes] = Deferred()
        self.makings.append(making)
        return await making


def ask(page: Metrics) -> Any:
    request: Any = DummyRequest([])
    answer = page.render_GET(request)
    if answer is not NOT_DONE_YET:
        request.write(answer)
        request.finish()
    return request


def test_who_asks_too_often_is_given_the_same_text_again(clock: Clock) -> None:
    page = Slow()
    first = ask(page)
    page.makings[0].callback(b"one")
    clock.advance(MAX_AGE_S / 2)
    second = ask(page)
    assert (first.written, second.written) == ([b"one"], [b"one"])
    for request in (first, second):
        assert request.responseHeaders.getRawHeaders(b"cache-control") == [b"no-store"]
        assert request.responseHeaders.getRawHeaders(b"content-type")[0].startswith(b"text/plain; version=")
    clock.advance(MAX_AGE_S / 2)
    third = ask(page)
    page.makings[1].callback(b"two")
    assert third.written == [b"two"]


def test_all_who_ask_meanwhile_are_given_the_same_and_who_has_gone_nothing(clock: Clock) -> None:
    page = Slow()
    requests = [ask(page) for _ in range(3)]
    requests[1].processingFailed("it has gone")
    page.makings[0].callback(b"one")
    assert len(page.makings) == 1
    assert [request.written for request in requests] == [[b"one"], [], [b"one"]]
    assert [request.finished for request in requests] == [1, 0, 1]


def test_metrics_that_cannot_be_made_are_answered_and_logged_and_tried_again(clock: Clock) -> None:
    page = Slow()
    logged: list[Any] = []
    globalLogPublisher.addObserver(logged.append)
    try:
        request = ask(page)
        page.makings[0].errback(RuntimeError("nonsense"))
    finally:
        globalLogPublisher.removeObserver(logged.append)
    assert (request.responseCode, request.written) == (500, [b"Internal server error\n"])
    assert [event["log_format"] for event in logged if "log_failure" in event] == ["the metrics cannot be made"]
    again = ask(page)
    page.makings[1].callback(b"one")
    assert again.written == [b"one"]


class FakeSiblings(Siblings):
    """Say what they are told to."""

    def __init__(self, *answers: Answered) -> None:
        super().__init__()
        self._answers = answers

    @property
    def workers(self) -> int:
        return len(self._answers) + 1

    async def gather(self, path: str, own: tuple[int, bytes], headers: Any = None) -> list[Answered]:
        assert path == METRICS_PATH
        return [Answered(1, *own), *self._answers]


@pytest_twisted.ensureDeferred
async def test_a_node_says_how_many_of_its_workers_are_in_its_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    own = b"# TYPE t_events_total counter\nt_events_total 2\n"
    siblings = FakeSiblings(
        Answered(2, 200, own),
        Answered(3, 0, None),
        Answered(4, 500, b"Internal server error"),
        Answered(5, 200, b"a b c d"),
    )
    monkeypatch.setattr(runtime, "_siblings", siblings)
    text = (await NodeText().make(own)).decode()
    values = {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}
    assert values == {"t_events_total": 4, "crosstick_workers": 5, "crosstick_workers_answering": 2}


@pytest_twisted.ensureDeferred
async def test_what_a_worker_had_counted_stays_in_the_sums_while_it_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def said(events: int, connected: int) -> bytes:
        return (
            f"# TYPE t_events_total counter\nt_events_total {events}\n"
            f"# TYPE crosstick_bus_connected gauge\ncrosstick_bus_connected {connected}\n"
        ).encode()

    # As the worker's own collector makes it, with its rule.
    gauge("crosstick_bus_connected", "1 while batches can come", 1, Merge.MIN)
    node = NodeText()
    seen = []
    for answer in (Answered(2, 200, said(10, 0)), Answered(2, 0, None), Answered(2, 200, said(11, 1))):
        monkeypatch.setattr(runtime, "_siblings", FakeSiblings(answer))
        text = (await node.make(said(5, 1))).decode()
        values = {
            sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples
        }
        seen.append(
            (values["t_events_total"], values["crosstick_bus_connected"], values["crosstick_workers_answering"])
        )
    assert seen == [(15, 0, 2), (15, 1, 1), (16, 1, 2)]


@pytest_twisted.ensureDeferred
async def test_what_waits_for_the_clients_of_a_worker_that_does_not_answer_nobody_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting = Histogram([0, 1024])
    waiting.observe(2000)
    registry = CollectorRegistry(auto_describe=False)
    collector: Any = type("Waiting", (), {"collect": lambda _: [gauge_histogram("t_waiting_bytes", "Waits", waiting)]})
    registry.register(collector())
    said = generate_latest(registry)
    node = NodeText()
    seen = []
    for answer in (Answered(2, 200, said), Answered(2, 0, None)):
        monkeypatch.setattr(runtime, "_siblings", FakeSiblings(answer))
        samples = [
            sample
            for family in text_string_to_metric_families((await node.make(said)).decode())
            for sample in family.samples
        ]
        buckets = [sample.value for sample in samples if sample.labels.get("le") == "+Inf"]
        seen.append((buckets, [sample.value for sample in samples if sample.name == "t_waiting_bytes_gcount"]))
    assert seen == [([2], [2]), ([1], [1])]


@pytest_twisted.ensureDeferred
async def test_ticks_do_not_wait_until_the_texts_of_all_workers_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def parse(text: str) -> list[Metric]:
        order.append("read")
        reactor.callLater(0, order.append, "ticks")  # type: ignore[attr-defined]
        return []

    monkeypatch.setattr(pages, "parse", parse)
    monkeypatch.setattr(runtime, "_siblings", FakeSiblings(Answered(2, 200, b""), Answered(3, 200, b"")))
    await NodeText().make(b"")
    assert order[:5] == ["read", "ticks", "read", "ticks", "read"]
