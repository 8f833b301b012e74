"""How a worker asks the others of its node, and what it says of those that are silent."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from autobahn.wamp import ApplicationError
from autobahn.wamp.exception import TransportLost
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from components.router.seam.node_realm import ANSWER_TIME_S, CONTROLLER, MAX_UNANSWERED, Answers, NodeRealm


class Management:
    """The worker's session in the node's realm, whose other workers answer what a test says."""

    _worker_id = "own"
    _node_id = "n1"
    _uri_prefix = "crossbar.worker.own"

    def __init__(self, **workers: Any) -> None:
        self.workers = workers
        self.controller: Any = None
        self.registered: list[str] = []
        self.asked: list[str] = []

    def register(self, _answer: Any, uri: str) -> Deferred[None]:
        self.registered.append(uri)
        return succeed(None)

    def call(self, procedure: str, *_arguments: Any) -> Deferred[Any]:
        if procedure == "crossbar.get_workers":
            return succeed(["own", *self.workers]) if self.controller is None else self.controller
        self.asked.append(procedure)
        return self.workers[procedure.split(".")[2]]()  # type: ignore[no-any-return]


async def realm_of(management: Management, clock: Clock) -> NodeRealm:
    router = SimpleNamespace(_realm=SimpleNamespace(controller=management))
    realm = NodeRealm(SimpleNamespace(_transport=SimpleNamespace(_router=router)), clock)
    await realm.offer("question", lambda what: f"own {what}")
    return realm


def ask(management: Management, clock: Clock) -> Deferred[Answers]:
    async def asking() -> Answers:
        return await (await realm_of(management, clock)).ask_all("question", "x")

    return Deferred.fromCoroutine(asking())


def test_all_workers_answer() -> None:
    management = Management(second=lambda: succeed(2), third=lambda: succeed(3))
    clock = Clock()
    answer = ask(management, clock)
    assert answer.result == Answers({"own": "own x", "second": 2, "third": 3}, [])
    assert management.registered == ["crossbar.worker.own.question"]
    assert management.asked == ["crossbar.worker.second.question", "crossbar.worker.third.question"]
    assert clock.getDelayedCalls() == []


def test_who_is_silent_is_named_after_a_while_and_may_answer_late() -> None:
    late: Deferred[int] = Deferred()
    clock = Clock()
    answer = ask(Management(second=lambda: late, third=lambda: succeed(3)), clock)
    assert not answer.called
    clock.advance(ANSWER_TIME_S)
    assert answer.result == Answers({"own": "own x", "third": 3}, ["second"])
    late.callback(2)


def test_who_starts_or_ends_is_named_at_once() -> None:
    gone = ApplicationError("wamp.error.no_such_procedure")
    answer = ask(Management(second=lambda: fail(gone)), Clock())
    assert answer.result == Answers({"own": "own x"}, ["second"])


def test_a_silent_controller_is_named() -> None:
    management, clock = Management(second=lambda: succeed(2)), Clock()
    management.controller = Deferred()
    answer = ask(management, clock)
    clock.advance(ANSWER_TIME_S)
    assert answer.result == Answers({"own": "own x"}, [CONTROLLER])


def test_a_worker_that_stands_still_is_asked_no_more_than_so_often() -> None:
    silent: list[Deferred[int]] = []

    def never() -> Deferred[int]:
        silent.append(Deferred())
        return silent[-1]

    management, clock = Management(second=never), Clock()

    async def asking() -> list[Answers]:
        realm = await realm_of(management, clock)
        return [await realm.ask_all("question", "x") for _ in range(MAX_UNANSWERED + 3)]

    answers = Deferred.fromCoroutine(asking())
    while not answers.called:
        clock.advance(ANSWER_TIME_S)
    assert len(silent) == MAX_UNANSWERED
    assert all(answer.unanswered == ["second"] for answer in answers.result)
    # When it goes on, what it answers is for nobody.
    for each in silent:
        each.callback(1)


def test_a_question_that_cannot_be_asked_is_none_that_is_waited_for() -> None:
    def broken() -> Deferred[int]:
        raise TransportLost

    management, clock = Management(second=broken), Clock()

    async def asking() -> list[Answers]:
        realm = await realm_of(management, clock)
        return [await realm.ask_all("question", "x") for _ in range(MAX_UNANSWERED + 1)]

    answers = Deferred.fromCoroutine(asking())
    assert [answer.unanswered for answer in answers.result] == [["second"]] * (MAX_UNANSWERED + 1)
    assert len(management.asked) == MAX_UNANSWERED + 1
    assert clock.getDelayedCalls() == []


def test_what_the_worker_itself_refuses_is_refused() -> None:
    def refuse(_what: str) -> None:
        raise ApplicationError("a.b.c")

    async def asking() -> Any:
        realm = await realm_of(Management(), Clock())
        await realm.offer("question", refuse)
        return await realm.ask_all("question", "x")

    failure = Deferred.fromCoroutine(asking())
    with pytest.raises(ApplicationError):
        failure.result.raiseException()  # type: ignore[attr-defined]
    failure.addErrback(lambda _: None)
