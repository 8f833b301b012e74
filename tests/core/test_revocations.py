"""What is revoked, and for how long it is remembered."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.revocations import (
    KEPT_AFTER_EXP_S,
    Revocations,
    RevokedSubject,
    RevokedToken,
    TooManyRevocations,
)


@dataclass(frozen=True)
class Token:
    sub: str
    jti: str | None
    iat: int | None


NAMES = st.sampled_from(["a", "b", "c"])
TIMES = st.integers(0, 20)
TOKENS = st.builds(Token, sub=NAMES, jti=st.none() | NAMES, iat=st.none() | TIMES)
REVOKED = st.one_of(
    st.builds(RevokedToken, NAMES, TIMES, st.none() | TIMES), st.builds(RevokedSubject, NAMES, TIMES, st.none() | TIMES)
)


def covers(revocation: RevokedToken | RevokedSubject, token: Token) -> bool:
    if isinstance(revocation, RevokedToken):
        return token.jti == revocation.name
    return token.sub == revocation.name and (token.iat is None or token.iat <= revocation.revoked_at)


@given(st.lists(REVOKED), TOKENS)
def test_a_token_is_revoked_if_any_revocation_covers_it(
    made: list[RevokedToken | RevokedSubject], token: Token
) -> None:
    revocations = Revocations()
    for one in made:
        if isinstance(one, RevokedToken):
            revocations.revoke_jti(one.name, one.revoked_at, one.exp)
        else:
            revocations.revoke_sub(one.name, one.revoked_at, one.exp)
    assert revocations.is_revoked(token) == any(covers(one, token) for one in made)
    again = Revocations(reversed(revocations.listing()))
    assert again.is_revoked(token) == revocations.is_revoked(token)
    assert len(again) == len(revocations) == len({(type(one), one.name) for one in made})


@given(st.lists(REVOKED), st.integers(0, 2 * KEPT_AFTER_EXP_S))
def test_only_what_has_long_ended_by_itself_is_forgotten(made: list[RevokedToken | RevokedSubject], now_s: int) -> None:
    revocations = Revocations(made)
    before = revocations.listing()
    revocations.sweep(now_s)
    assert revocations.listing() == [one for one in before if one.exp is None or one.exp + KEPT_AFTER_EXP_S >= now_s]


@given(st.lists(REVOKED), st.data())
def test_what_is_lifted_is_as_if_it_had_never_been_revoked(
    made: list[RevokedToken | RevokedSubject], data: st.DataObject
) -> None:
    revocations = Revocations(made)
    if not made:
        assert revocations.lift(RevokedToken, "a") is None
        return
    lifted = data.draw(st.sampled_from(made))
    assert revocations.lift(type(lifted), lifted.name) is not None
    assert revocations.lift(type(lifted), lifted.name) is None
    rest = Revocations(one for one in made if (type(one), one.name) != (type(lifted), lifted.name))
    assert revocations.listing() == rest.listing()


def test_revoked_again_it_stays_revoked_for_the_longer_time() -> None:
    revocations = Revocations()
    revocations.revoke_sub("alice", 100, 500)
    assert revocations.revoke_sub("alice", 90, 400) == RevokedSubject("alice", 100, 500)
    assert revocations.revoke_sub("alice", 110) == RevokedSubject("alice", 110, None)
    assert revocations.revoke_sub("alice", 120, 900) == RevokedSubject("alice", 120, None)


def test_when_full_nothing_is_dropped_and_the_newcomer_is_refused() -> None:
    revocations = Revocations(most=2)
    revocations.revoke_jti("a", 1)
    revocations.revoke_jti("b", 1, 10)
    with pytest.raises(TooManyRevocations, match="2 revocations"):
        revocations.revoke_jti("c", 2)
    assert [one.name for one in revocations.listing()] == ["a", "b"]
    # One that is known takes no room; one that is over makes some.
    revocations.revoke_jti("a", 3)
    revocations.revoke_jti("c", 11 + KEPT_AFTER_EXP_S)
    assert [one.name for one in revocations.listing()] == ["a", "c"]
