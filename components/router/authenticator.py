"""Crossbar function authenticators for WAMP-ticket: one for clients, one for the node's own components, one
for routers that are linked.

A function each, since Crossbar keeps one authenticator per function name, whatever transport asks. All answer every refusal
alike: ``crosstick.error.authentication_failed`` and a fixed text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from autobahn.wamp import ApplicationError
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from components.router import runtime
from components.tokens import (
    CLIENT_ROLES,
    INTERNAL_ROLES,
    LINK_ROLES,
    Claims,
    TokenAuthority,
    TokenCause,
    TokenError,
    claimed_sub,
)
from components.uris import ERROR_AUTHENTICATION_FAILED

_log = Logger()

Principal = dict[str, Any]
Authenticator = Callable[[str | None, str | None, Mapping[str, Any]], Principal | Deferred[Principal]]


def create_client_authenticator(config: Mapping[str, Any], _controller: object) -> Authenticator:
    """Return the authenticator of the public transports.

    ``config`` is ``{"realms": {realm: [role, …]}}``: who may join what here, of the roles viewer, service and operator.
    """
    return _authenticator(config, CLIENT_ROLES, lambda node: node.environment.authority)


def create_internal_authenticator(config: Mapping[str, Any], _controller: object) -> Authenticator:
    """Return the authenticator of the node's local socket; ``config`` likewise, of the roles of the node's components."""
    return _authenticator(config, INTERNAL_ROLES, lambda node: node.environment.internal_authority)


def create_link_authenticator(config: Mapping[str, Any], _controller: object) -> Authenticator:
    """Return the authenticator of the transports for links; ``config`` likewise, of the role of other routers."""
    return _authenticator(config, LINK_ROLES, lambda node: node.link_authority)


def create_bearer_authenticator(
    config: Mapping[str, Any],
) -> Callable[[str | None, str, str], Principal | Deferred[Principal]]:
    """Return ``(token, realm, peer)`` → who that is, for what knows a client by its token alone; ``config`` as for clients.

    It raises, or its ``Deferred`` fails with, an ``ApplicationError``: the token is not accepted. ``peer`` is logged then.
    """
    authenticate = _authenticator(config, CLIENT_ROLES, lambda node: node.environment.authority, by_token_alone=True)
    return lambda token, realm, peer: authenticate(realm, None, {"ticket": token, "transport": {"peer": peer}})


def _authenticator(
    config: Mapping[str, Any],
    roles: frozenset[str],
    authority_of: Callable[[runtime.Runtime], TokenAuthority | None],
    *,
    by_token_alone: bool = False,
) -> Authenticator:
    realms = {realm: frozenset(names) & roles for realm, names in config["realms"].items()}

    def authenticate(
        realm: str | None, authid: str | None, details: Mapping[str, Any]
    ) -> Principal | Deferred[Principal]:
        node = runtime.current()
        authority = None if node is None else authority_of(node)
        if node is None or authority is None:
            raise refusal()
        try:
            verified = authority.verify_with_refresh(details.get("ticket"))
            if not isinstance(verified, Deferred):
                return principal(verified, realm, authid)
        except TokenError as error:
            raise counted_refusal(node, error, authid, details) from None
        return Deferred.fromCoroutine(authenticate_later(node, verified, realm, authid, details))

    async def authenticate_later(
        node: runtime.Runtime,
        verified: Deferred[Claims],
        realm: str | None,
        authid: str | None,
        details: Mapping[str, Any],
    ) -> Principal:
        try:
            return principal(await verified, realm, authid)
        except TokenError as error:
            raise counted_refusal(node, error, authid, details) from None

    def counted_refusal(
        node: runtime.Runtime, error: TokenError, authid: str | None, details: Mapping[str, Any]
    ) -> ApplicationError:
        node.refused_tickets[str(error)] += 1
        # Of who asks no more is known than what it says; the log escapes it, and bounds how many such lines there are.
        # Who shows a token alone says by it who it is, as others do by their authid.
        said = claimed_sub(details.get("ticket")) if by_token_alone else authid
        peer = (details.get("transport") or {}).get("peer")
        _log.info(
            "ticket refused: {cause}, for authid {authid!r}, peer {peer}", cause=str(error), authid=said, peer=peer
        )
        return refusal()

    def principal(claims: Claims, realm: str | None, authid: str | None) -> Principal:
        _check(claims, realm, claims.sub if by_token_alone else authid, realms)
        if claims.role in CLIENT_ROLES:
            check_not_revoked(claims)
        return {
            "realm": claims.realm,
            "authid": claims.sub,
            "role": claims.role,
            "extra": noted(claims),
        }

    return authenticate


def _check(claims: Claims, realm: str | None, authid: str | None, realms: Mapping[str, frozenset[str]]) -> None:
    if claims.realm != realm:
        raise TokenError(TokenCause.OTHER_REALM)
    if claims.sub != authid:
        raise TokenError(TokenCause.OTHER_SUB)
    if claims.role not in realms.get(claims.realm, frozenset()):
        raise TokenError(TokenCause.ROLE_OUT_OF_PLACE)


def count_missing_token() -> None:
    """Count a request that had no token to verify."""
    node = runtime.current()
    if node is not None:
        node.refused_tickets[TokenCause.MISSING.value] += 1


def check_not_revoked(claims: Claims) -> None:
    """Raise a ``TokenError`` for a token that an operator has revoked.

    A worker without a gatekeeper, and so without revocations, lets no client in.
    """
    tokens = runtime.live_tokens()
    if tokens is not None and tokens.is_revoked(claims):
        raise TokenError(TokenCause.REVOKED)


def noted(claims: Claims) -> dict[str, Any]:
    """Return what a session's ``authextra`` holds of its token."""
    return {
        "exp": claims.exp,
        "symbols": None if claims.symbols is None else list(claims.symbols),
        "services": list(claims.services),
        "tier": claims.tier,
        "jti": claims.jti,
        "iat": claims.iat,
    }


def refusal() -> ApplicationError:
    """Return the one answer to every token that is not accepted."""
    return ApplicationError(ERROR_AUTHENTICATION_FAILED, "token not accepted")
