"""A JWK Set at an address: when it is asked for, who waits, and what stays in force. The network is the test's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from components.tokens.jwks import JwksError
from components.tokens.jwks_url import EARLY_INTERVAL_S, EARLY_WAIT_S, MAX_WAITING, JwksUrl
from tests.tokens.keyring import jwks, public_jwk

OLD, CURRENT = public_jwk("ES256", 0, kid="old"), public_jwk("ES256", 1, kid="current")
REFRESH_S = 300.0


class Issuer:
    """An issuer whose answers are given by hand."""

    def __init__(self) -> None:
        self.requests: list[Deferred[bytes]] = []

    def fetch(self) -> Deferred[bytes]:
        self.requests.append(Deferred())
        return self.requests[-1]

    def answer(self, text: bytes) -> None:
        self.requests[-1].callback(text)

    def fail(self, error: Exception) -> None:
        self.requests[-1].errback(error)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(issuer: Issuer, clock: Clock) -> Iterator[JwksUrl]:
    source = JwksUrl("https://issuer.example/jwks", REFRESH_S, lambda _reactor: issuer.fetch, lambda: 0.5)
    source.start(clock)
    yield source
    source.stop()
    assert clock.getDelayedCalls() == []


def names(source: JwksUrl) -> list[str | None]:
    found = source.keys()
    return [] if found is None else [key.kid for key in found.keys]


def early(source: JwksUrl) -> Deferred[None]:
    waiting = source.early_refresh()
    assert waiting is not None
    return waiting


def test_until_the_first_answer_there_are_no_keys_and_the_node_is_not_ready(keys: JwksUrl, issuer: Issuer) -> None:
    assert keys.keys() is None
    assert keys.not_ready_because() == ["no token keys from https://issuer.example/jwks yet"]
    issuer.answer(jwks(OLD))
    assert names(keys) == ["old"]
    assert keys.not_ready_because() == []


def test_a_failure_is_given_as_the_reason_and_tried_again_soon(keys: JwksUrl, issuer: Issuer, clock: Clock) -> None:
    issuer.fail(JwksError("nobody there"))
    assert keys.not_ready_because() == ["no token keys from https://issuer.example/jwks yet: nobody there"]
    clock.advance(2.0)
    assert len(issuer.requests) == 2
    issuer.answer(jwks(OLD))
    assert keys.not_ready_because() == []


def test_failures_in_a_row_make_the_requests_rarer_but_not_rarer_than_the_refresh(
    keys: JwksUrl, issuer: Issuer, clock: Clock
) -> None:
    waits = []
    for _ in range(12):
        issuer.fail(JwksError("down"))
        [call] = clock.getDelayedCalls()
        waits.append(call.getTime() - clock.seconds())
        clock.advance(waits[-1])
    assert waits[:4] == [1.5, 2.0, 3.0, 5.0]
    assert max(waits) == 31.0


def test_the_set_is_asked_for_again_after_the_refresh_interval(keys: JwksUrl, issuer: Issuer, clock: Clock) -> None:
    issuer.answer(jwks(OLD))
    clock.advance(REFRESH_S - 1)
    assert len(issuer.requests) == 1
    clock.advance(1)
    issuer.answer(jwks(CURRENT))
    assert names(keys) == ["current"]


@pytest.mark.parametrize("bad", [b"<html>", b"{}", jwks(), jwks({"kty": "oct", "k": "A" * 43})])
def test_an_answer_that_is_not_usable_leaves_the_last_good_set(
    keys: JwksUrl, issuer: Issuer, clock: Clock, bad: bytes
) -> None:
    issuer.answer(jwks(OLD))
    clock.advance(REFRESH_S)
    issuer.answer(bad)
    assert names(keys) == ["old"]
    assert keys.not_ready_because() == []
    status = keys.status()
    assert (status.keys, status.age_s) == (1, REFRESH_S)
    assert status.last_error


def test_a_token_with_an_unknown_key_brings_the_request_forward(keys: JwksUrl, issuer: Issuer, clock: Clock) -> None:
    issuer.answer(jwks(OLD))
    waiting = early(keys)
    assert not waiting.called
    issuer.answer(jwks(OLD, CURRENT))
    assert waiting.called
    assert names(keys) == ["old", "current"]
    clock.advance(REFRESH_S - 1)
    assert len(issuer.requests) == 2


def test_all_who_wait_share_one_request(keys: JwksUrl, issuer: Issuer) -> None:
    issuer.answer(jwks(OLD))
    waiting = [early(keys) for _ in range(5)]
    assert len(issuer.requests) == 2
    issuer.answer(jwks(CURRENT))
    assert all(one.called for one in waiting)


def test_unknown_keys_cannot_make_a_storm_of_requests(keys: JwksUrl, issuer: Issuer, clock: Clock) -> None:
    issuer.answer(jwks(OLD))
    for _ in range(100):
        if keys.early_refresh() is not None:
            issuer.answer(jwks(OLD))
        clock.advance(EARLY_INTERVAL_S / 10)
    assert len(issuer.requests) == 1 + 10


def test_who_waits_waits_two_seconds_at_most(keys: JwksUrl, issuer: Issuer, clock: Clock) -> None:
    issuer.answer(jwks(OLD))
    waiting = early(keys)
    clock.advance(EARLY_WAIT_S)
    assert waiting.called
    assert names(keys) == ["old"]
    issuer.answer(jwks(CURRENT))
    assert names(keys) == ["current"]


def test_before_the_first_answer_a_join_waits_for_it(keys: JwksUrl, issuer: Issuer) -> None:
    waiting = early(keys)
    assert len(issuer.requests) == 1
    issuer.answer(jwks(OLD))
    assert waiting.called


def test_a_failed_request_lets_go_who_waits(keys: JwksUrl, issuer: Issuer) -> None:
    issuer.answer(jwks(OLD))
    waiting = early(keys)
    issuer.fail(JwksError("down"))
    assert waiting.called
    assert names(keys) == ["old"]


def test_the_number_of_those_who_wait_is_bounded(keys: JwksUrl, issuer: Issuer) -> None:
    issuer.answer(jwks(OLD))
    for _ in range(MAX_WAITING):
        early(keys)
    assert keys.early_refresh() is None


def test_a_mistake_in_the_program_is_logged_and_asking_goes_on(keys: JwksUrl, issuer: Issuer, clock: Clock) -> None:
    issuer.fail(RuntimeError("a mistake"))
    assert keys.status().last_error == "internal error: RuntimeError"
    clock.advance(60)
    issuer.answer(jwks(OLD))
    assert names(keys) == ["old"]


def test_after_the_stop_nothing_is_asked_and_nobody_waits(keys: JwksUrl, issuer: Issuer, clock: Clock) -> None:
    waiting = early(keys)
    keys.stop()
    assert waiting.called
    assert keys.early_refresh() is None
    assert clock.getDelayedCalls() == []
