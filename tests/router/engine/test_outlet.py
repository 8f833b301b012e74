"""A connection's way out: what counts against a blocked session, and when it is given up."""

from __future__ import annotations

from twisted.internet.task import Clock

from components.core.closing import CloseReason
from components.core.outbox import OutboxCounters
from components.core.outbox_settings import OutboxSettings
from components.router.engine.encodings import WEBSOCKET
from components.router.engine.outlet import Outlet

SETTINGS = OutboxSettings(max_bytes=1000, stall_timeout_s=2.0)


class Line:
    """A transport that tells its producer to pause, as Twisted does, from within the write that fills it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.taken: list[bytes] = []
        self.given_up: list[CloseReason] = []
        self.fills = False
        self.outlet = Outlet(
            self.clock,
            SETTINGS,
            OutboxCounters(),
            WEBSOCKET["json", False],
            self.take,
            self.take,
            self.given_up.append,
        )

    def take(self, data: bytes) -> None:
        self.taken.append(data)
        if self.fills:
            self.outlet.pauseProducing()


def test_the_write_that_fills_a_connection_does_not_count_against_it() -> None:
    line = Line()
    line.fills = True
    line.outlet.write(b"x" * 5000)
    assert line.outlet.blocked
    assert line.given_up == []


def test_what_is_written_to_a_blocked_connection_is_bounded() -> None:
    line = Line()
    line.outlet.pauseProducing()
    line.outlet.write(b"x" * 1000)
    assert line.given_up == []
    line.outlet.write(b"x")
    assert line.given_up == [CloseReason.TOO_MANY_BYTES]
    line.outlet.write(b"never")
    assert line.taken[-1] == b"x"


def test_going_on_reading_starts_the_count_anew() -> None:
    line = Line()
    for _ in range(3):
        line.outlet.pauseProducing()
        line.outlet.write(b"x" * 900)
        line.outlet.resumeProducing()
    assert line.given_up == []


def test_a_connection_that_stays_blocked_is_given_up_once() -> None:
    line = Line()
    line.outlet.pauseProducing()
    line.outlet.pauseProducing()
    line.clock.advance(1.9)
    assert line.given_up == []
    line.clock.advance(0.2)
    assert line.given_up == [CloseReason.STALLED]
    line.clock.advance(10)
    assert line.given_up == [CloseReason.STALLED]
    assert not line.clock.getDelayedCalls()


def test_who_is_to_part_goes_at_once_when_nothing_waits() -> None:
    line = Line()
    line.outlet.part(CloseReason.DRAINING)
    assert line.given_up == [CloseReason.DRAINING]


def test_who_is_to_part_goes_when_its_connection_has_taken_what_waits() -> None:
    line = Line()
    line.outlet.pauseProducing()
    line.outlet.part(CloseReason.DRAINING)
    assert line.given_up == []
    line.outlet.resumeProducing()
    assert line.given_up == [CloseReason.DRAINING]
    assert not line.clock.getDelayedCalls()


def test_who_is_to_part_and_does_not_read_is_given_up_as_ever() -> None:
    line = Line()
    line.outlet.pauseProducing()
    line.outlet.part(CloseReason.DRAINING)
    line.clock.advance(2.0)
    assert line.given_up == [CloseReason.STALLED]
    line.outlet.resumeProducing()
    assert line.given_up == [CloseReason.STALLED]


def test_how_long_and_how_often_it_is_blocked_is_known() -> None:
    line = Line()
    line.clock.advance(5.0)
    assert (line.outlet.blocked_s, line.outlet.times_blocked) == (0.0, 0)
    line.outlet.pauseProducing()
    line.clock.advance(1.5)
    assert (line.outlet.blocked_s, line.outlet.times_blocked) == (1.5, 1)
    line.outlet.resumeProducing()
    assert (line.outlet.blocked_s, line.outlet.times_blocked) == (0.0, 1)
