"""The WebSocket upgrade of a client: whether there is room, and how it is told that there is none; see ``connections``.

Every refusal is a problem, as those of ``/api`` are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from autobahn.websocket.types import ConnectionDeny

from components.core.admission import Refused
from components.router.http_api.problems import PROBLEM_TYPE, ApiError, draining, limit_exceeded, problem_of_status
from components.router.listeners.connection import listener_of
from components.router.listeners.listener import HANDSHAKE, MAX_CONNECTIONS, retry_after_s
from components.router.plain.entry import RealmFull
from components.router.seam.transports import ClientConnection
from components.uris import ERROR_INVALID_ARGUMENT, ERROR_METHOD_NOT_ALLOWED, ERROR_NOT_AUTHORIZED

_TYPES: Mapping[int, str] = {
    HTTPStatus.BAD_REQUEST: ERROR_INVALID_ARGUMENT,
    HTTPStatus.FORBIDDEN: ERROR_NOT_AUTHORIZED,
    HTTPStatus.METHOD_NOT_ALLOWED: ERROR_METHOD_NOT_ALLOWED,
}
"""Of the statuses with which Autobahn refuses; of others the status says all."""

_HEADERS: Mapping[int, Mapping[str, str]] = {
    HTTPStatus.METHOD_NOT_ALLOWED: {"Allow": "GET"},
    HTTPStatus.UPGRADE_REQUIRED: {"Upgrade": "websocket", "Connection": "Upgrade, close"},
}

_QUOTES = re.compile("[\"':]")
"""Before what a reason quotes of the request: from there on it may be a token."""


class AdmittedUpgrade(ClientConnection):
    """Of a WebSocket connection: to come before Autobahn's own class, whose names these are."""

    http_request_data: bytes
    wasClean: bool
    wasNotCleanReason: str
    sendData: Any
    dropConnection: Any

    _refused: Refused | None = None

    def onConnect(self, request: Any) -> Any:
        listener = listener_of(self.transport)
        if listener is not None and listener.has_stopped:
            # By a connection that was there before: what is let in would be sent away again.
            raise ConnectionDeny(HTTPStatus.SERVICE_UNAVAILABLE.value)
        # The bytes rather than Autobahn's headers: see ``header_values``.
        self._refused = self.arrive(self.http_request_data)
        if self._refused is not None:
            is_total = self._refused.limit.name == MAX_CONNECTIONS
            status = HTTPStatus.SERVICE_UNAVAILABLE if is_total else HTTPStatus.TOO_MANY_REQUESTS
            raise ConnectionDeny(status.value)
        return super().onConnect(request)  # type: ignore[misc]  # Autobahn's, of the class that this one is mixed into

    def failHandshake(self, reason: str, code: int = 400, responseHeaders: Any = None) -> None:
        headers = dict(responseHeaders or ())
        listener = listener_of(self.transport)
        if listener is not None and listener.has_stopped:
            self._answer_error(draining())
        elif self._refused is not None:
            self._answer_error(_no_room(self._refused))
        else:
            # Whose connection it is has not been found out where the request is not one for an upgrade.
            if listener is not None:
                listener.count_refusal(HANDSHAKE)
            self._answer_upgrade(code, _problem(code, reason), {**_HEADERS.get(code, {}), **headers})

    def _answer_error(self, error: ApiError) -> None:
        headers = {name.decode(): value.decode() for name, value in error.headers.items()}
        self._answer_upgrade(error.status, error.body(), headers)

    def _answer_upgrade(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        """Answer the opening handshake with an error, and close."""
        headers = {
            "Content-Type": PROBLEM_TYPE.decode(),
            "Content-Length": str(len(content)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Connection": "close",
            **headers,
        }
        known = HTTPStatus(status)
        lines = [f"HTTP/1.1 {known.value} {known.phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        self.sendData("\r\n".join([*lines, "", ""]).encode("ascii") + content)
        # Autobahn would log at level warn why it was not.
        self.wasClean = True
        self.wasNotCleanReason = "the opening handshake was refused"
        self.dropConnection(abort=False)


def _no_room(refused: Refused) -> ApiError:
    limit = refused.limit
    error = limit_exceeded(limit.name, limit.value, retry_after_s(refused))
    if limit.name == MAX_CONNECTIONS:
        return RealmFull(error.uri, limit=limit.name, value=limit.value, headers=error.headers)
    return error


def _problem(status: int, reason: str) -> bytes:
    """Return the body for a handshake that Autobahn refuses.

    What Autobahn quotes of the request is left out.
    """
    detail = _QUOTES.split(reason, maxsplit=1)[0].strip() if reason else None
    if status in _TYPES:
        return ApiError(_TYPES[status], detail).body()
    return problem_of_status(HTTPStatus(status), detail)
