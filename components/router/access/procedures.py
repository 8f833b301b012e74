"""What can be called about tokens: ``auth.renew`` in every client realm, and the operators' procedures.

Owns arguments, answers and errors; what happens to sessions and revocations is ``live_tokens``' and the session's.
"""

from __future__ import annotations

import time
from typing import Annotated, Any, ClassVar

import msgspec
from autobahn.wamp import ApplicationError
from autobahn.wamp.types import CallDetails
from msgspec import Meta
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from components.core.arguments import NoArguments
from components.core.revocations import (
    MAX_REVOCATIONS,
    Name,
    Revocation,
    RevokedSubject,
    RevokedToken,
    Time,
    TooManyRevocations,
)
from components.router import runtime
from components.router.access.live_tokens import LiveTokens
from components.router.access.revocation_store import RevocationStoreError
from components.router.authenticator import check_not_revoked, noted, refusal
from components.router.checked_procedures import register_checked
from components.tokens import Claims, TokenCause, TokenError
from components.tokens.authority import MAX_TOKEN_CHARS
from components.uris import (
    AUTH_LIFT,
    AUTH_RENEW,
    AUTH_REVOCATIONS,
    AUTH_REVOKE,
    ERROR_INVALID_ARGUMENT,
    ERROR_LIMIT_EXCEEDED,
    ERROR_NOT_KEPT,
    ERROR_NOT_READY,
)


class _Renewal(msgspec.Struct):
    token: Annotated[str, Meta(min_length=1, max_length=MAX_TOKEN_CHARS)]
    announce: bool = False
    """Whether an UNSUBSCRIBED is to come for each subscription that ends."""


class _Named(msgspec.Struct):
    jti: Name | None = None
    sub: Name | None = None


class _Revocation(_Named):
    exp: Time | None = None


class TokenProcedures:
    """The procedures of a realm."""

    life_log: ClassVar[Logger] = Logger()

    def __init__(self, realm: str, tokens: LiveTokens) -> None:
        self._realm = realm
        self._tokens = tokens

    async def register(self, session: Any, for_operators: bool) -> None:
        """Register what clients may call, and in the operators' realm what they may."""
        await register_checked(session, AUTH_RENEW, _Renewal, self._renew, secret=("token",))
        if for_operators:
            await register_checked(session, AUTH_REVOKE, _Revocation, self._revoke)
            await register_checked(session, AUTH_REVOCATIONS, NoArguments, self._list)
            await register_checked(session, AUTH_LIFT, _Named, self._lift)

    async def _renew(self, wanted: _Renewal, details: CallDetails) -> dict[str, Any]:
        """Let the calling session go on with another token: answered when it is in force."""
        node = runtime.current()
        if node is None:
            raise ApplicationError(ERROR_NOT_READY, "the gateway is not up")
        try:
            verified = node.environment.authority.verify_with_refresh(wanted.token)
            claims = await verified if isinstance(verified, Deferred) else verified
            # Looked up here: the session may have left while a key was fetched.
            lifetime = None if details.caller is None else self._tokens.lifetimes.get(details.caller)
            if lifetime is None:
                raise ApplicationError(ERROR_NOT_READY, "the calling session has left")
            session = lifetime.session
            _check_same(claims, session)
            check_not_revoked(claims)
        except TokenError as error:
            node.refused_tickets[str(error)] += 1
            raise refusal() from None
        extra = noted(claims)
        exceeded = session.take_token(extra)
        if exceeded is not None:
            limit, value = exceeded
            raise ApplicationError(ERROR_LIMIT_EXCEEDED, f"{limit} is {value:g}", limit=limit, value=value)
        self._tokens.lifetimes.renew(lifetime.session_id, extra)
        return {"exp": extra["exp"], "symbols": extra["symbols"], "ended": session.end_ungranted(wanted.announce)}

    async def _revoke(self, wanted: _Revocation, details: CallDetails) -> dict[str, Any]:
        _one_of(wanted)
        if wanted.exp is not None and wanted.exp <= time.time():
            raise ApplicationError(
                ERROR_INVALID_ARGUMENT, f"exp: is when the token ends, a Unix time to come, was {wanted.exp}"
            )
        try:
            closed = self._tokens.revoke(jti=wanted.jti, sub=wanted.sub, exp=wanted.exp)
        except TooManyRevocations as error:
            raise ApplicationError(
                ERROR_LIMIT_EXCEEDED, str(error), limit="max_revocations", value=MAX_REVOCATIONS
            ) from error
        self.life_log.info(
            "{operator!r} has revoked {what}: {closed} sessions closed",
            operator=details.caller_authid,
            what=_text(wanted),
            closed=closed,
        )
        try:
            await self._tokens.written()
        except RevocationStoreError as error:
            self.life_log.error("revocations are in force until a restart only: {error}", error=str(error))
            raise ApplicationError(
                ERROR_NOT_KEPT,
                "the revocation is in force, but in memory only: it could not be written and a restart would forget it",
                closed=closed,
            ) from error
        return {"closed": closed}

    def _list(self, _nothing: NoArguments, details: CallDetails) -> list[dict[str, Any]]:
        revocations = self._tokens.listing()
        self.life_log.info("{operator!r} has listed the revocations", operator=details.caller_authid)
        return [_shown(revocation) for revocation in revocations]

    async def _lift(self, wanted: _Named, details: CallDetails) -> dict[str, Any]:
        _one_of(wanted)
        kind, name = (RevokedToken, wanted.jti) if wanted.jti is not None else (RevokedSubject, wanted.sub)
        self.life_log.info(
            "{operator!r} lifts the revocation of {what}", operator=details.caller_authid, what=_text(wanted)
        )
        try:
            lifted = await self._tokens.lift(kind, str(name))
        except RevocationStoreError as error:
            self.life_log.error("a revocation is lifted until a restart only: {error}", error=str(error))
            raise ApplicationError(
                ERROR_NOT_KEPT, "the revocation is lifted, but in memory only: a restart would bring it back"
            ) from error
        return {"lifted": lifted}


def _check_same(claims: Claims, session: Any) -> None:
    if claims.realm != session._realm:
        raise TokenError(TokenCause.OTHER_REALM)
    if claims.sub != session._authid:
        raise TokenError(TokenCause.OTHER_SUB)
    if claims.role != session._authrole:
        raise TokenError(TokenCause.OTHER_ROLE)


def _one_of(wanted: _Named) -> None:
    if (wanted.jti is None) == (wanted.sub is None):
        raise ApplicationError(ERROR_INVALID_ARGUMENT, "name a jti or a sub, and not both")


def _text(wanted: _Named) -> str:
    return f"jti {wanted.jti!a}" if wanted.jti is not None else f"sub {wanted.sub!a}"


def _shown(revocation: Revocation) -> dict[str, Any]:
    by = "jti" if isinstance(revocation, RevokedToken) else "sub"
    return {by: revocation.name, "revoked_at": revocation.revoked_at, "exp": revocation.exp}
