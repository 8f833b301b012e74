"""Crossbar function authenticators for WAMP-ticket: one for clients, one for the node's own components.

Two functions, since Crossbar keeps one authenticator per function name, whatever transport asks. Both answer every refusal
alike: ``crosstick.error.authentication_failed`` and a fixed text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from autobahn.wamp import ApplicationError

from components.router import runtime
from components.tokens import CLIENT_ROLES, INTERNAL_ROLES, Claims, TokenError
from components.uris import ERROR_AUTHENTICATION_FAILED

Authenticator = Callable[[str | None, str | None, Mapping[str, Any]], dict[str, Any]]


def create_client_authenticator(config: Mapping[str, Any], _controller: object) -> Authenticator:
    """Return the authenticator of the public transports.

    ``config`` is ``{"realms": {realm: [role, …]}}``: who may join what here, of the roles viewer, service and operator.
    """
    return _authenticator(config, CLIENT_ROLES)


def create_internal_authenticator(config: Mapping[str, Any], _controller: object) -> Authenticator:
    """Return the authenticator of the node's local socket; ``config`` likewise, of the roles of the node's components."""
    return _authenticator(config, INTERNAL_ROLES)


def _authenticator(config: Mapping[str, Any], roles: frozenset[str]) -> Authenticator:
    realms = {realm: frozenset(names) & roles for realm, names in config["realms"].items()}

    def authenticate(realm: str | None, authid: str | None, details: Mapping[str, Any]) -> dict[str, Any]:
        node = runtime.current()
        if node is None:
            raise refusal()
        try:
            claims = node.environment.authority.verify(details.get("ticket"))
            _check(claims, realm, authid, realms)
            if claims.role in CLIENT_ROLES:
                check_not_revoked(claims)
        except TokenError as error:
            node.refused_tickets[str(error)] += 1
            raise refusal() from None
        return {
            "realm": claims.realm,
            "authid": claims.sub,
            "role": claims.role,
            "extra": noted(claims),
        }

    return authenticate


def _check(claims: Claims, realm: str | None, authid: str | None, realms: Mapping[str, frozenset[str]]) -> None:
    if claims.realm != realm:
        raise TokenError("other realm")
    if claims.sub != authid:
        raise TokenError("other sub")
    if claims.role not in realms.get(claims.realm, frozenset()):
        raise TokenError("role not for this realm and transport")


def check_not_revoked(claims: Claims) -> None:
    """Raise a ``TokenError`` for a token that an operator has revoked.

    A worker without a gatekeeper, and so without revocations, lets no client in.
    """
    tokens = runtime.live_tokens()
    if tokens is not None and tokens.is_revoked(claims):
        raise TokenError("revoked")


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
    return ApplicationError(ERROR_AUTHENTICATION_FAILED, "ticket not accepted")
