"""Tokens: what is accepted, what is not, and that nothing but a refusal comes of the rest."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from itertools import permutations
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.tokens import (
    ALGORITHMS,
    INTERNAL_ROLES,
    StaticKeys,
    TokenAuthority,
    TokenCause,
    TokenError,
    TokenKeyError,
    TokenRules,
)
from components.tokens.authority import MAX_TOKEN_CHARS
from components.tokens.keys import KeySet
from tests.tokens.keyring import RULES, SECRET, authority, claims, private_key, public_pem, signed, signing_key

AUTHORITY = authority()
NOW_S = int(time.time())
KEYPAIRS = ("RS256", "ES256", "EdDSA")


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def by_hand(header: bytes | dict[str, Any], payload: bytes | dict[str, Any], secret: bytes = SECRET) -> str:
    """Return a token whose HS256 signature is good whatever is in it."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    signed_part = ".".join(map(encoded, parts))
    return f"{signed_part}.{encoded(hmac.digest(secret, signed_part.encode(), hashlib.sha256))}"


HS256 = {"alg": "HS256", "typ": "JWT"}


def payload_with(text: str) -> bytes:
    """Return good claims as JSON, with ``text`` as further members."""
    return (json.dumps(claims())[:-1] + "," + text + "}").encode()


def cause_of(token: object, verifier: TokenAuthority = AUTHORITY) -> TokenCause:
    with pytest.raises(TokenError) as raised:
        verifier.verify(token)
    return raised.value.cause


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_minted_token_says_what_was_asked_for(algorithm: str) -> None:
    minter = authority(algorithm)
    token = minter.mint(
        sub="alice",
        role="viewer",
        realm="market",
        now_s=NOW_S,
        ttl_s=86_400,
        symbols=("BTC*",),
        services=("quotes",),
        tier="gold",
        jti="number-1",
    )
    assert jwt.get_unverified_header(token)["alg"] == algorithm
    accepted = minter.verify(token)
    assert (accepted.sub, accepted.role, accepted.realm, accepted.exp) == ("alice", "viewer", "market", NOW_S + 86_400)
    assert (accepted.symbols, accepted.services) == (("BTC*",), ("quotes",))
    assert (accepted.tier, accepted.jti, accepted.iat) == ("gold", "number-1", NOW_S)


def test_every_minted_token_has_a_name_of_its_own() -> None:
    tokens = [
        AUTHORITY.mint(sub="a", role="viewer", realm="market", now_s=NOW_S, ttl_s=86_400, symbols=()) for _ in range(2)
    ]
    first, second = (AUTHORITY.verify(token).jti for token in tokens)
    assert first
    assert second
    assert first != second


def test_a_token_without_entitlements_grants_all_symbols_and_no_service() -> None:
    accepted = AUTHORITY.verify(signed())
    assert (accepted.symbols, accepted.services) == (None, ())
    assert (accepted.tier, accepted.jti, accepted.iat) == (None, None, None)


def test_a_token_with_an_empty_list_of_symbols_grants_none() -> None:
    assert AUTHORITY.verify(signed(symbols=[])).symbols == ()


@pytest.mark.parametrize(
    ("token", "cause"),
    [
        (None, TokenCause.MISSING),
        ("", TokenCause.MISSING),
        (b"bytes", TokenCause.MISSING),
        ("x" * (MAX_TOKEN_CHARS + 1), TokenCause.TOO_LONG),
        ("not a token", TokenCause.MALFORMED),
        ("a.b.c", TokenCause.MALFORMED),
        (signed() + "=", TokenCause.MALFORMED),
        (signed() + ".e30", TokenCause.MALFORMED),
        (signed() + "\n", TokenCause.MALFORMED),
        (signed().replace(".", ".é", 1), TokenCause.MALFORMED),
        (by_hand(b"[]", claims()), TokenCause.MALFORMED),
        (by_hand(HS256, b"[]"), TokenCause.MALFORMED),
        (by_hand(HS256, b"\xff"), TokenCause.MALFORMED),
        (by_hand(HS256, payload_with('"x":NaN')), TokenCause.MALFORMED),
        (by_hand(HS256, payload_with('"x":' + "9" * 5000)), TokenCause.MALFORMED),
        (by_hand(HS256, b"[" * 5000), TokenCause.MALFORMED),
        (by_hand(b"[" * 5000, claims()), TokenCause.MALFORMED),
        (by_hand(HS256, payload_with('"role":"operator"')), TokenCause.DUPLICATE_MEMBER),
        (by_hand(b'{"alg":"none","alg":"HS256"}', claims()), TokenCause.DUPLICATE_MEMBER),
        (signed(key=b"o" * 48), TokenCause.SIGNATURE),
        (signed("HS512"), TokenCause.ALGORITHM),
        (by_hand({"alg": "none", "typ": "JWT"}, claims()), TokenCause.ALGORITHM),
        (by_hand({"alg": "None"}, claims()), TokenCause.ALGORITHM),
        (by_hand({"typ": "JWT"}, claims()), TokenCause.ALGORITHM),
        (by_hand({"alg": ["HS256"]}, claims()), TokenCause.ALGORITHM),
        (by_hand({**HS256, "kid": 1}, claims()), TokenCause.HEADER),
        (by_hand({**HS256, "jwk": {"kty": "oct", "k": "AAAA"}}, claims()), TokenCause.HEADER),
        (by_hand({**HS256, "jku": "https://evil.example/jwks"}, claims()), TokenCause.HEADER),
        (by_hand({**HS256, "x5u": "https://evil.example/cert"}, claims()), TokenCause.HEADER),
        (by_hand({**HS256, "x5c": ["AAAA"]}, claims()), TokenCause.HEADER),
        (by_hand({**HS256, "crit": ["b64"], "b64": False}, claims()), TokenCause.HEADER),
    ],
)
def test_a_token_that_is_not_in_order_is_refused(token: object, cause: TokenCause) -> None:
    assert cause_of(token) is cause


def test_an_unsigned_token_is_refused() -> None:
    token = jwt.encode(claims(), None, algorithm="none")
    assert cause_of(token) is TokenCause.MALFORMED
    assert cause_of(token + "AAAA") is TokenCause.ALGORITHM


@pytest.mark.parametrize("algorithm", KEYPAIRS)
def test_a_public_key_is_no_secret(algorithm: str) -> None:
    """The classic confusion: the public key, known to all, used as the HMAC's."""
    token = by_hand(HS256, claims(), secret=public_pem(private_key(algorithm)))
    assert cause_of(token, authority(algorithm)) is TokenCause.ALGORITHM


@pytest.mark.parametrize(("algorithm", "said"), list(permutations(ALGORITHMS, 2)))
def test_a_key_verifies_its_own_algorithm_only(algorithm: str, said: str) -> None:
    token = signed(algorithm, signing_key(algorithm).key)
    header = {"alg": said, "typ": "JWT"}
    lying = ".".join([encoded(json.dumps(header).encode()), *token.split(".")[1:]])
    assert cause_of(lying, authority(algorithm)) is TokenCause.ALGORITHM
    assert cause_of(token, authority(said)) is TokenCause.ALGORITHM


def test_an_rsa_key_takes_no_other_rsa_algorithm() -> None:
    for algorithm in ("PS256", "RS512"):
        assert cause_of(signed(algorithm, private_key("RS256")), authority("RS256")) is TokenCause.ALGORITHM


def test_a_token_names_its_key() -> None:
    keys = [signing_key("ES256", "old", 0), signing_key("ES256", "current", 1)]
    source = StaticKeys("test", KeySet(tuple(key.verification_key() for key in keys)))
    verifier = TokenAuthority(source, RULES)
    for key in keys:
        assert verifier.verify(key.sign(claims())).sub == "alice"
    other = signing_key("ES256", "other", 1)
    assert cause_of(other.sign(claims()), verifier) is TokenCause.UNKNOWN_KEY
    swapped = signing_key("ES256", "old", 1)
    assert cause_of(swapped.sign(claims()), verifier) is TokenCause.SIGNATURE
    nameless = signing_key("ES256", None, 1)
    assert verifier.verify(nameless.sign(claims())).sub == "alice"


def test_a_key_without_a_name_takes_tokens_of_any() -> None:
    assert authority("ES256").verify(signing_key("ES256", "whatever").sign(claims())).sub == "alice"


@pytest.mark.parametrize("name", ["sub", "role", "realm", "aud", "exp"])
def test_what_a_token_must_say_it_must_say(name: str) -> None:
    assert cause_of(signed(**{name: None})) is TokenCause[name.upper()]


TIMES = ["soon", True, 1.5, 1e300, -1, 2**53 + 1, [1]]


@pytest.mark.parametrize("value", TIMES)
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_a_time_is_a_whole_number_of_seconds(name: str, value: object) -> None:
    assert cause_of(by_hand(HS256, claims(**{name: value}))) is TokenCause[name.upper()]


@pytest.mark.parametrize("text", ["1e400", "1e10", "null", "99999999999.0"])
@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_a_time_is_written_as_one(name: str, text: str) -> None:
    assert cause_of(by_hand(HS256, payload_with(f'"{name}":{text}'))) is TokenCause[name.upper()]


@pytest.mark.parametrize("value", ["", "a b", "a\n", "\x1b[31m", "é", "\u202e", "\ud800", "x" * 129, 7, ["a"], {}])
@pytest.mark.parametrize("name", ["sub", "role", "realm", "tier", "jti"])
def test_a_name_is_short_and_printable(name: str, value: object) -> None:
    assert cause_of(by_hand(HS256, claims(**{name: value}))) is TokenCause[name.upper()]


@pytest.mark.parametrize("value", ["BTC*", [1], ["BTC "], ["B[T]C"], [""], ["x" * 65], ["A"] * 513, {"A": 1}])
@pytest.mark.parametrize("name", ["symbols", "services"])
def test_globs_are_a_list_of_bounded_length(name: str, value: object) -> None:
    assert cause_of(by_hand(HS256, claims(**{name: value}))) is TokenCause[name.upper()]


@pytest.mark.parametrize("audience", ["other", ["crosstick"], ["crosstick", "other"], "crosstick ", 7])
def test_the_audience_is_this_one_and_no_other(audience: object) -> None:
    assert cause_of(by_hand(HS256, claims(aud=audience))) is TokenCause.AUD


def test_a_service_has_a_name_that_can_stand_in_its_uris() -> None:
    assert cause_of(signed(role="service", sub="a.b")) is TokenCause.SUB


@pytest.mark.parametrize("role", ["admin", *sorted(INTERNAL_ROLES)])
def test_a_role_that_clients_cannot_have_is_refused(role: str) -> None:
    assert cause_of(signed(role=role)) is TokenCause.ROLE


def test_an_issuer_is_asked_for_where_one_is_configured() -> None:
    strict = authority(rules=TokenRules("crosstick", issuer="https://issuer.example/"))
    assert strict.verify(signed(iss="https://issuer.example/")).sub == "alice"
    assert cause_of(signed(), strict) is TokenCause.ISS
    assert cause_of(signed(iss="https://issuer.example"), strict) is TokenCause.ISS
    assert AUTHORITY.verify(signed(iss="anybody")).sub == "alice"
    assert cause_of(by_hand(HS256, claims(iss=["https://issuer.example/"])), strict) is TokenCause.ISS
    own = strict.mint(sub="a", role="viewer", realm="market", now_s=NOW_S, ttl_s=86_400)
    assert strict.verify(own).sub == "a"


@pytest.mark.parametrize("leeway_s", [0, 30])
def test_the_leeway_is_for_all_three_times(leeway_s: int) -> None:
    at = authority(rules=TokenRules("crosstick", leeway_s=leeway_s), clock=lambda: 1000.0)
    assert at.verify(signed(exp=1001 - leeway_s, nbf=1000 + leeway_s, iat=1000 + leeway_s)).sub == "alice"
    assert cause_of(signed(exp=1000 - leeway_s), at) is TokenCause.EXPIRED
    assert cause_of(signed(exp=2000, nbf=1001 + leeway_s), at) is TokenCause.NOT_YET_VALID
    assert cause_of(signed(exp=2000, iat=1001 + leeway_s), at) is TokenCause.NOT_YET_VALID


@given(st.text(max_size=60))
def test_no_text_raises_anything_but_token_error(text: str) -> None:
    with pytest.raises(TokenError):
        AUTHORITY.verify(text)


GENUINE = {
    algorithm: authority(algorithm).mint(
        sub="alice", role="viewer", realm="market", now_s=NOW_S, ttl_s=86_400, symbols=("BTC*",), tier="gold"
    )
    for algorithm in ALGORITHMS
}


@given(st.sampled_from(ALGORITHMS), st.data())
def test_a_token_that_was_changed_is_refused(algorithm: str, data: st.DataObject) -> None:
    token = GENUINE[algorithm]
    start = data.draw(st.integers(0, len(token) - 1))
    end = data.draw(st.integers(start, min(len(token), start + 8)))
    letters = st.text(st.sampled_from("AZaz09-_.=é "), max_size=8)
    changed = token[:start] + data.draw(letters) + token[end:]
    if changed != token:
        cause_of(changed, authority(algorithm))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
NAMES = ("sub", "role", "realm", "aud", "exp", "nbf", "iat", "iss", "jti", "tier", "symbols", "services")


@given(st.dictionaries(st.sampled_from(NAMES), JSON, min_size=1, max_size=4))
def test_genuine_tokens_with_any_claims_are_accepted_or_refused(changes: dict[str, Any]) -> None:
    try:
        accepted = AUTHORITY.verify(by_hand(HS256, claims() | changes))
    except TokenError:
        return
    assert all(accepted.sub.isprintable() and " " not in text for text in (accepted.sub, accepted.realm))
    assert accepted.role in RULES.roles


@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "jku", "crit", "cty", "x"]), JSON, max_size=4))
def test_genuine_tokens_with_any_header_are_accepted_or_refused(header: dict[str, Any]) -> None:
    try:
        AUTHORITY.verify(by_hand(header | {"alg": "HS256"}, claims()))
    except TokenError as error:
        assert error.cause in (TokenCause.HEADER, TokenCause.MALFORMED)  # noqa: PT017


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_genuine_tokens_of_any_bytes_are_refused(header: bytes, payload: bytes) -> None:
    cause_of(by_hand(header, payload))
    cause_of(by_hand(HS256, payload))


@pytest.mark.parametrize(
    "wrong",
    [
        {"role": "admin"},
        {"role": "feed"},
        {"sub": ""},
        {"realm": ""},
        {"sub": "a b"},
        {"tier": ""},
        {"jti": "x" * 200},
        {"symbols": ("[",)},
        {"ttl_s": 0},
        {"now_s": -100},
        {"nbf_s": 60},
        {"role": "service", "sub": "a.b"},
        {"symbols": tuple(f"{number:064}" for number in range(200))},
    ],
    ids=str,
)
def test_nonsense_is_not_minted(wrong: dict[str, Any]) -> None:
    asked = {"sub": "alice", "role": "viewer", "realm": "market", "now_s": 0, "ttl_s": 60} | wrong
    with pytest.raises(ValueError, match=r"must|is its name|no such token can be accepted"):
        AUTHORITY.mint(**asked)


def test_a_token_for_later_can_be_minted() -> None:
    token = AUTHORITY.mint(sub="a", role="viewer", realm="market", now_s=NOW_S, ttl_s=172_800, nbf_s=NOW_S + 86_400)
    assert cause_of(token) is TokenCause.NOT_YET_VALID


def test_public_keys_mint_nothing() -> None:
    verifier = TokenAuthority(authority("ES256").source, RULES)
    with pytest.raises(TokenKeyError, match="public ones, which cannot mint"):
        verifier.mint(sub="a", role="viewer", realm="market", now_s=NOW_S, ttl_s=86_400)
    with pytest.raises(TokenKeyError, match="no secret"):
        _ = verifier.key
