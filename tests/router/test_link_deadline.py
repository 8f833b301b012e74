"""A link to a peer that lets it join and then says nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from autobahn.twisted.websocket import WampWebSocketServerFactory
from autobahn.wamp import message, role
from autobahn.wamp.serializer import JsonSerializer
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint

from components.core.backoff import Backoff
from components.router.links.link import JOIN_TIMEOUT_S, Link
from components.router.runtime import LinkCounters
from tests.harness.client import until
from tests.harness.reactor import ReactorOnClock


class SilentPeer:
    """Welcomes who comes; what it does not answer is noted in ``unanswered``."""

    _authid = _session_id = _realm = None

    def __init__(self, answers_subscribe: bool) -> None:
        self.joins = self.losses = 0
        self.unanswered: list[type[message.Message]] = []
        self._answers_subscribe = answers_subscribe

    def onOpen(self, transport: Any) -> None:
        self._transport = transport

    def onMessage(self, msg: Any) -> None:
        if isinstance(msg, message.Hello):
            self.joins += 1
            roles = {"broker": role.RoleBrokerFeatures(), "dealer": role.RoleDealerFeatures()}
            welcome = message.Welcome(1, roles, realm="market", authid="a", authrole="link", authmethod="ticket")
            self._transport.send(welcome)
        elif isinstance(msg, message.Subscribe) and self._answers_subscribe:
            self._transport.send(message.Subscribed(msg.request, 5))
        else:
            self.unanswered.append(type(msg))

    def onClose(self, _was_clean: bool) -> None:
        self.losses += 1


class Owner:
    """Wants nothing; a link that is not up has nothing to tell it."""

    def token(self) -> str:
        return "token"


@pytest.fixture(params=[message.Subscribe, message.Call])
def peer(request: pytest.FixtureRequest) -> SilentPeer:
    """Return a peer that leaves the first, or the second thing that it is asked, without an answer."""
    return SilentPeer(answers_subscribe=request.param is message.Call)


@pytest_twisted.async_yield_fixture
async def place(peer: SilentPeer) -> AsyncIterator[tuple[Link, ReactorOnClock]]:
    """Return a link to the peer, and its time."""
    factory = WampWebSocketServerFactory(lambda: peer, serializers=[JsonSerializer()])
    listening: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")  # type: ignore[attr-defined]
    clock = ReactorOnClock()
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", listening.getHost().port)
    owner: Any = Owner()
    backoff = Backoff(lambda: 0.5)
    link = Link(clock, "market", "here", "there", endpoint, owner, LinkCounters(), backoff)
    link.start()
    yield link, clock
    link.stop()
    await listening.stopListening()
    await until(reactor, lambda: peer.losses == peer.joins)


@pytest_twisted.ensureDeferred
async def test_it_is_dropped_when_its_time_is_over_and_asked_again_later(
    peer: SilentPeer, place: tuple[Link, ReactorOnClock]
) -> None:
    link, clock = place
    for turn in (1, 2):
        await until(reactor, lambda turn=turn: len(peer.unanswered) == turn)  # type: ignore[misc]
        clock.advance(JOIN_TIMEOUT_S - 0.1)
        assert peer.losses == turn - 1
        clock.advance(0.2)
        await until(reactor, lambda turn=turn: peer.losses == turn)  # type: ignore[misc]
        assert not link.counters.up
        clock.advance(60)
    await until(reactor, lambda: peer.joins == 3)
    assert link._told == {f"it did not answer within {JOIN_TIMEOUT_S:g} s"}
