"""JWK Sets: which keys are taken, and what becomes of the others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from components.tokens.jwks import MAX_JWKS_BYTES, JwksError, parse_jwks
from tests.tokens.keyring import jwk, jwks, private_key, public_jwk

GOOD = public_jwk("ES256", kid="good")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_key_of_a_supported_kind_is_taken(algorithm: str) -> None:
    for members in ({}, {"alg": algorithm}, {"use": "sig"}, {"key_ops": ["verify"]}, {"x5t": "AAAA"}):
        [key] = parse_jwks(jwks(public_jwk(algorithm, kid="k", **members))).set.keys
        assert (key.kid, key.algorithm) == ("k", algorithm)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"kty": "oct", "k": "A" * 43, "alg": "HS256"}, "is a secret"),
        (jwk(private_key("ES256")), "private members"),
        (jwk(private_key("RS256")), "private members"),
        (jwk(ec.generate_private_key(ec.SECP384R1()).public_key()), "P-256, was of secp384r1"),
        (
            jwk(rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()),
            "2048 to 8192 bits, had 1024",
        ),
        (public_jwk("RS256", alg="HS256"), "not RS256"),
        (public_jwk("RS256", alg="PS256"), "not RS256"),
        (public_jwk("RS256", use="enc"), "(use)"),
        (public_jwk("RS256", key_ops=["encrypt"]), "(key_ops)"),
        (public_jwk("RS256", key_ops="verify"), "(key_ops)"),
        (public_jwk("RS256", kid=7), "a kid that is no text"),
        (public_jwk("RS256", kid=""), "a kid that is no text"),
        (public_jwk("RS256", n=None), "lacks one of n, e"),
        (public_jwk("ES256", x="AAAA"), "not well-formed"),
        (public_jwk("ES256", crv="P-257"), "not well-formed"),
        (public_jwk("EdDSA", x="é"), "not well-formed"),
        ({"kty": "EC2"}, "a kind that is not supported"),
        ({"kty": ["RSA"]}, "a kind that is not supported"),
        ({}, "a kind that is not supported"),
        ("RSA", "is no object"),
    ],
)
def test_another_key_is_left_out_and_the_good_ones_stay(entry: Any, reason: str) -> None:
    read = parse_jwks(jwks(GOOD, entry))
    assert [key.kid for key in read.set.keys] == ["good"]
    [skipped] = read.skipped
    assert skipped.startswith("key 2: ")
    assert reason in skipped
    with pytest.raises(JwksError, match="no usable key: key 1"):
        parse_jwks(jwks(entry))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "no JSON object"),
        (b"<html>", "no JSON object"),
        (b"[]", "no JSON object"),
        (b'{"keys":[],"keys":[]}', "no JSON object: duplicate member"),
        (b"[" * 100_000, "no JSON object"),
        (b"{}", "member keys is no list"),
        (b'{"keys":{}}', "member keys is no list"),
        (b'{"keys":[]}', "no usable key$"),
        (jwks(*[GOOD] * 65), "more than 64 keys"),
        (b" " * (MAX_JWKS_BYTES + 1), "longer than 262144 bytes"),
    ],
)
def test_what_is_no_set_is_refused_with_the_reason(text: bytes, reason: str) -> None:
    with pytest.raises(JwksError, match=reason):
        parse_jwks(text)


@given(JSON)
def test_any_json_is_a_set_or_refused(value: Any) -> None:
    for text in (json.dumps(value), json.dumps({"keys": value}), json.dumps({"keys": [value]})):
        with pytest.raises(JwksError):
            parse_jwks(text.encode())


@given(st.sampled_from(["RS256", "ES256", "EdDSA"]), st.sampled_from(["kty", "n", "e", "crv", "x", "y", "kid"]), JSON)
def test_a_key_with_a_member_replaced_is_taken_or_left_out(algorithm: str, name: str, value: Any) -> None:
    read = parse_jwks(jwks(GOOD, public_jwk(algorithm) | {name: value}))
    assert len(read.set.keys) + len(read.skipped) == 2
