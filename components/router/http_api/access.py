"""Who asks: a request's token, what it grants, and whether there is room for one more request.

Shared by all that is below ``/api``, the stream too. A token is verified with each request, so its end and its revocation
count at once. It is never logged, and is in no answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from autobahn.wamp import ApplicationError
from twisted.internet.defer import Deferred

from components.core.client_address import LOCAL, client_address
from components.core.entries import InvalidEntry, checked, mapping
from components.core.grants import Grants, grants_of
from components.core.market import Market
from components.core.seats import Seats
from components.router import runtime
from components.router.authenticator import count_missing_token, create_bearer_authenticator
from components.router.bearer import BearerError, bearer_token
from components.router.http_api.gates import Askers
from components.router.http_api.problems import ApiError, draining, not_ready
from components.router.http_api.request_headers import header_texts
from components.router.listeners.connection import listener_of
from components.router.listeners.listener import Listener
from components.tokens import CLIENT_ROLES
from components.uris import ERROR_AUTHENTICATION_FAILED

_NO_FAMILIES: frozenset[str] = frozenset()


class ApiSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``extra`` of ``/api`` in the configuration."""

    realm: str = "market"
    """Whose tokens, limits and market they are."""

    roles: list[str] = msgspec.field(default_factory=lambda: sorted(CLIENT_ROLES))
    """Who may ask."""

    @classmethod
    def from_extra(cls, extra: object) -> ApiSettings:
        """Return what a configuration says.

        Raises:
            InvalidEntry: an entry is unknown or impossible.
        """
        settings = checked(mapping(extra or {}, "extra"), cls, "extra")
        unknown = sorted(set(settings.roles) - CLIENT_ROLES)
        if unknown:
            known = ", ".join(sorted(CLIENT_ROLES))
            raise InvalidEntry(f"extra.roles has an unknown role {unknown[0]!r}; known are {known}")
        return settings


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks, and what its token says."""

    authid: str
    role: str
    extra: Mapping[str, Any]
    """What the authenticator noted of the token: ``exp``, ``symbols``, ``tier``, …"""

    grants: Grants


class ApiAccess:
    """The doorkeeper of ``/api``, one per transport."""

    def __init__(self, settings: ApiSettings, seconds: Callable[[], float]) -> None:
        """``seconds`` never goes back."""
        self.realm = settings.realm
        self._authenticate = create_bearer_authenticator({"realms": {settings.realm: settings.roles}})
        self._seconds = seconds
        self._askers: Askers | None = None

    @property
    def seats(self) -> Seats:
        """The realm's limits, and who is in it.

        Raises:
            ApiError: the realm is closed.
        """
        seats = runtime.gatekeeper(self.realm)
        if seats is None:
            raise not_ready("the realm has no gatekeeper")
        return seats

    @property
    def market(self) -> Market:
        """What is known of the market.

        Raises:
            ApiError: the gateway is not up.
        """
        node = runtime.current()
        if node is None or node.market is None:
            raise not_ready("the gateway is not up")
        return node.market

    async def client(self, request: Any) -> Client:
        """Return who asks, by its token.

        Raises:
            ApiError: nobody can ask at the moment, or the token is missing or not accepted.
        """
        listener = listener_of(request.transport)
        if listener is not None and listener.has_stopped:
            raise draining()
        _ = self.seats, self.market
        try:
            token = bearer_token(query_of(request), header_texts(request, "Authorization"))
        except BearerError as error:
            raise _unauthorized(str(error), "invalid_request") from None
        if token is None:
            count_missing_token()
            raise _unauthorized("a token is needed: Authorization: Bearer <token>", None)
        try:
            verified = self._authenticate(token, self.realm, _address(request, listener))
            principal = await verified if isinstance(verified, Deferred) else verified
        except ApplicationError:
            raise _unauthorized("token not accepted", "invalid_token") from None
        authid, role, extra = principal["authid"], principal["role"], principal["extra"]
        grants = grants_of(role, authid, extra["symbols"], extra["services"], _NO_FAMILIES)
        return Client(authid, role, extra, grants)

    def count(self, client: Client) -> None:
        """Count a request.

        Raises:
            ApiError: there is no room for it.
        """
        seats, tier = self.seats, client.extra["tier"]
        if self._askers is None:
            self._askers = Askers(self._seconds, seats.count)
        asker = self._askers.get(client.authid, client.role, tier, seats.limits.of(client.role, tier))
        refused = asker.ask()
        if refused is not None:
            raise refused


def query_of(request: Any) -> str:
    """Return the query of a request's URL, without ``?``."""
    query: bytes = request.uri.partition(b"?")[2]
    return query.decode("ascii", "replace")


def _address(request: Any, listener: Listener | None) -> str:
    """Return where a client is, for the log."""
    peer = getattr(request.getClientAddress(), "host", LOCAL)
    if listener is None:
        return str(peer)
    return client_address(
        peer, header_texts(request, "X-Forwarded-For"), header_texts(request, "Forwarded"), listener.proxies
    )


def _unauthorized(detail: str, error: str | None) -> ApiError:
    """Return a 401 with the challenge of RFC 6750: what was wrong is said to those only who have tried."""
    challenge = 'Bearer realm="crosstick"' + ("" if error is None else f', error="{error}"')
    return ApiError(ERROR_AUTHENTICATION_FAILED, detail, headers={b"WWW-Authenticate": challenge.encode()})
