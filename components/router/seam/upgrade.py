"""The WebSocket upgrade of a client: whether there is room, and how it is told that there is none; see ``connections``."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from autobahn.websocket.types import ConnectionDeny

from components.core.admission import Refused
from components.router.listeners.connection import listener_of
from components.router.listeners.listener import HANDSHAKE, MAX_CONNECTIONS, retry_after_s
from components.router.seam.transports import ClientConnection
from components.uris import CLOSE_DRAINING, ERROR_LIMIT_EXCEEDED

DRAINING_RETRY_AFTER_S = 1
"""By then a balancer has found another node."""


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
            headers["Retry-After"] = str(DRAINING_RETRY_AFTER_S)
            self._refuse_upgrade(code, {"code": CLOSE_DRAINING}, headers)
            return
        if self._refused is None:
            # Whose connection it is has not been found out where the request is not one for an upgrade.
            if listener is not None:
                listener.count_refusal(HANDSHAKE)
            self._refuse_upgrade(code, {"message": reason}, headers)
            return
        limit = self._refused.limit
        headers["Retry-After"] = str(retry_after_s(self._refused))
        self._refuse_upgrade(code, {"code": ERROR_LIMIT_EXCEEDED, "limit": limit.name, "value": limit.value}, headers)

    def _refuse_upgrade(self, status: int, body: dict[str, Any], headers: dict[str, str]) -> None:
        """Answer the opening handshake with an error, and close.

        What the client sent may be in the body, where JSON escapes it: never in the response's line or in the log.
        """
        self._answer_upgrade(status, json.dumps(body).encode() + b"\n", headers)

    def _answer_upgrade(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        headers = {
            "Content-Type": "application/json",
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
