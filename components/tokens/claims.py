"""What a token says: its claims, their schema, and whether they are in time. Pure: the time comes in.

Texts end up in logs, URIs and metrics, so all of them are printable ASCII of bounded length.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from components.tokens.errors import TokenCause, TokenError

CLIENT_ROLES = frozenset({"viewer", "service", "operator"})
INTERNAL_ROLES = frozenset({"feed", "exchange"})
LINK_ROLES = frozenset({"peer"})
"""What another router joins as, over a link."""

DEFAULT_LEEWAY_S = 5
MAX_NAME_CHARS = 128
MAX_ISSUER_CHARS = 512
MAX_GLOBS = 512
MAX_GLOB_CHARS = 64
MAX_NESTED = 2000
"""Lists and objects in one JSON text."""

MAX_TIME_S = 2**53
"""The greatest whole number that every JSON library reads as one."""

_Value = TypeVar("_Value")

_SERVICE_NAME = re.compile(r"[A-Za-z0-9_-]+")
_NAME = re.compile(r"[!-~]+")

_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARS, pattern=r"^[!-~]+\Z")]
_Issuer = Annotated[str, Meta(min_length=1, max_length=MAX_ISSUER_CHARS, pattern=r"^[!-~]+\Z")]
_Time = Annotated[int, Meta(ge=0, le=MAX_TIME_S)]
_Glob = Annotated[str, Meta(max_length=MAX_GLOB_CHARS, pattern=r"^[A-Za-z0-9_.*?-]+\Z")]
_Globs = Annotated[tuple[_Glob, ...], Meta(max_length=MAX_GLOBS)]


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


class _Schema(msgspec.Struct, frozen=True):
    sub: _Name
    role: _Name
    realm: _Name
    exp: _Time
    aud: str
    iss: _Issuer | UnsetType = UNSET
    nbf: _Time | UnsetType = UNSET
    iat: _Time | UnsetType = UNSET
    jti: _Name | UnsetType = UNSET
    tier: _Name | UnsetType = UNSET
    symbols: _Globs | UnsetType = UNSET
    services: _Globs = ()


CLAIMS = _Schema.__struct_fields__
"""The names of the claims that are looked at."""

_CLAIM_OF_ERROR = re.compile(r"(?:required field `|at `\$\.)(\w+)")
_CAUSES = {name: TokenCause[name.upper()] for name in CLAIMS}


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a token's claims must agree with."""

    audience: str
    issuer: str | None = None
    """``None``: any issuer, or none."""

    leeway_s: int = DEFAULT_LEEWAY_S
    """How far the clocks here and at the issuer may be apart: ``exp`` counts so much later, ``nbf`` and ``iat`` earlier."""

    roles: frozenset[str] = CLIENT_ROLES


def read_claims(payload: bytes, rules: TokenRules, now_s: float) -> Claims:
    """Return the claims in the payload of a token whose signature is good.

    Raises:
        TokenError: a claim is missing, there twice, not as the schema has it, or against the rules at this time.
    """
    return check_claims(json_object(payload), rules, now_s)


def check_claims(claims: Mapping[str, Any], rules: TokenRules, now_s: float) -> Claims:
    """Return checked claims; see ``read_claims``."""
    try:
        said = msgspec.convert(claims, _Schema)
    except msgspec.ValidationError as error:
        named = _CLAIM_OF_ERROR.search(str(error))
        raise TokenError(_CAUSES[named[1]] if named else TokenCause.MALFORMED) from None
    if said.aud != rules.audience:
        raise TokenError(TokenCause.AUD)
    if rules.issuer is not None and said.iss != rules.issuer:
        raise TokenError(TokenCause.ISS)
    if said.role not in rules.roles:
        raise TokenError(TokenCause.ROLE)
    if said.role == "service" and not is_service_name(said.sub):
        raise TokenError(TokenCause.SUB)
    if now_s >= said.exp + rules.leeway_s:
        raise TokenError(TokenCause.EXPIRED)
    for time_s in (said.nbf, said.iat):
        if isinstance(time_s, int) and now_s < time_s - rules.leeway_s:
            raise TokenError(TokenCause.NOT_YET_VALID)
    return Claims(
        sub=said.sub,
        role=said.role,
        realm=said.realm,
        exp=said.exp,
        symbols=_given(said.symbols),
        services=said.services,
        tier=_given(said.tier),
        jti=_given(said.jti),
        iat=_given(said.iat),
    )


def is_name(value: object) -> bool:
    """Tell whether a value could be a token's ``sub``: printable, without spaces, of bounded length."""
    return isinstance(value, str) and len(value) <= MAX_NAME_CHARS and _NAME.fullmatch(value) is not None


def is_service_name(sub: str) -> bool:
    """Tell whether a service of this name would be one component of its URIs."""
    return _SERVICE_NAME.fullmatch(sub) is not None


def json_object(text: bytes) -> dict[str, Any]:
    """Return the object that a JSON text is, where no member of any object is there twice.

    Raises:
        TokenError: it is none.
    """
    # The parser's depth is the stack's, and libraries raise Python's guard beyond what the stack holds.
    if text.count(b"[") + text.count(b"{") > MAX_NESTED:
        raise TokenError(TokenCause.MALFORMED)
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=_without_duplicates, parse_constant=_refuse)
    except TokenError:
        raise
    except (ValueError, RecursionError):
        raise TokenError(TokenCause.MALFORMED) from None
    if not isinstance(value, dict):
        raise TokenError(TokenCause.MALFORMED)
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise TokenError(TokenCause.DUPLICATE_MEMBER)
    return members


def _refuse(_constant: str) -> NoReturn:
    # NaN and Infinity, which Python's parser would take.
    raise TokenError(TokenCause.MALFORMED)


def _given(value: _Value | UnsetType) -> _Value | None:
    return None if isinstance(value, UnsetType) else value
