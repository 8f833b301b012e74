"""Keys: what verifies and what signs, each bound to the one algorithm that goes with its kind.

The kind of a key decides, never the token's header: a secret takes HS256 only, RSA RS256, P-256 ES256, Ed25519 EdDSA.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.utils import base64url_encode
from twisted.internet.defer import Deferred

from components.tokens.errors import TokenCause, TokenError, TokenKeyError

ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")
"""What a token may be signed with; everything else, ``none`` above all, is refused before its claims are read."""

MIN_SECRET_BYTES = 32
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
"""Longer ones would make each join a burden."""

MAX_KEYS = 64

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey
PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey

_UNSUPPORTED = "a key must be RSA, P-256 or Ed25519"
_PEM_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\r?\n.+?-----END \1-----", re.DOTALL)


class _HmacOfCheckedKey(HMACAlgorithm):
    """PyJWT's HMAC, whose key has been checked: PyJWT looks with each token whether it might be of another kind."""

    def prepare_key(self, key: str | bytes) -> bytes:
        return key if isinstance(key, bytes) else key.encode()


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One key and the one algorithm it verifies."""

    kid: str | None
    """The name by which tokens refer to it; a key without one is tried on tokens with any."""

    algorithm: str
    jwk: jwt.PyJWK


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys that are good at one time."""

    keys: tuple[VerificationKey, ...]

    def matching(self, kid: str | None, algorithm: str) -> list[VerificationKey]:
        """Return the keys that may have signed a token with this header, at least one.

        Raises:
            TokenError: the token names a key that is not here, or an algorithm that is not its key's.
        """
        named = [key for key in self.keys if kid is None or key.kid == kid] or [
            key for key in self.keys if key.kid is None
        ]
        if not named:
            raise TokenError(TokenCause.UNKNOWN_KEY)
        matching = [key for key in named if key.algorithm == algorithm]
        if not matching:
            raise TokenError(TokenCause.ALGORITHM)
        return matching


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """How a source of keys stands."""

    source: str
    keys: int
    age_s: float | None
    """Since the set was last read or confirmed; ``None`` while there is none, and for keys that do not change."""

    last_error: str
    """Why the last attempt to read the set failed; empty when it did not."""


class KeySource(Protocol):
    """Where the keys come from, and how they stay current."""

    def keys(self) -> KeySet | None:
        """Return the last good set, ``None`` before there is one."""

    def start(self, reactor: Any) -> None:
        """Begin to keep the set current; never blocks."""

    def stop(self) -> None:
        """Let go of timers and connections."""

    def early_refresh(self) -> Deferred[None] | None:
        """Look for keys before their time, since a token names one that is not there.

        Returns what fires, never with an error, when that is done or has taken too long; ``None`` when it would be too soon
        after the last time, or when there is nothing to look for.
        """

    def status(self) -> KeyStatus:
        """Return how the source stands."""

    def not_ready_because(self) -> list[str]:
        """Return why tokens cannot be verified; empty when they can."""


@dataclass(frozen=True, slots=True)
class StaticKeys:
    """Keys that do not change while the node runs."""

    source: str
    set: KeySet

    @classmethod
    def of_signing_key(cls, key: SigningKey, source: str) -> StaticKeys:
        """Return what verifies the tokens of a signing key."""
        return cls(source, KeySet((key.verification_key(),)))

    def keys(self) -> KeySet:
        """See ``KeySource``."""
        return self.set

    def start(self, reactor: Any) -> None:
        """See ``KeySource``."""

    def stop(self) -> None:
        """See ``KeySource``."""

    def early_refresh(self) -> None:
        """See ``KeySource``."""

    def status(self) -> KeyStatus:
        """See ``KeySource``."""
        return KeyStatus(self.source, len(self.set.keys), None, "")

    def not_ready_because(self) -> list[str]:
        """See ``KeySource``."""
        return []


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that mints."""

    key: bytes | PrivateKey
    algorithm: str
    kid: str | None = None

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return a token with these claims."""
        headers = None if self.kid is None else {"kid": self.kid}
        return jwt.encode(dict(claims), self.key, algorithm=self.algorithm, headers=headers)

    def verification_key(self) -> VerificationKey:
        """Return what verifies this key's tokens."""
        if isinstance(self.key, bytes):
            return _secret_verification(self.key, self.kid)
        return public_verification(self.key.public_key(), self.kid)


def secret_key(secret: bytes, where: str) -> SigningKey:
    """Return the HS256 key that a secret is.

    Raises:
        TokenKeyError: it is shorter than 32 bytes, or something else than a secret: a PEM or a JWK.
    """
    if len(secret) < MIN_SECRET_BYTES:
        raise TokenKeyError(f"{where} must hold at least {MIN_SECRET_BYTES} bytes, had {len(secret)}")
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
    except jwt.InvalidKeyError:
        raise TokenKeyError(f"{where} must hold a secret, not a public key, certificate or JWK") from None
    return SigningKey(secret, "HS256")


def _secret_verification(secret: bytes, kid: str | None) -> VerificationKey:
    jwk = jwt.PyJWK({"kty": "oct", "k": base64url_encode(secret).decode()}, "HS256")
    jwk.Algorithm = _HmacOfCheckedKey(HMACAlgorithm.SHA256)
    return VerificationKey(kid, "HS256", jwk)


def public_verification(key: PublicKey, kid: str | None = None) -> VerificationKey:
    """Return what verifies the tokens that belong to a public key.

    Raises:
        ValueError: it is too short or too long, or of a curve that is not supported.
    """
    algorithm = _algorithm_of(key)
    if isinstance(key, RSAPublicKey):
        members = RSAAlgorithm.to_jwk(key, as_dict=True)
    elif isinstance(key, EllipticCurvePublicKey):
        members = ECAlgorithm.to_jwk(key, as_dict=True)
    else:
        members = OKPAlgorithm.to_jwk(key, as_dict=True)
    return VerificationKey(kid, algorithm, jwt.PyJWK(members, algorithm))


def _algorithm_of(key: PublicKey | PrivateKey) -> str:
    if isinstance(key, RSAPublicKey | RSAPrivateKey):
        if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
            raise ValueError(f"an RSA key must have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, had {key.key_size}")
        return "RS256"
    if isinstance(key, EllipticCurvePublicKey | EllipticCurvePrivateKey):
        if not isinstance(key.curve, SECP256R1):
            raise ValueError(f"an EC key must be of P-256, was of {key.curve.name}")  # noqa: TRY004  a value of the key's
        return "ES256"
    return "EdDSA"


def is_pem(content: bytes) -> bool:
    """Tell whether a file's content means to be PEM."""
    return b"-----BEGIN " in content


def is_private_pem(content: bytes) -> bool:
    """Tell whether a PEM has something that must be kept secret."""
    return b"PRIVATE KEY-----" in content


def private_key_from_pem(content: bytes, where: str, kid: str | None = None) -> SigningKey:
    """Return the signing key that a PEM holds.

    Raises:
        TokenKeyError: it holds none, or one that is encrypted or not supported.
    """
    try:
        key = load_pem_private_key(content, password=None)
        if not isinstance(key, PrivateKey):
            raise ValueError(_UNSUPPORTED)  # noqa: TRY004, TRY301  one more thing that a file may hold
        return SigningKey(key, _algorithm_of(key), kid)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise TokenKeyError(f"{where} has no usable private key: {_first_line(error)}") from error


def public_keys_from_pem(content: bytes, where: str) -> KeySet:
    """Return the public keys that a PEM holds, one after the other.

    Raises:
        TokenKeyError: a block is something else, or a key that is not supported.
    """
    keys = []
    for block in _PEM_BLOCK.finditer(content):
        label = block[1].decode()
        if label not in ("PUBLIC KEY", "RSA PUBLIC KEY"):
            raise TokenKeyError(f"{where} must hold public keys, or one private key alone; had a {label}")
        try:
            key = load_pem_public_key(block[0])
            if not isinstance(key, PublicKey):
                raise ValueError(_UNSUPPORTED)  # noqa: TRY004, TRY301  one more thing that a file may hold
            keys.append(public_verification(key))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise TokenKeyError(f"{where} has no usable public key: {_first_line(error)}") from error
    return _bounded(keys, where)


def _bounded(keys: Iterable[VerificationKey], where: str) -> KeySet:
    found = tuple(keys)
    if not 0 < len(found) <= MAX_KEYS:
        raise TokenKeyError(f"{where} must hold 1 to {MAX_KEYS} keys, had {len(found)}")
    return KeySet(found)


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:200]
