"""One worker's sessions, gone through in slices."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from components.core.closing import CloseReason
from components.router.access.lifetimes import Lifetime, Lifetimes
from components.router.open_connections import WaitingBytes
from components.router.operators.questions import SessionsQuestion
from components.router.operators.worker import SLICE, WorkerAnswers, memory_bytes

TURN_S = 0.001


class TurningClock(Clock):
    """A clock by which nothing happens in the same turn, as with a reactor."""

    def callLater(self, delay: float, *call: Any, **arguments: Any) -> Any:
        return super().callLater(max(delay, TURN_S), *call, **arguments)


SERIALIZER = SimpleNamespace(_serializer=SimpleNamespace(NAME="json", _batched=False))


class World:
    """A worker with sessions."""

    def __init__(self, sessions: int) -> None:
        self.clock = TurningClock()
        self.lifetimes = Lifetimes(self.clock, lambda: self.clock.seconds() + 1e9)
        self.closed: list[tuple[int, CloseReason]] = []
        for number in range(1, sessions + 1):
            self.join(number)
        self.answers = WorkerAnswers(self.clock, lambda: self.lifetimes)

    def join(self, number: int) -> None:
        transport = SimpleNamespace(
            kind="wamp",
            client_address=f"10.0.0.{number % 7}",
            listener=None,
            outlet=None,
            _serializer=SERIALIZER,
            waiting=lambda: WaitingBytes(0, 0, False),
        )
        session = SimpleNamespace(
            _transport=transport, _router=None, _realm="market", _authrole="viewer", _authextra={}, gate=None
        )
        lifetime = Lifetime(
            session,
            number,
            f"trader-{number % 10}",
            {"exp": 2 * 10**9 + number},
            5.0,
            lambda reason: self.closed.append((number, reason)),
        )
        self.lifetimes.add(lifetime)

    def ask(self, **question: Any) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.answers.sessions(SessionsQuestion(**question)))

    def turn(self, answer: Deferred[Any]) -> Any:
        """Return the answer, after as many turns as it takes."""
        while not answer.called:
            self.clock.advance(TURN_S)
        return answer.result


def sessions(page: dict[str, Any]) -> list[int]:
    return [row["session"] for row in page["rows"]]


def test_many_sessions_are_gone_through_in_several_turns() -> None:
    world = World(3 * SLICE)
    answer = world.ask(order="exp", limit=2)
    assert not answer.called
    world.clock.advance(TURN_S)
    assert not answer.called
    page = world.turn(answer)
    assert sessions(page) == [3 * SLICE, 3 * SLICE - 1]
    assert (page["total"], page["matching"]) == (3 * SLICE, 3 * SLICE)


def test_who_leaves_meanwhile_is_in_no_answer() -> None:
    world = World(2 * SLICE)
    answer = world.ask(order="exp", limit=3, ascending=True)
    for gone in (1, 2 * SLICE):
        world.lifetimes.remove(gone)
    page = world.turn(answer)
    assert sessions(page) == [2, 3]


def test_pages_go_on_where_the_one_before_ended() -> None:
    world = World(25)
    seen: list[int] = []
    after = None
    while True:
        page = world.turn(world.ask(order="exp", limit=10, after=after))
        seen += sessions(page)
        after = page["next"]
        if after is None:
            break
    assert seen == list(range(25, 0, -1))


def test_sessions_are_found_by_authid_and_by_text() -> None:
    world = World(30)
    assert sorted(sessions(world.turn(world.ask(authid="trader-3")))) == [3, 13, 23]
    assert sessions(world.turn(world.ask(authid="trader"))) == []
    found = world.turn(world.ask(search="TRADER-3"))
    assert sorted(sessions(found)) == [3, 13, 23]
    assert (found["total"], found["matching"]) == (30, 3)
    assert sorted(sessions(world.turn(world.ask(search="10.0.0.6")))) == [6, 13, 20, 27]


def test_one_session_is_closed_and_others_stay() -> None:
    world = World(3)
    assert world.answers.close(2, "olga", None) == {"authid": "trader-2", "address": "10.0.0.2"}
    assert world.closed == [(2, CloseReason.BY_OPERATOR)]
    world.lifetimes.remove(2)
    assert world.answers.close(2, "olga", None) is None


def test_memory_is_told_where_the_system_tells_it() -> None:
    size = memory_bytes()
    assert size is None or size > 1_000_000
