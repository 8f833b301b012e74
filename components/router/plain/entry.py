"""Who comes in without HELLO: by a token that is verified before the connection becomes a session's, and if there is room.

Knows nothing of sockets; what is wrong is a problem (``http_api.problems``) that is answered by HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from autobahn.wamp import ApplicationError
from twisted.internet.defer import Deferred

from components.core.limits import Refusal
from components.router import runtime
from components.router.authenticator import Principal, count_missing_token, create_bearer_authenticator
from components.router.bearer import BearerError, bearer_token
from components.router.http_api.access import ApiSettings
from components.router.http_api.problems import ApiError, not_ready, retry_after
from components.uris import (
    ERROR_AUTHENTICATION_FAILED,
    ERROR_INVALID_ARGUMENT,
    ERROR_LIMIT_EXCEEDED,
)

FULL_RETRY_AFTER_S = 5.0
"""When somebody may have left."""


@dataclass(frozen=True)
class RealmFull(ApiError):
    """There is no room for anybody, rather than for this client."""

    @property
    def status(self) -> int:
        """The answer's HTTP status."""
        return HTTPStatus.SERVICE_UNAVAILABLE.value


_BATCHED = {"1": True, "true": True, "0": False, "false": False}


def reads_batched(query: str) -> bool:
    """Return whether a URL's query, without ``?``, wants arrays of objects.

    Raises:
        ApiError: it has something else than that and the token. What it has may be secret, and is not repeated.
    """
    batched: bool | None = None
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name == "token":
            continue
        if name != "batched" or batched is not None:
            detail = "a parameter is unknown, or there twice; known are batched and token"
            raise ApiError(ERROR_INVALID_ARGUMENT, detail)
        batched = _BATCHED.get(value)
        if batched is None:
            raise ApiError(ERROR_INVALID_ARGUMENT, "batched must be one of 1, 0, true, false")
    return bool(batched)


class Entry:
    """The door of one path."""

    def __init__(self, settings: ApiSettings) -> None:
        """Let in whom ``settings`` say."""
        self.settings = settings
        self._authenticate = create_bearer_authenticator({"realms": {settings.realm: settings.roles}})

    async def admit(
        self, query: str, authorization: Sequence[str], protocols: Sequence[str], address: str, network: str
    ) -> Principal:
        """Return who comes, by the token in a request; see ``bearer_token``.

        ``address`` is logged where the token is not accepted, ``network`` is the address as it is counted.

        Raises:
            ApiError: the token is missing or not accepted, or there is no room.
        """
        realm = self.settings.realm
        if runtime.gatekeeper(realm) is None:
            raise not_ready("the realm has no gatekeeper")
        try:
            token = bearer_token(query, authorization, protocols)
        except BearerError as error:
            raise _unauthorized(str(error), "invalid_request") from None
        if token is None:
            count_missing_token()
            raise _unauthorized("a token is needed: ?token=, Authorization: Bearer, or a subprotocol bearer.<token>")
        try:
            verified = self._authenticate(token, realm, address)
            principal = await verified if isinstance(verified, Deferred) else verified
        except ApplicationError:
            raise _unauthorized("token not accepted", "invalid_token") from None
        self._check_room(principal, network)
        return principal

    def _check_room(self, principal: Principal, network: str) -> None:
        seats = runtime.gatekeeper(self.settings.realm)
        if seats is None:
            raise not_ready("the realm has no gatekeeper")
        role, tier = principal["role"], principal["extra"]["tier"]
        refusal = seats.full(seats.seat(principal["authid"], role, tier, network), seats.limits.of(role, tier))
        if refusal is not None:
            raise _full(refusal)


def hello_details(principal: Principal) -> dict[str, Any]:
    """Return what a HELLO has of a client that has been verified."""
    return {"authid": principal["authid"], "authmethods": ["ticket"], "authextra": dict(principal["extra"])}


def _unauthorized(detail: str, error: str | None = None) -> ApiError:
    """Return a 401 with the challenge of RFC 6750: what was wrong is said to those only who have tried."""
    challenge = 'Bearer realm="crosstick"' + ("" if error is None else f', error="{error}"')
    return ApiError(ERROR_AUTHENTICATION_FAILED, detail, headers={b"WWW-Authenticate": challenge.encode()})


def _full(refusal: Refusal) -> ApiError:
    limit, value = refusal
    # Of the realm, a role or a tier; the others are the client's own.
    kind = RealmFull if limit == "max_sessions" else ApiError
    return kind(ERROR_LIMIT_EXCEEDED, limit=limit, value=value, headers=retry_after(FULL_RETRY_AFTER_S))
