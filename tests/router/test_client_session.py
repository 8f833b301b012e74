"""A join that takes its time: nothing else is decided meanwhile, and who has gone is not let in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from autobahn.wamp import message
from autobahn.wamp.exception import ProtocolError
from autobahn.wamp.role import RoleCallerFeatures
from autobahn.wamp.types import Accept, Deny
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from components.router.seam.client_session import DENIED_TIME_S, MAX_ATTEMPT, GatewaySession, is_another_attempt


@pytest.fixture
def session() -> Any:
    """Return a session in the middle of a join, without a connection."""
    session = GatewaySession(SimpleNamespace())
    session._session_id = None
    session._pending_session_id = 7
    session._transport = SimpleNamespace(outlet=None)
    session.clock = Clock()
    return session


def accepted(role: str = "feed") -> Accept:
    return Accept(realm="market", authid="a", authrole=role, authmethod="ticket", authprovider="function", authextra={})


@pytest.mark.parametrize(
    "said",
    [message.Authenticate("another"), message.Hello("market", {"caller": RoleCallerFeatures()})],
    ids=["authenticate", "hello"],
)
def test_nothing_is_authenticated_twice_at_once(session: Any, said: Any) -> None:
    decision: Deferred[Any] = Deferred()
    results: list[Any] = []
    session._when_decided(decision).addCallback(results.append)
    with pytest.raises(ProtocolError):
        session.onMessage(said)
    decision.callback(accepted())
    assert isinstance(results[0], Accept)
    assert not session._deciding


def test_who_gave_the_join_up_meanwhile_is_not_let_in(session: Any) -> None:
    decision: Deferred[Any] = Deferred()
    results: list[Any] = []
    session._when_decided(decision).addCallback(results.append)
    session._pending_session_id = None
    decision.callback(accepted())
    assert isinstance(results[0], Deny)


def test_a_refusal_that_takes_its_time_is_passed_on(session: Any) -> None:
    refusal = Deny("crosstick.error.authentication_failed", "no")
    results: list[Any] = []
    session._when_decided(succeed(refusal)).addCallback(results.append)
    assert results == [refusal]


def test_who_is_told_no_and_stays_is_closed_without_another_reason(session: Any) -> None:
    finished: list[bool] = []
    session._transport.finish = lambda: finished.append(True)
    session._when_decided(Deny("crosstick.error.authentication_failed", "no"))
    session.clock.advance(DENIED_TIME_S)
    assert finished == [True]


@pytest.mark.parametrize("attempt", [1, MAX_ATTEMPT])
def test_an_attempt_above_the_first_is_one_of_a_client_that_comes_back(attempt: int) -> None:
    assert is_another_attempt({"attempt": attempt})


NO_ATTEMPTS = (0, -1, MAX_ATTEMPT + 1, 1.0, "1", True, None, [1])


@pytest.mark.parametrize("said", [None, {}, *({"attempt": attempt} for attempt in NO_ATTEMPTS)])
def test_what_is_no_number_of_an_attempt_is_passed_over(said: dict[str, Any] | None) -> None:
    assert not is_another_attempt(said)
