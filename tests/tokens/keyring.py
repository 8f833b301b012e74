"""Keys of every kind for tests, made once, and sets and tokens made of them."""

from __future__ import annotations

import json
import time
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from components.tokens import SigningKey, StaticKeys, TokenAuthority, TokenRules

SECRET = b"k" * 64
RULES = TokenRules("crosstick")


def private_key(algorithm: str, number: int = 0) -> Any:
    """Return the ``number``-th key that signs with an algorithm."""
    return _private_key(algorithm, number)


@cache
def _private_key(algorithm: str, _number: int) -> Any:
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate()


def signing_key(algorithm: str, kid: str | None = None, number: int = 0) -> SigningKey:
    """Return a key that mints with an algorithm."""
    return SigningKey(SECRET if algorithm == "HS256" else private_key(algorithm, number), algorithm, kid)


def authority(algorithm: str = "HS256", **changes: Any) -> TokenAuthority:
    """Return an authority whose one key goes with an algorithm."""
    key = signing_key(algorithm)
    return TokenAuthority(StaticKeys.of_signing_key(key, "test"), changes.pop("rules", RULES), key, **changes)


def private_pem(key: Any) -> bytes:
    """Return a private key as PEM."""
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem


def public_pem(key: Any) -> bytes:
    """Return the public half of a private key as PEM."""
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def jwk(key: Any, **members: Any) -> dict[str, Any]:
    """Return a key of ``cryptography`` as a JWK with further members."""
    if isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey):
        made = RSAAlgorithm.to_jwk(key, as_dict=True)
    elif isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey):
        made = ECAlgorithm.to_jwk(key, as_dict=True)
    else:
        made = OKPAlgorithm.to_jwk(key, as_dict=True)
    made.pop("key_ops", None)
    return made | members


def public_jwk(algorithm: str, number: int = 0, **members: Any) -> dict[str, Any]:
    """Return the public JWK of the ``number``-th key of an algorithm."""
    return jwk(private_key(algorithm, number).public_key(), **members)


def jwks(*keys: object) -> bytes:
    """Return the text of a JWK Set."""
    return json.dumps({"keys": keys}).encode()


def claims(**changes: Any) -> dict[str, Any]:
    """Return good claims with changes; ``None`` leaves one out."""
    base = {"sub": "alice", "role": "viewer", "realm": "market", "aud": "crosstick", "exp": int(time.time()) + 86_400}
    return {name: value for name, value in (base | changes).items() if value is not None}


def signed(algorithm: str = "HS256", key: Any = SECRET, headers: dict[str, Any] | None = None, **changes: Any) -> str:
    """Return a token with good claims and changes."""
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers=headers)
