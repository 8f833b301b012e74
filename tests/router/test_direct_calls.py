"""Calls of the bus go past Crossbar's dealer only once it has authorised them, and are answered as it would."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from autobahn import util
from autobahn.wamp import ApplicationError, message

from components.router.seam.direct_calls import DirectCalls
from tests.harness.inside import InsideRouter, InsideSession, Nobody

PROCEDURE = "crosstick.bus.push"


class Called:
    """A router in which a procedure has a direct way, and a session of a feed."""

    def __init__(self) -> None:
        self.inside = InsideRouter(lambda session, uri, match: [], Nobody())
        self.taken: list[bytes] = []
        self.raises: Exception | None = None
        self.inside.seam.direct_calls.answer_directly(PROCEDURE, self.take)
        self.session: InsideSession = self.inside.session()
        self.cache = self.inside.router._authorization_cache
        self.cache["market", "viewer", PROCEDURE, "call"] = {"allow": True}

    def take(self, data: bytes) -> None:
        self.taken.append(data)
        if self.raises is not None:
            raise self.raises

    def call(self, *arguments: Any, procedure: str = PROCEDURE, **options: Any) -> list[Any]:
        self.inside.router.process(self.session, message.Call(util.id(), procedure, args=list(arguments), **options))
        answer: list[Any] = self.session.received[-1]
        return answer


def test_a_call_that_crossbar_remembers_as_granted_is_answered_at_once() -> None:
    called = Called()
    assert called.call(b"batch")[0] == message.Result.MESSAGE_TYPE
    assert called.taken == [b"batch"]


def test_a_call_that_crossbar_has_not_authorised_goes_its_way() -> None:
    called = Called()
    called.cache.clear()
    # Nothing is registered in this router, and that is what its dealer says.
    assert called.call(b"batch")[4] == "wamp.error.no_such_procedure"
    assert called.taken == []


def test_a_call_that_crossbar_remembers_as_denied_goes_its_way() -> None:
    called = Called()
    called.cache["market", "viewer", PROCEDURE, "call"] = {"allow": False}
    called.call(b"batch")
    assert called.taken == []


@pytest.mark.parametrize("arguments", [(), (b"a", b"b"), ("text",), (1,)])
def test_a_call_with_other_arguments_goes_crossbars_way(arguments: tuple[Any, ...]) -> None:
    called = Called()
    assert called.call(*arguments)[4] == "wamp.error.no_such_procedure"
    assert called.taken == []


def test_a_call_with_options_goes_crossbars_way() -> None:
    called = Called()
    called.call(b"batch", receive_progress=True)
    called.call(b"batch", kwargs={"a": 1})
    assert called.taken == []


def test_an_application_error_is_its_answer() -> None:
    called = Called()
    called.raises = ApplicationError("wamp.error.invalid_argument", "no batch")
    answer = called.call(b"?")
    assert answer[0] == message.Error.MESSAGE_TYPE
    assert answer[4:6] == ["wamp.error.invalid_argument", ["no batch"]]


def test_a_mistake_is_answered_too(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr(
        DirectCalls, "life_log", SimpleNamespace(failure=lambda text, **values: logged.append(values["procedure"]))
    )
    called = Called()
    called.raises = KeyError("lost")
    assert called.call(b"batch")[4] == "wamp.error.runtime_error"
    assert logged == [PROCEDURE]
