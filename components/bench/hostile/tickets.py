"""Tickets that must not be accepted, and one that runs out."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from components.bench.errors import BenchError
from components.bench.hostile.attack import Attack, Attacker, attack
from components.bench.hostile.garbage import CLOSE_S, TOO_BIG
from components.bench.hostile.slow import HELLO_S
from components.bench.hostile.wire import AUTHENTICATE, RESET
from components.bench.load import Account
from components.tokens import TokenAuthority
from components.uris import CLOSE_TOKEN_EXPIRED, ERROR_AUTHENTICATION_FAILED

Sign = Callable[[Mapping[str, Any]], str]

AUTHID = "mallory"
SESSION_S = 6
"""How long the ticket lasts that runs out in a session."""

YEAR_S = 31_536_000
GUESSES = 100


def signed(claims: Mapping[str, Any], key: bytes, header: Mapping[str, Any] | None = None) -> str:
    """Return a token with any header and claims, signed with HS256 whatever the header says."""
    head = {"typ": "JWT", "alg": "HS256", **(header or {})}
    text = ".".join(_base64(json.dumps(part).encode()) for part in (head, claims))
    return f"{text}.{_base64(hmac.digest(key, text.encode(), hashlib.sha256))}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forgeries(sign: Sign, audience: str, public_pem: bytes, now_s: int) -> dict[str, str]:
    """Return tickets for ``AUTHID`` that must be refused, by what is wrong with them.

    ``sign`` makes a genuine token of claims, ``public_pem`` is the key with which the node verifies it.
    """
    good: dict[str, Any] = {
        "sub": AUTHID,
        "role": "viewer",
        "realm": "market",
        "aud": audience,
        "iat": now_s,
        "exp": now_s + YEAR_S,
    }

    def but(**claims: Any) -> str:
        return sign({name: value for name, value in (good | claims).items() if value is not None})

    genuine = sign(good)
    head, body, signature = genuine.split(".")
    forged_body = _base64(json.dumps(good | {"role": "operator"}).encode())
    none = [_base64(json.dumps({"typ": "JWT", "alg": alg}).encode()) for alg in ("none", "None")]
    guessed = b"a" * 32
    return {
        "alg none": f"{none[0]}.{body}.",
        "alg None with a signature": f"{none[1]}.{body}.{signature}",
        "HS256 with the RSA public key": signed(good, public_pem),
        "HS256 with the key without its last line feed": signed(good, public_pem.rstrip()),
        "RS256 in name": signed(good, public_pem, {"alg": "RS256"}),
        "HS512 in name": signed(good, public_pem, {"alg": "HS512"}),
        "key in the header": signed(good, guessed, {"jwk": {"kty": "oct", "k": _base64(guessed)}}),
        "key at an address": signed(good, guessed, {"jku": "http://127.0.0.1:9/keys", "kid": "x"}),
        "kid of a file": signed(good, b"", {"kid": "../../../../dev/null"}),
        "an empty key": signed(good, b""),
        "another key": signed(good, guessed),
        "other claims under a signature": f"{head}.{forged_body}.{signature}",
        "cut": genuine[:-10],
        "without a signature": f"{head}.{body}.",
        "not a token": "a.b.c",
        "empty": "",
        "control characters": "\x1b[31m\r\nlevel=info admin joined\x00",
        "expired": but(iat=now_s - 7_200, exp=now_s - 3_600),
        "not yet valid": but(nbf=now_s + YEAR_S // 2),
        "for another audience": but(aud="somebody-else"),
        "for a list of audiences": but(aud=[audience, "somebody-else"]),
        "without an audience": but(aud=None),
        "without an end": but(exp=None),
        "an end that is text": but(exp="tomorrow"),
        "an end beyond all": but(exp=1e400),
        "for another realm": but(realm="ops"),
        "another's": but(sub="somebody-else"),
        "without a sub": but(sub=None),
        "of an internal role": but(role="feed"),
        "of no role": but(role="god"),
        "rights that are no list": but(symbols="*"),
    }


def public_pem(authority: TokenAuthority) -> bytes:
    """Return the public key with which a node verifies RS256, as everybody may know it."""
    key = authority.signing_key.key if authority.signing_key is not None else None
    if not isinstance(key, RSAPrivateKey):
        raise BenchError("the node's tokens must be signed with RS256: with other keys there is nothing to confuse")
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class Refused:
    """An act: tries to join with a ticket that is not good."""

    def __init__(self, ticket: str) -> None:
        """``ticket`` is its name among those of the field."""
        self._ticket = ticket

    async def __call__(self, attacker: Attacker) -> None:
        async with attacker.connection() as wire:
            await wire.upgrade(attacker.field.path)
            await wire.authenticate(attacker.field.tickets[self._ticket])
            await wire.gone()


@attack(TOO_BIG, RESET, at_once=2, timeout_s=CLOSE_S)
async def ticket_of_1_mb(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await wire.upgrade(attacker.field.path)
        await wire.authenticate(Account(AUTHID, "a" * 1_000_000))
        await wire.gone()


@attack(CLOSE_TOKEN_EXPIRED, at_once=4, timeout_s=SESSION_S, repeated=False)
async def ticket_that_runs_out(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await wire.join(attacker.field.path, attacker.field.tickets["runs out"])
        await wire.gone()


@attack(ERROR_AUTHENTICATION_FAILED, at_once=2, timeout_s=HELLO_S)
async def guessing_tickets_on_one_connection(attacker: Attacker) -> None:
    async with attacker.connection() as wire:
        await wire.upgrade(attacker.field.path)
        for number in range(GUESSES):
            # Whatever the answers are.
            await wire.hello(Account(AUTHID, ""))
            await wire.say(AUTHENTICATE, f"guess{number}", {})
        await wire.gone()


FORGERIES = tuple(forgeries(lambda _: "a.b.c", "", b"", 0))

ATTACKS: tuple[Attack, ...] = (
    *(
        Attack(f"ticket: {name}", Refused(name), frozenset({ERROR_AUTHENTICATION_FAILED}), 1, HELLO_S)
        for name in FORGERIES
    ),
    *(ticket_of_1_mb, ticket_that_runs_out, guessing_tickets_on_one_connection),
)
