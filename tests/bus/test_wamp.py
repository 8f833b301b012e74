"""The embedded bus: order, bounds, and honesty about loss; against a stand-in for the session."""

from __future__ import annotations

from typing import Any

import pytest
from autobahn.wamp import ApplicationError
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from components.bus.wamp import WampBusLimits, WampBusReader, WampBusWriter
from components.core.batch import Batch, Standing, decode_batch
from components.uris import BUS_PUSH, BUS_STATUS
from tests.bus.brokers import HeardBatches


class FakeSession:
    """Notes calls and lets the test answer them."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, bytes, Deferred[None]]] = []
        self.registered: dict[str, Any] = {}

    def call(self, uri: str, data: bytes) -> Deferred[None]:
        answer: Deferred[None] = Deferred()
        self.calls.append((uri, data, answer))
        return answer

    async def register(self, endpoint: Any, uri: str, options: Any = None) -> None:
        self.registered[uri] = endpoint

    def sent(self) -> list[int]:
        return [decode_batch(data).number for uri, data, _ in self.calls if uri == BUS_PUSH]


class Owner:
    """The feed, and who is told when the bus is lost."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.clock = Clock()
        self.ready = True

    def writer(self, session: FakeSession, **limits: int) -> WampBusWriter:
        writer = WampBusWriter(
            self.clock,
            session,
            on_lost=lambda failure: self.said.append(f"lost: {failure.value}"),
            limits=WampBusLimits(**limits),
        )
        writer.start(self)
        assert self.said.pop() == "lead: None"
        return writer

    def lead(self, since: Standing | None) -> None:
        self.said.append(f"lead: {since}")

    def follow(self, because: str) -> None:
        self.said.append(f"follow: {because}")

    def pause(self) -> None:
        self.said.append("pause")

    def resume(self) -> None:
        self.said.append("resume")


def batch(number: int) -> Batch:
    return Batch(1, number, [("market.BTCUSDT", number, b"{}")])


def test_batches_are_sent_in_order_and_no_more_than_allowed_at_once() -> None:
    session, owner = FakeSession(), Owner()
    writer = owner.writer(session, calls_in_flight=2)
    for number in range(1, 6):
        writer.write(batch(number))
    assert session.sent() == [1, 2]
    session.calls[0][2].callback(None)
    assert session.sent() == [1, 2, 3]
    for call in session.calls[1:]:
        call[2].callback(None)
    session.calls[3][2].callback(None)
    assert session.sent() == [1, 2, 3, 4, 5]


def test_a_full_bus_asks_for_silence_and_keeps_what_still_comes() -> None:
    session, owner = FakeSession(), Owner()
    writer = owner.writer(session, calls_in_flight=1, batches_waiting=4)
    for number in range(1, 8):
        writer.write(batch(number))
    assert owner.said == ["pause"]
    assert writer.batches_waiting == 6
    for _ in range(4):
        session.calls[-1][2].callback(None)
    assert owner.said == ["pause", "resume"]
    for _ in range(3):
        session.calls[-1][2].callback(None)
    assert session.sent() == [1, 2, 3, 4, 5, 6, 7]


def test_a_batch_that_was_not_taken_is_reported_once_and_nothing_follows() -> None:
    session, owner = FakeSession(), Owner()
    writer = owner.writer(session, calls_in_flight=2)
    for number in range(1, 5):
        writer.write(batch(number))
    session.calls[0][2].errback(Failure(ApplicationError("wamp.error.no_such_procedure", "gone")))
    session.calls[1][2].errback(Failure(ApplicationError("wamp.error.no_such_procedure", "gone")))
    writer.write(batch(5))
    assert session.sent() == [1, 2]
    assert len(owner.said) == 1
    assert "gone" in owner.said[0]


def test_of_statuses_only_the_newest_waits() -> None:
    session, owner = FakeSession(), Owner()
    writer = owner.writer(session)
    for status in (b"1", b"2", b"3"):
        writer.write_status(status)
    assert [data for _, data, _ in session.calls] == [b"1"]
    session.calls[0][2].callback(None)
    assert [(uri, data) for uri, data, _ in session.calls] == [(BUS_STATUS, b"1"), (BUS_STATUS, b"3")]


def test_the_end_waits_for_what_was_sent() -> None:
    session, owner = FakeSession(), Owner()
    writer = owner.writer(session, calls_in_flight=1)
    writer.write(batch(1))
    writer.write(batch(2))
    ended = ensureDeferred(writer.stop())
    session.calls[0][2].callback(None)
    assert not ended.called
    session.calls[1][2].callback(None)
    assert ended.called
    assert owner.clock.getDelayedCalls() == []


def test_the_end_does_not_wait_for_a_relay_that_is_gone() -> None:
    session, owner = FakeSession(), Owner()
    writer = owner.writer(session)
    writer.write(batch(1))
    ended = ensureDeferred(writer.stop())
    session.calls[0][2].errback(Failure(ApplicationError("wamp.error.no_such_procedure", "gone")))
    assert ended.called
    assert "gone" in writer.troubles()[0]


def test_the_end_waits_for_a_silent_relay_no_longer_than_its_time() -> None:
    session, owner = FakeSession(), Owner()
    writer = owner.writer(session)
    writer.write(batch(1))
    ended = ensureDeferred(writer.stop())
    owner.clock.advance(WampBusLimits().stop_timeout_s)
    assert ended.called


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\x93\x01", b"\x93\x01\x01\x91\x93\xa1\x87\x01\xc4\x00"])
def test_a_reader_refuses_what_is_no_batch(data: bytes) -> None:
    session = FakeSession()
    started = WampBusReader(session).start(HeardBatches())
    with pytest.raises(StopIteration):
        started.send(None)  # type: ignore[attr-defined]
    with pytest.raises(ApplicationError):
        session.registered[BUS_PUSH](data)
