"""Read a JWK Set (RFC 7517): which of its keys can verify tokens here, and why the others cannot. Pure.

Taken are RSA, P-256 and Ed25519 keys meant for signatures. Secrets (``oct``) never are: a set is public by nature, and
whoever reads it could mint. Nor are keys with private members, for the same reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm

from components.tokens.claims import MAX_NAME_CHARS, json_object
from components.tokens.errors import TokenError
from components.tokens.keys import MAX_KEYS, KeySet, PublicKey, VerificationKey, public_verification

MAX_JWKS_BYTES = 262_144

_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_NAMES = {"RS256": ("RS256",), "ES256": ("ES256",), "EdDSA": ("EdDSA", "Ed25519")}


class JwksError(ValueError):
    """A text that is no JWK Set, or one without a usable key; the text is one line for the operator."""


@dataclass(frozen=True, slots=True)
class Jwks:
    """A set that has been read."""

    set: KeySet
    skipped: tuple[str, ...]
    """Why keys were left out, one line each."""


def parse_jwks(text: bytes) -> Jwks:
    """Return the usable keys of a set, at least one.

    Raises:
        JwksError: it is no set, has more than 64 keys, or none that is usable.
    """
    if len(text) > MAX_JWKS_BYTES:
        raise JwksError(f"it is longer than {MAX_JWKS_BYTES} bytes")
    try:
        entries = json_object(text).get("keys")
    except TokenError as error:
        raise JwksError(f"it is no JSON object: {error}") from None
    if not isinstance(entries, list):
        raise JwksError("it is no JWK Set: its member keys is no list")
    if len(entries) > MAX_KEYS:
        raise JwksError(f"it has more than {MAX_KEYS} keys")
    keys, skipped = [], []
    for number, entry in enumerate(entries, 1):
        try:
            keys.append(_key(entry))
        except ValueError as error:
            skipped.append(f"key {number}: {error}")
    if not keys:
        raise JwksError("it has no usable key" + (f": {'; '.join(skipped[:3])}" if skipped else ""))
    return Jwks(KeySet(tuple(keys)), tuple(skipped))


def _key(entry: object) -> VerificationKey:
    if not isinstance(entry, dict):
        raise ValueError("is no object")  # noqa: TRY004  a fault of the set's, like all others here
    kind = entry.get("kty")
    if kind == "oct":
        raise ValueError("is a secret (oct), which has no place in a set")
    if not isinstance(kind, str) or kind not in _MEMBERS:
        raise ValueError("is of a kind that is not supported")
    if not _PRIVATE.isdisjoint(entry):
        raise ValueError("has private members, so whoever reads the set could mint")
    kid = entry.get("kid")
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= MAX_NAME_CHARS):
        raise ValueError(f"has a kid that is no text of 1 to {MAX_NAME_CHARS} characters")
    if entry.get("use", "sig") != "sig":
        raise ValueError("is not meant for signatures (use)")
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise ValueError("is not meant to verify (key_ops)")
    key = public_verification(_public_key(kind, entry), kid)
    named = entry.get("alg", key.algorithm)
    if named not in _NAMES[key.algorithm]:
        raise ValueError(f"is for an algorithm (alg) that is not {key.algorithm}")
    return key


def _public_key(kind: str, entry: Mapping[str, Any]) -> PublicKey:
    members = {"kty": kind} | {name: entry.get(name) for name in _MEMBERS[kind]}
    if not all(isinstance(value, str) for value in members.values()):
        raise ValueError(f"lacks one of {', '.join(_MEMBERS[kind])}")
    algorithm = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}[kind]
    try:
        key = jwt.PyJWK(members, algorithm).key
    except (jwt.PyJWTError, ValueError, UnsupportedAlgorithm):
        raise ValueError("is not well-formed or not supported") from None
    if not isinstance(key, PublicKey):
        raise ValueError("is not well-formed or not supported")  # noqa: TRY004
    return key
