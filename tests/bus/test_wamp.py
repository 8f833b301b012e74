"""The embedded bus: order, bounds, and honesty about loss; against a stand-in for the session."""

from __future__ import annotations

from typing import Any

import pytest
from autobahn.wamp import ApplicationError
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from components.bus.wamp import WampBusLimits, WampBusReader, WampBusWriter
from components.core.batch import Batch, decode_batch
from components.uris import BUS_PUSH, BUS_STATUS


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
    def __init__(self) -> None:
        self.said: list[str] = []

    def writer(self, session: FakeSession, **limits: int) -> WampBusWriter:
        return WampBusWriter(
            session,
            on_full=lambda: self.said.append("full"),
            on_drained=lambda: self.said.append("drained"),
            on_lost=lambda failure: self.said.append(f"lost: {failure.value}"),
            limits=WampBusLimits(**limits),
        )


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
    assert owner.said == ["full"]
    assert writer.batches_waiting == 6
    for _ in range(4):
        session.calls[-1][2].callback(None)
    assert owner.said == ["full", "drained"]
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


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\x93\x01", b"\x93\x01\x01\x91\x93\xa1\x87\x01\xc4\x00"])
def test_a_reader_refuses_what_is_no_batch(data: bytes) -> None:
    session = FakeSession()
    started = WampBusReader(session).start(lambda _: None, lambda _: None)
    with pytest.raises(StopIteration):
        started.send(None)  # type: ignore[attr-defined]
    with pytest.raises(ApplicationError):
        session.registered[BUS_PUSH](data)
