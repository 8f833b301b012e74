"""Who is told when, on a clock that the test turns."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from components.core.closing import CloseReason
from components.router import runtime
from components.router.drain.draining import FLUSH_TIME_S, LAST_WORDS_S, Draining, Stage
from components.router.open_connections import OpenConnections, WaitingBytes


class Connection:
    """Goes when it is told to, unless it does not read."""

    def __init__(self, place: Place, *, reads: bool = True, is_internal: bool = False) -> None:
        self.is_internal = is_internal
        self.reads = reads
        self.told_s: float | None = None
        self.cut_s: float | None = None
        self._place = place
        place.connections.opened(self)

    def part(self, reason: CloseReason) -> None:
        assert reason is CloseReason.DRAINING
        self.told_s = self._place.clock.seconds()
        if self.reads:
            self._place.connections.closed(self)

    def cut(self, reason: CloseReason) -> None:
        assert reason is CloseReason.DRAINING
        self.cut_s = self._place.clock.seconds()

    def waiting(self) -> WaitingBytes:
        return WaitingBytes(0, 0, not self.reads)


class Place:
    """A worker with clients."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.connections = OpenConnections()
        self.stopped_s: float | None = None
        self.draining = Draining(self.clock, self.connections, self._stop)

    async def _stop(self) -> None:
        self.stopped_s = self.clock.seconds()

    def clients(self, number: int) -> list[Connection]:
        return [Connection(self) for _ in range(number)]

    def turn(self, seconds: float) -> None:
        self.clock.pump([0.01] * round(seconds * 100))


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(runtime, "_drains", False)
    made = Place()
    yield made
    assert not made.clock.getDelayedCalls()


def told_s(connections: list[Connection]) -> list[float]:
    return [each.told_s for each in connections if each.told_s is not None]


def test_readiness_turns_at_once_and_for_the_notice_everything_else_stays(place: Place) -> None:
    clients = place.clients(3)
    assert not runtime.drains()
    drained = place.draining.begin(2.0, 3.0)
    assert runtime.drains()
    place.turn(1.9)
    assert (told_s(clients), place.stopped_s, place.draining.stage) == ([], None, Stage.NOTICE)
    place.turn(4.0)
    assert place.stopped_s == pytest.approx(2.0)
    assert told_s(clients) == pytest.approx([2.0, 3.0, 4.0], abs=0.03)
    assert drained.called


def test_who_comes_meanwhile_is_told_within_the_same_time(place: Place) -> None:
    clients = place.clients(2)
    place.draining.begin(1.0, 4.0)
    place.turn(0.5)
    clients += place.clients(1)
    place.turn(2.5)
    late = place.clients(5)
    place.turn(2.5)
    assert len(told_s(clients)) == 3
    assert max(told_s(late)) <= 5.02
    assert place.draining.stage is Stage.DRAINED


def test_over_no_time_all_are_told_at_once(place: Place) -> None:
    clients = place.clients(500)
    drained = place.draining.begin(0.0, 0.0)
    place.turn(0.3)
    assert len(told_s(clients)) == 500
    assert drained.called


def test_a_worker_without_clients_has_drained_after_the_notice(place: Place) -> None:
    drained = place.draining.begin(2.0, 3600.0)
    place.turn(1.9)
    assert not drained.called
    place.turn(0.2)
    assert drained.called


def test_the_nodes_own_connections_are_left_alone_and_not_waited_for(place: Place) -> None:
    own = Connection(place, is_internal=True)
    clients = place.clients(2)
    drained = place.draining.begin(0.0, 2.0)
    place.turn(2.5)
    assert own.told_s is None
    assert told_s(clients) == pytest.approx([0.0, 1.0], abs=0.03)
    assert drained.called


def test_who_does_not_read_what_waits_is_cut_off_a_while_after_the_spread_and_not_waited_for(place: Place) -> None:
    reader, sleeper = Connection(place), Connection(place, reads=False)
    drained = place.draining.begin(0.0, 1.0)
    place.turn(1.0 + FLUSH_TIME_S - 0.1)
    assert (reader.cut_s, sleeper.cut_s, drained.called) == (None, None, False)
    assert sleeper.told_s == pytest.approx(0.5, abs=0.03)
    place.turn(0.2)
    assert sleeper.cut_s == pytest.approx(1.0 + FLUSH_TIME_S, abs=0.1)
    assert not drained.called
    place.turn(LAST_WORDS_S + 0.1)
    assert drained.called


def test_asked_again_it_goes_faster_and_never_slower(place: Place) -> None:
    clients = place.clients(100)
    waiting: list[Deferred[None]] = [place.draining.begin(5.0, 100.0)]
    place.turn(1.0)
    waiting.append(place.draining.begin(60.0, 3600.0))
    waiting.append(place.draining.begin(1.0, 50.0))
    place.turn(1.1)
    assert place.draining.stage is Stage.SPREAD
    place.turn(10.0)
    assert len(told_s(clients)) == pytest.approx(20, abs=3)
    waiting.append(place.draining.begin(5.0, 0.0))
    assert place.draining.left_s == pytest.approx(5.0)
    waiting.append(place.draining.begin(0.0, 0.0))
    place.turn(0.2)
    assert len(told_s(clients)) == 100
    waiting.append(place.draining.begin(0.0, 0.0))
    assert all(each.called for each in waiting)


def test_a_client_that_cannot_be_told_keeps_nobody_else_back(
    place: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    clients = place.clients(3)
    said = []
    monkeypatch.setattr(
        Draining, "life_log", type("Log", (), {"failure": said.append, "info": lambda *_, **__: None})()
    )

    def fail(_reason: CloseReason) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(clients[1], "part", fail)
    place.draining.begin(0.0, 0.0)
    place.turn(1.0)
    assert len(told_s(clients)) == 2
    assert said == ["a client cannot be told that the node leaves"]
    place.connections.closed(clients[1])
    place.turn(0.2)
    assert place.draining.stage is Stage.DRAINED
