"""The opening handshake of WebSocket connections: whose pages may connect."""

from __future__ import annotations

from typing import Any

from autobahn.websocket.types import ConnectionDeny
from twisted.internet.interfaces import ISSLTransport

from components.core.origins import SAME_ORIGIN
from components.router.listeners.http_channel import ORIGIN, HttpPolicy


class CheckedHandshake:
    """What a WebSocket server protocol of Autobahn's checks before a connection is open; a base before it.

    The factory's ``http_policy`` says which origins are allowed, and counts those that are not; where it has none, its own.
    """

    factory: Any
    transport: Any

    def onConnect(self, request: Any) -> Any:
        """Refuse pages of other origins with 403.

        Raises:
            ConnectionDeny: the page may not connect.
        """
        policy: HttpPolicy | None = getattr(self.factory, "http_policy", None)
        origins = SAME_ORIGIN if policy is None else policy.origins
        secure = ISSLTransport.providedBy(self.transport)
        if not origins.allows(request.headers.get("origin"), request.headers.get("host"), secure=secure):
            if policy is not None:
                policy.refused[ORIGIN] += 1
            raise ConnectionDeny(ConnectionDeny.FORBIDDEN, "pages of this origin may not connect")
        return super().onConnect(request)  # type: ignore[misc]
