"""The authenticator where keys may come while a client waits; its node and its issuer are the test's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from autobahn.wamp import ApplicationError
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import Logger, formatEvent

from components.core.replay import ReplaySettings, TickHistory
from components.environment import NodeEnvironment
from components.router import authenticator as authenticator_module
from components.router import runtime
from components.router.authenticator import (
    create_bearer_authenticator,
    create_client_authenticator,
    create_internal_authenticator,
)
from components.settings import load_settings
from components.tokens import INTERNAL_ROLES, TokenAuthority, TokenCause, TokenRules
from components.tokens.jwks_url import EARLY_WAIT_S, JwksUrl
from tests.tokens.keyring import authority, claims, jwks, public_jwk, signing_key

REALMS = {"realms": {"market": ["viewer", "feed"]}}


class Issuer:
    """Requests for keys that the test answers."""

    def __init__(self) -> None:
        self.requests: list[Deferred[bytes]] = []
        self.clock = Clock()
        self.keys = JwksUrl("https://issuer.example/", 300.0, lambda _reactor: self.fetch, lambda: 0.5)

    def fetch(self) -> Deferred[bytes]:
        self.requests.append(Deferred())
        return self.requests[-1]


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def node(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> Iterator[runtime.Runtime]:
    """Return the runtime of a node whose clients' keys are the issuer's."""
    environment = NodeEnvironment(
        load_settings({}),
        TokenAuthority(issuer.keys, TokenRules("crosstick")),
        authority(rules=TokenRules("crosstick-internal", roles=INTERNAL_ROLES)),
    )
    made = runtime.Runtime(environment, list, TickHistory(ReplaySettings(), lambda: 0.0))
    monkeypatch.setattr(runtime, "_runtime", made)
    issuer.keys.start(issuer.clock)
    yield made
    issuer.keys.stop()


def authenticate(kid: str, number: int = 0) -> Any:
    ticket = signing_key("ES256", kid, number).sign(claims())
    return create_client_authenticator(REALMS, None)("market", "alice", {"ticket": ticket})


def outcome(waiting: Deferred[Any]) -> Any:
    seen: list[Any] = []
    waiting.addBoth(seen.append)
    [result] = seen
    return result


def test_a_ticket_with_a_known_key_is_answered_at_once(node: runtime.Runtime, issuer: Issuer) -> None:
    issuer.requests[0].callback(jwks(public_jwk("ES256", 0, kid="old")))
    assert authenticate("old")["authid"] == "alice"


def test_a_ticket_with_a_key_that_is_just_coming_waits_for_it(node: runtime.Runtime, issuer: Issuer) -> None:
    issuer.requests[0].callback(jwks(public_jwk("ES256", 0, kid="old")))
    waiting = authenticate("current", 1)
    issuer.requests[1].callback(jwks(public_jwk("ES256", 1, kid="current")))
    assert outcome(waiting)["authid"] == "alice"
    assert not node.refused_tickets


@pytest.mark.parametrize("answers", [True, False])
def test_a_ticket_whose_key_does_not_come_is_refused_and_counted_once(
    node: runtime.Runtime, issuer: Issuer, answers: bool
) -> None:
    issuer.requests[0].callback(jwks(public_jwk("ES256", 0, kid="old")))
    waiting = authenticate("unknown", 1)
    if answers:
        issuer.requests[1].callback(jwks(public_jwk("ES256", 0, kid="old")))
    else:
        issuer.clock.advance(EARLY_WAIT_S)
    refusal = outcome(waiting).value
    assert isinstance(refusal, ApplicationError)
    assert (refusal.error, refusal.args) == ("crosstick.error.authentication_failed", ("token not accepted",))
    assert dict(node.refused_tickets) == {TokenCause.UNKNOWN_KEY: 1}


def test_what_no_key_could_mend_does_not_wait(node: runtime.Runtime, issuer: Issuer) -> None:
    issuer.requests[0].callback(jwks(public_jwk("ES256", 0, kid="old")))
    with pytest.raises(ApplicationError, match="token not accepted"):
        authenticate("old", 1)
    assert dict(node.refused_tickets) == {TokenCause.SIGNATURE: 1}
    assert len(issuer.requests) == 1


def test_who_shows_a_token_alone_is_named_by_what_it_says(
    node: runtime.Runtime, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(authenticator_module, "_log", Logger(observer=lambda event: lines.append(formatEvent(event))))
    issuer.requests[0].callback(jwks(public_jwk("ES256", 0, kid="old")))
    bearer = create_bearer_authenticator(REALMS)
    genuine, another = signing_key("ES256", "old"), signing_key("ES256", "old", 1)
    for token in (
        genuine.sign(claims(sub="mallory", exp=1)),
        another.sign(claims(sub="mallory")),
        another.sign(claims(sub="x" * 200)),
        another.sign(claims(sub="two\nlines")),
        another.sign(claims(sub=["mallory"])),
        "no.token.",
        "",
    ):
        with pytest.raises(ApplicationError):
            bearer(token, "market", "192.0.2.7")
    assert lines == [
        "ticket refused: expired, for authid 'mallory', peer 192.0.2.7",
        "ticket refused: signature wrong, for authid 'mallory', peer 192.0.2.7",
        *["ticket refused: signature wrong, for authid None, peer 192.0.2.7"] * 3,
        "ticket refused: malformed, for authid None, peer 192.0.2.7",
        "ticket refused: missing, for authid None, peer 192.0.2.7",
    ]


def test_the_local_socket_takes_the_internal_key_only(node: runtime.Runtime, issuer: Issuer) -> None:
    issuer.requests[0].callback(jwks(public_jwk("ES256", 0, kid="old")))
    internal = create_internal_authenticator(REALMS, None)
    ticket = node.environment.internal_token("feed", "market")
    principal = internal("market", "feed", {"ticket": ticket})
    assert isinstance(principal, dict)
    assert principal["role"] == "feed"
    foreign = signing_key("ES256", "old").sign(claims(sub="feed", role="feed", aud="crosstick-internal"))
    with pytest.raises(ApplicationError):
        internal("market", "feed", {"ticket": foreign})
    with pytest.raises(ApplicationError):
        create_client_authenticator(REALMS, None)("market", "feed", {"ticket": foreign})
