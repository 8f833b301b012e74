"""The opening handshake of WebSocket connections: whose pages may connect, and what a refusal says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from autobahn.websocket.types import ConnectionDeny
from twisted.internet.interfaces import ISSLTransport

from components.core.origins import SAME_ORIGIN, OriginPolicy
from components.router.listeners.headers import SERVER

MAX_REASON_CHARACTERS = 200

refused_handshakes: Counter[int] = Counter()
"""WebSocket handshakes of this worker that were refused, by HTTP status; among them 403 for an origin that is not allowed."""

_ORIGIN_REFUSED = "pages of this origin may not connect"


class CheckedHandshake:
    """What a WebSocket server protocol of Autobahn's checks and says before a connection is open; a base before it."""

    factory: Any
    transport: Any

    def onConnect(self, request: Any) -> Any:
        """Refuse pages that the factory's ``origins`` do not allow, 403; ``SAME_ORIGIN`` where it has none."""
        origins: OriginPolicy = getattr(self.factory, "origins", SAME_ORIGIN)
        headers = request.headers
        secure = ISSLTransport.providedBy(self.transport)
        if not origins.allows(headers.get("origin"), headers.get("host"), secure=secure):
            raise ConnectionDeny(ConnectionDeny.FORBIDDEN, _ORIGIN_REFUSED)
        return super().onConnect(request)  # type: ignore[misc]

    def sendHttpErrorResponse(
        self, code: int, reason: str, responseHeaders: Iterable[tuple[str, str]] | None = None
    ) -> None:
        """Answer a refused handshake.

        Autobahn's reasons quote the request: they go into the body, as plain ASCII text of bounded length, and never into the
        status line.
        """
        refused_handshakes[code] += 1
        self.sendData(refusal(code, reason, responseHeaders or ()))  # type: ignore[attr-defined]


def refusal(code: int, reason: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return the answer to a handshake that is refused."""
    body = ascii(reason[:MAX_REASON_CHARACTERS])[1:-1].encode() + b"\n"
    try:
        phrase = HTTPStatus(code).phrase
    except ValueError:
        phrase = "Refused"
    lines = [
        f"HTTP/1.1 {code} {phrase}",
        f"Server: {SERVER.decode()}",
        "Content-Type: text/plain; charset=utf-8",
        "X-Content-Type-Options: nosniff",
        "Cache-Control: no-store",
        "Connection: close",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
