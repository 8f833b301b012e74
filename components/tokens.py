"""Mint and verify the JWTs that clients bring as tickets.

Owns the claims, the algorithms' allow-list and where the key comes from; never logs a token and never says to the outside
why one was refused.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jwt
from jwt.algorithms import HMACAlgorithm

ALGORITHMS = ("HS256",)
"""What a token may be signed with; everything else, ``none`` above all, is refused before its claims are read."""

DEFAULT_AUDIENCE = "crosstick"
DEVELOPMENT_KEY_NAME = "development.key"
"""File in the node directory that ``make run`` creates; not used when ``CROSSTICK_ENV=production``."""

CLIENT_ROLES = frozenset({"viewer", "service", "operator"})
INTERNAL_ROLES = frozenset({"feed", "exchange"})

_SERVICE_NAME = re.compile(r"[A-Za-z0-9_-]+")

MIN_KEY_BYTES = 32
MAX_TOKEN_CHARS = 8192


class TokenError(ValueError):
    """A token that is not accepted; the text is for counters and tests, never for the client."""


class TokenKeyError(ValueError):
    """There is no usable key; the text is one line for the operator."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What an accepted token says."""

    sub: str
    role: str
    realm: str
    exp: int
    """Unix time in s."""

    symbols: tuple[str, ...] | None
    """Globs of the symbols the bearer may see; ``None`` means all."""

    services: tuple[str, ...]
    """Globs of the services whose topics and procedures the bearer may use."""

    tier: str | None = None
    """Which limits apply, beside the role's."""

    jti: str | None = None
    """The token's own name, by which it can be revoked."""

    iat: int | None = None
    """When it was issued, Unix time in s."""


class _HmacOfCheckedKey(HMACAlgorithm):
    """PyJWT's HMAC, whose key has been checked: PyJWT looks with each token whether it might be of another kind."""

    def prepare_key(self, key: str | bytes) -> bytes:
        return key if isinstance(key, bytes) else key.encode()


@dataclass(frozen=True)
class TokenAuthority:
    """A key and an audience: enough to mint tokens and to verify them."""

    key: bytes
    audience: str

    @cached_property
    def _checked_key(self) -> jwt.PyJWK:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(self.key)
        encoded = base64.urlsafe_b64encode(self.key).rstrip(b"=").decode()
        key = jwt.PyJWK({"kty": "oct", "k": encoded}, ALGORITHMS[0])
        key.Algorithm = _HmacOfCheckedKey(HMACAlgorithm.SHA256)
        return key

    def mint(
        self,
        *,
        sub: str,
        role: str,
        realm: str,
        now_s: int,
        ttl_s: int,
        symbols: tuple[str, ...] | None = None,
        services: tuple[str, ...] = (),
        tier: str | None = None,
        jti: str | None = None,
    ) -> str:
        """Return a token that is valid for ``ttl_s`` seconds (at least 1) from ``now_s`` on.

        Without ``jti`` it gets a random one.

        Raises:
            ValueError: the role is unknown, ``sub`` or ``realm`` empty, or ``ttl_s`` not positive.
        """
        if role not in CLIENT_ROLES | INTERNAL_ROLES:
            raise ValueError(f"role must be one of {', '.join(sorted(CLIENT_ROLES))}, was {role!r}")
        if not sub or not realm:
            raise ValueError("sub and realm must not be empty")
        if role == "service" and not _SERVICE_NAME.fullmatch(sub):
            raise ValueError(f"the sub of a service is its name in URIs: letters, digits, - and _; was {sub!r}")
        if ttl_s < 1:
            raise ValueError(f"ttl must be at least 1 s, was {ttl_s}")
        claims: dict[str, Any] = {
            "sub": sub,
            "role": role,
            "realm": realm,
            "aud": self.audience,
            "iat": now_s,
            "exp": now_s + ttl_s,
            "jti": secrets.token_urlsafe(12) if jti is None else jti,
        }
        if symbols is not None:
            claims["symbols"] = list(symbols)
        if tier:
            claims["tier"] = tier
        if services:
            claims["services"] = list(services)
        return jwt.encode(claims, self.key, algorithm=ALGORITHMS[0])

    def verify(self, token: object) -> Claims:
        """Return the claims of a token that is genuine, in time and meant for this node.

        Raises:
            TokenError: it is not, or a claim is missing or of the wrong type.
        """
        if not isinstance(token, str) or not token:
            raise TokenError("missing")
        if len(token) > MAX_TOKEN_CHARS:
            raise TokenError("too long")
        try:
            claims = jwt.decode(
                token,
                self._checked_key,
                algorithms=list(ALGORITHMS),
                audience=self.audience,
                options={"require": ["exp", "aud", "sub"], "strict_aud": True},
            )
        except jwt.ExpiredSignatureError as error:
            raise TokenError("expired") from error
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise TokenError("invalid") from error
        return _checked(claims)


def _checked(claims: Mapping[str, Any]) -> Claims:
    for name in ("sub", "role", "realm"):
        if not isinstance(claims.get(name), str) or not claims[name]:
            raise TokenError(f"{name} missing")
    exp = claims["exp"]
    if not isinstance(exp, int) or isinstance(exp, bool):
        raise TokenError("exp not a whole number")
    return Claims(
        sub=claims["sub"],
        role=claims["role"],
        realm=claims["realm"],
        exp=exp,
        symbols=_globs(claims, "symbols", None),
        services=_globs(claims, "services", ()) or (),
        tier=claims.get("tier"),
        jti=_jti(claims),
        iat=_iat(claims),
    )


def _jti(claims: Mapping[str, Any]) -> str | None:
    jti = claims.get("jti")
    if jti is not None and not isinstance(jti, str):
        raise TokenError("jti not a string")
    return jti


def _iat(claims: Mapping[str, Any]) -> int | None:
    iat = claims.get("iat")
    if iat is not None and (not isinstance(iat, int) or isinstance(iat, bool)):
        raise TokenError("iat not a whole number")
    return iat


def _globs(claims: Mapping[str, Any], name: str, default: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if name not in claims:
        return default
    value = claims[name]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TokenError(f"{name} not a list of strings")
    return tuple(value)


def load_authority(environ: Mapping[str, str], node_directory: Path) -> TokenAuthority:
    """Return the authority that the environment names, else the development key of the node directory.

    Raises:
        TokenKeyError: no key is configured (and there is no development key, or ``CROSSTICK_ENV`` is ``production``), it is
            shorter than 32 bytes, or its file may be read by others.
    """
    environment = environ.get("CROSSTICK_ENV", "development")
    if environment not in ("development", "production"):
        raise TokenKeyError(f"CROSSTICK_ENV must be 'development' or 'production', was {environment!r}")
    audience = environ.get("CROSSTICK_TOKEN_AUDIENCE", DEFAULT_AUDIENCE)
    if not audience:
        raise TokenKeyError("CROSSTICK_TOKEN_AUDIENCE must not be empty")
    if environ.get("CROSSTICK_TOKEN_KEY") and environ.get("CROSSTICK_TOKEN_KEY_FILE"):
        raise TokenKeyError("set CROSSTICK_TOKEN_KEY or CROSSTICK_TOKEN_KEY_FILE, not both")
    if environ.get("CROSSTICK_TOKEN_KEY"):
        return TokenAuthority(_long_enough(environ["CROSSTICK_TOKEN_KEY"].encode(), "CROSSTICK_TOKEN_KEY"), audience)
    if environ.get("CROSSTICK_TOKEN_KEY_FILE"):
        return TokenAuthority(_read_key(Path(environ["CROSSTICK_TOKEN_KEY_FILE"])), audience)
    development_key = node_directory / DEVELOPMENT_KEY_NAME
    if environment == "development" and development_key.exists():
        return TokenAuthority(_read_key(development_key), audience)
    raise TokenKeyError(
        "no token key: set CROSSTICK_TOKEN_KEY_FILE or CROSSTICK_TOKEN_KEY, or start with 'make run' for development"
    )


def create_development_key(node_directory: Path) -> Path:
    """Create the node directory's development key (mode 0600) unless it is there, and return its path."""
    path = node_directory / DEVELOPMENT_KEY_NAME
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(48) + "\n")
    return path


def _read_key(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        key = path.read_bytes().strip()
    except OSError as error:
        raise TokenKeyError(f"token key file {path}: {error.strerror}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise TokenKeyError(f"token key file {path} must be readable by its owner only: chmod 600 {path}")
    return _long_enough(key, f"token key file {path}")


def _long_enough(key: bytes, where: str) -> bytes:
    if len(key) < MIN_KEY_BYTES:
        raise TokenKeyError(f"{where} must hold at least {MIN_KEY_BYTES} bytes, had {len(key)}")
    return key
