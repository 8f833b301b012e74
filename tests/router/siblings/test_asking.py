"""One worker asks all of its node: real HTTP on the loopback, and time that passes when the test says so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from components.free_ports import free_port
from components.router.siblings.asking import ANSWER_TIME_S, Siblings
from tests.harness.client import until
from tests.harness.reactor import ReactorOnClock

Listen = Callable[["Said"], int]


class Said(Resource):
    """Answers with what it is given; with ``None`` never."""

    isLeaf = True

    def __init__(self, body: bytes | None, status: int = 200) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._body = body
        self._status = status
        self.asked: list[tuple[bytes, bytes, str | None]] = []
        self.ended: Deferred[None] = Deferred()

    def render(self, request: Request) -> Any:
        self.asked.append((request.method, request.uri, request.getHeader("x-question")))
        request.setResponseCode(self._status)
        if self._body is not None:
            return self._body
        request.write(b"the begin of an answer")
        request.notifyFinish().addErrback(lambda _: self.ended.callback(None))
        return NOT_DONE_YET


@pytest_twisted.async_yield_fixture
async def listen() -> AsyncIterator[Listen]:
    """Return a function that lets a resource answer on a free port; the port is closed in the end."""
    ports: list[Any] = []

    def listen(said: Said) -> int:
        port = reactor.listenTCP(0, Site(said), interface="127.0.0.1")  # type: ignore[attr-defined,no-untyped-call]
        ports.append(port)
        number: int = port.getHost().port
        return number

    yield listen
    for port in ports:
        await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_a_worker_that_is_alone_answers_by_itself() -> None:
    assert await Siblings().gather("/metrics", (200, b"mine")) == [(1, 200, b"mine")]
    assert Siblings().workers == 1


@pytest_twisted.ensureDeferred
async def test_all_answer_in_their_order_and_nobody_asks_himself(listen: Listen) -> None:
    first, own, third = Said(b"one"), Said(b"over HTTP"), Said(b"not ready", 503)
    siblings = Siblings(reactor, 2, [listen(first), listen(own), listen(third)])
    answers = await siblings.gather("/readyz?full=1", (200, b"mine"), {"X-Question": "why"})
    assert answers == [(1, 200, b"one"), (2, 200, b"mine"), (3, 503, b"not ready")]
    assert first.asked == third.asked == [(b"GET", b"/readyz?full=1", "why")]
    assert own.asked == []


@pytest_twisted.ensureDeferred
async def test_who_is_not_there_has_no_answer(listen: Listen) -> None:
    siblings = Siblings(reactor, 1, [1, free_port(), listen(Said(b"three"))])
    assert await siblings.gather("/", (200, b"mine")) == [(1, 200, b"mine"), (2, 0, None), (3, 200, b"three")]


@pytest_twisted.ensureDeferred
async def test_who_takes_longer_than_a_second_has_no_answer_and_is_left(listen: Listen) -> None:
    clock = ReactorOnClock()
    stuck = Said(None)
    siblings = Siblings(clock, 1, [1, listen(stuck), listen(Said(b"three"))])
    asked = ensureDeferred(siblings.gather("/", (200, b"mine")))
    await until(reactor, lambda: bool(stuck.asked))
    assert not asked.called
    clock.advance(ANSWER_TIME_S)
    answers = await asked
    assert answers[1] == (2, 0, None)
    await stuck.ended


@pytest_twisted.ensureDeferred
async def test_an_answer_that_is_too_long_is_none(listen: Listen) -> None:
    ports = [1, listen(Said(b"x" * 1_000)), listen(Said(b"x" * 1_001))]
    siblings = Siblings(reactor, 1, ports, max_answer_bytes=1_000)
    assert await siblings.gather("/", (200, b"")) == [(1, 200, b""), (2, 200, b"x" * 1_000), (3, 0, None)]
