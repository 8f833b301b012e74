"""Answers that a link's session gets to calls for its clients."""

from __future__ import annotations

from typing import Any

import pytest
from autobahn.wamp import message
from autobahn.wamp.exception import ProtocolError
from twisted.internet.defer import Deferred, ensureDeferred

from components.router.links.session import PeerSession


class Sent:
    """A transport that keeps what it is told to send."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def send(self, sent: Any) -> None:
        self.messages.append(sent)


@pytest.fixture
def session() -> PeerSession:
    session = PeerSession("market", "a", lambda: "", lambda _: None, lambda *_: None)
    session._transport, session._session_id = Sent(), 1
    return session


def asked(session: PeerSession) -> tuple[int, Deferred[Any]]:
    """Call a procedure; return the request's number and what the caller waits for."""
    caller = {"session": 7, "authid": "ann", "authrole": "viewer"}
    answer = ensureDeferred(session.call_for(caller, "services.quotes.vwap", [], {}, None))
    return session._transport.messages[-1].request, answer


def test_the_second_answer_to_a_call_that_was_cancelled_does_not_end_the_link(session: PeerSession) -> None:
    request, answer = asked(session)
    answer.addErrback(lambda _: None)
    answer.cancel()
    assert isinstance(session._transport.messages[-1], message.Cancel)
    for _ in range(2):
        session.onMessage(message.Error(message.Call.MESSAGE_TYPE, request, "wamp.error.canceled"))
    session.onMessage(message.Result(request, args=[1]))
    assert session.waiting == 0


def test_an_answer_reaches_who_waits_for_it(session: PeerSession) -> None:
    request, answer = asked(session)
    got: list[Any] = []
    answer.addCallback(got.append)
    session.onMessage(message.Result(request, args=["62520.15"]))
    assert got == ["62520.15"]


def test_what_answers_nothing_that_was_asked_is_still_a_violation(session: PeerSession) -> None:
    with pytest.raises(ProtocolError):
        session.onMessage(message.Error(message.Subscribe.MESSAGE_TYPE, 99, "wamp.error.canceled"))
