"""Verify tokens, and mint them where there is a key to do so."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.utils import base64url_decode
from twisted.internet.defer import Deferred

from components.tokens.claims import (
    Claims,
    TokenRules,
    check_claims,
    is_name,
    is_service_name,
    json_object,
    read_claims,
)
from components.tokens.errors import TokenCause, TokenError, TokenKeyError
from components.tokens.keys import ALGORITHMS, KeySource, SigningKey, StaticKeys, secret_key

MAX_TOKEN_CHARS = 8192

_COMPACT_JWS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_FORBIDDEN_HEADERS = frozenset({"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"})
"""Keys and places of keys that the bearer names, and what would make the rest mean something else (RFC 7515)."""

_LOOK_AGAIN = frozenset({TokenCause.UNKNOWN_KEY, TokenCause.NO_KEYS})
"""What a look at the source may remedy."""

_jws = jwt.PyJWS()


@dataclass(frozen=True)
class TokenAuthority:
    """Who says which tokens are good, and what they must say."""

    source: KeySource
    rules: TokenRules
    signing_key: SigningKey | None = None
    """What mints; ``None`` where there are public keys only."""

    clock: Callable[[], float] = time.time

    @classmethod
    def of_secret(cls, secret: bytes, rules: TokenRules) -> TokenAuthority:
        """Return an authority that mints and verifies with one HS256 secret.

        Raises:
            TokenKeyError: the secret is shorter than 32 bytes, or no secret.
        """
        return cls.of_signing_key(secret_key(secret, "a token key"), rules, "a secret")

    @classmethod
    def of_signing_key(cls, key: SigningKey, rules: TokenRules, source: str) -> TokenAuthority:
        """Return an authority that mints with a key from ``source``, and verifies what it has minted."""
        return cls(StaticKeys.of_signing_key(key, source), rules, key)

    @property
    def key(self) -> bytes:
        """Return the HS256 secret.

        Raises:
            TokenKeyError: the keys are of another kind.
        """
        if self.signing_key is None or not isinstance(self.signing_key.key, bytes):
            raise TokenKeyError("the token key is no secret")
        return self.signing_key.key

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
        nbf_s: int | None = None,
    ) -> str:
        """Return a token that is valid for ``ttl_s`` seconds (at least 1) from ``now_s`` on, or from ``nbf_s`` if later.

        Without ``jti`` it gets a random one.

        Raises:
            ValueError: a claim is not what ``verify`` takes, or ``ttl_s`` not positive.
            TokenKeyError: there are public keys only.
        """
        if self.signing_key is None:
            raise TokenKeyError("the configured keys are public ones, which cannot mint: name a private key")
        if role not in self.rules.roles:
            raise ValueError(f"role must be one of {', '.join(sorted(self.rules.roles))}, was {role!r}")
        if role == "service" and not is_service_name(sub):
            raise ValueError(f"the sub of a service is its name in URIs: letters, digits, - and _; was {sub!r}")
        if ttl_s < 1:
            raise ValueError(f"ttl must be at least 1 s, was {ttl_s}")
        if nbf_s is not None and nbf_s >= now_s + ttl_s:
            raise ValueError(f"nbf must be before exp, {now_s + ttl_s}, was {nbf_s}")
        claims: dict[str, Any] = {
            "sub": sub,
            "role": role,
            "realm": realm,
            "aud": self.rules.audience,
            "iat": now_s,
            "exp": now_s + ttl_s,
            "jti": secrets.token_urlsafe(12) if jti is None else jti,
        }
        optional = {
            "iss": self.rules.issuer,
            "nbf": nbf_s,
            "tier": tier,
            "symbols": None if symbols is None else list(symbols),
            "services": list(services) or None,
        }
        claims |= {name: value for name, value in optional.items() if value is not None}
        try:
            check_claims(claims, self.rules, now_s)
        except TokenError as error:
            if error.cause is not TokenCause.NOT_YET_VALID:
                raise ValueError(f"no such token can be accepted: {error}") from error
        token = self.signing_key.sign(claims)
        if len(token) > MAX_TOKEN_CHARS:
            raise ValueError(f"a token must have at most {MAX_TOKEN_CHARS} characters, would have {len(token)}")
        return token

    def verify(self, token: object) -> Claims:
        """Return the claims of a token that is genuine, in time and meant for this node.

        Raises:
            TokenError: it is not, or a claim is missing or wrong. Nothing else, whatever the token is.
        """
        if not isinstance(token, str) or not token:
            raise TokenError(TokenCause.MISSING)
        if len(token) > MAX_TOKEN_CHARS:
            raise TokenError(TokenCause.TOO_LONG)
        if _COMPACT_JWS.fullmatch(token) is None:
            raise TokenError(TokenCause.MALFORMED)
        return read_claims(self._verified_payload(token), self.rules, self.clock())

    def verify_with_refresh(self, token: object) -> Claims | Deferred[Claims]:
        """Do as ``verify``, but look for the token's key first where it may have come since the keys were last looked at.

        Only then the answer is a Deferred, which fires within 2 s.

        Raises:
            TokenError: see ``verify``; a Deferred fails with it, too.
        """
        try:
            return self.verify(token)
        except TokenError as error:
            refreshed = self.source.early_refresh() if error.cause in _LOOK_AGAIN else None
            if refreshed is None:
                raise
        return refreshed.addCallback(lambda _: self.verify(token))

    def start(self, reactor: Any) -> None:
        """Begin to keep the keys current."""
        self.source.start(reactor)

    def not_ready_because(self) -> list[str]:
        """Return why tokens cannot be verified; empty when they can."""
        return self.source.not_ready_because()

    def _verified_payload(self, token: str) -> bytes:
        kid, algorithm = _header(token)
        keys = self.source.keys()
        if keys is None:
            raise TokenError(TokenCause.NO_KEYS)
        for key in keys.matching(kid, algorithm):
            try:
                payload: bytes = _jws.decode(token, key.jwk, algorithms=[key.algorithm])
            except jwt.InvalidSignatureError:
                continue
            except (jwt.PyJWTError, ValueError, TypeError):
                raise TokenError(TokenCause.MALFORMED) from None
            return payload
        raise TokenError(TokenCause.SIGNATURE)


def claimed_sub(token: object) -> str | None:
    """Return the ``sub`` that a token claims, genuine or not, to name it in a log by; ``None`` where there is no valid one."""
    if not isinstance(token, str) or len(token) > MAX_TOKEN_CHARS or _COMPACT_JWS.fullmatch(token) is None:
        return None
    try:
        sub = json_object(base64url_decode(token.split(".")[1])).get("sub")
    except ValueError:
        return None
    return sub if is_name(sub) else None


def _header(token: str) -> tuple[str | None, str]:
    try:
        text = base64url_decode(token.partition(".")[0])
    except ValueError:
        raise TokenError(TokenCause.MALFORMED) from None
    header = json_object(text)
    if not _FORBIDDEN_HEADERS.isdisjoint(header):
        raise TokenError(TokenCause.HEADER)
    kid = header.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise TokenError(TokenCause.HEADER)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise TokenError(TokenCause.ALGORITHM)
    return kid, algorithm
