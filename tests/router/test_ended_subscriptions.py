"""Subscriptions that a session's token does not cover any more: ended by the router, with nothing behind the end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from components.core.payload import EncodedPayload
from tests.harness.inside import InsideRouter, InsideSession, Nobody

BITCOIN = ("market.BTCUSDT", EncodedPayload(b'{"symbol":"BTC"}'))
ETHER = ("market.ETHUSDT", EncodedPayload(b'{"symbol":"ETH"}'))


class Narrowing(InsideRouter):
    """A router whose sessions are granted what ``granted_uris`` says, where it says something."""

    def __init__(self) -> None:
        super().__init__(lambda session, uri, match: [], Nobody())
        self.granted_uris: set[str] | None = None

    def _decide(self, session: Any, action: str, uri: str, options: dict[str, Any]) -> dict[str, Any]:
        return {"allow": self.granted_uris is None or uri in self.granted_uris, "cache": False, "disclose": False}


@pytest.fixture
def inside() -> Narrowing:
    return Narrowing()


def subscriber(inside: Narrowing, *, knows_revocation: bool = True) -> InsideSession:
    session = inside.session()
    features = SimpleNamespace(subscription_revocation=knows_revocation)
    session._session_roles = {"subscriber": features}  # type: ignore[attr-defined]
    return session


def symbols(session: InsideSession) -> list[str]:
    return [event["symbol"] for _, event in session.events]


def test_only_what_is_not_granted_ends_patterns_included(inside: Narrowing) -> None:
    session = subscriber(inside)
    for uri, match in (("market.BTCUSDT", "exact"), ("market.ETHUSDT", "exact"), ("market.", "prefix")):
        session.subscribe(uri, match)
    inside.granted_uris = {"market.ETHUSDT"}
    assert inside.seam.end_ungranted(session, False) == ["market.", "market.BTCUSDT"]
    assert inside.seam.end_ungranted(session, False) == []
    inside.seam.publish_batch([BITCOIN, ETHER])
    inside.clock.advance(1)
    assert symbols(session) == ["ETH"]


def test_what_was_gathered_before_comes_before_the_end_and_nothing_after(inside: Narrowing) -> None:
    session, other = subscriber(inside), subscriber(inside)
    subscription = session.subscribe("market.BTCUSDT")
    other.subscribe("market.BTCUSDT")
    inside.seam.publish_batch([BITCOIN])
    inside.seam.publish_batch([BITCOIN])
    inside.granted_uris = set()
    inside.seam.end_ungranted(session, True)
    inside.seam.publish_batch([BITCOIN])
    inside.clock.advance(1)
    assert [kind for kind, *_ in session.received] == [33, 36, 36, 35]
    assert session.received[-1] == [35, 0, {"subscription": subscription, "reason": "wamp.subscription.revoked"}]
    assert symbols(other) == ["BTC"] * 3


def test_a_blocked_session_gets_nothing_that_was_published_after_the_end(inside: Narrowing) -> None:
    session = subscriber(inside)
    session.subscribe("market.BTCUSDT")
    assert session.outlet is not None
    session.outlet.pauseProducing()
    inside.seam.publish_batch([BITCOIN])
    inside.clock.advance(0.5)
    inside.granted_uris = set()
    inside.seam.end_ungranted(session, False)
    seen = len(session.received)
    inside.seam.publish_batch([BITCOIN])
    inside.clock.advance(0.5)
    session.outlet.resumeProducing()
    inside.clock.advance(0.5)
    assert len(session.received) == seen


@pytest.mark.parametrize(("knows_revocation", "announce"), [(False, True), (True, False)])
def test_a_session_that_does_not_know_of_it_or_did_not_ask_is_not_told(
    inside: Narrowing, knows_revocation: bool, announce: bool
) -> None:
    session = subscriber(inside, knows_revocation=knows_revocation)
    session.subscribe("market.BTCUSDT")
    inside.granted_uris = set()
    assert inside.seam.end_ungranted(session, announce) == ["market.BTCUSDT"]
    assert [kind for kind, *_ in session.received] == [33]


def test_the_end_of_the_last_subscription_is_the_end_of_the_topic(inside: Narrowing) -> None:
    session = subscriber(inside)
    first = session.subscribe("market.BTCUSDT")
    inside.granted_uris = set()
    inside.seam.end_ungranted(session, False)
    inside.granted_uris = None
    assert session.subscribe("market.BTCUSDT") != first
    inside.seam.publish_batch([BITCOIN])
    inside.clock.advance(1)
    assert symbols(session) == ["BTC"]
