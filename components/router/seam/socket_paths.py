"""WebSocket resources that have paths below them: ``/ws`` and ``/ws/trade``. Of the seam: see ``connections``.

Crossbar's ``path`` service puts its ``paths`` below the resource of its ``"/"``, which Autobahn's, a leaf, ignores.
"""

from __future__ import annotations

from typing import Any

from autobahn.twisted.resource import WebSocketResource
from crossbar.webservice import websocket as crossbar_websocket

from components.router.listeners.web import NOT_FOUND


class SocketResource(WebSocketResource):  # type: ignore[misc]
    """Autobahn's, with children; without any it stays the leaf that Autobahn's is."""

    def __init__(self, factory: Any) -> None:
        super().__init__(factory)
        self._children: dict[bytes, Any] = {}

    @property
    def isLeaf(self) -> bool:
        """Whether it answers for all that is below it."""
        return not self._children

    def putChild(self, path: bytes, child: Any) -> None:
        self._children[path] = child

    def getChildWithDefault(self, name: bytes, request: Any) -> Any:
        # ``/ws/`` is ``/ws``, as it is without children.
        return self._children.get(name) or (self if name == b"" else NOT_FOUND)


def install_socket_paths() -> None:
    """Let Crossbar's WebSocket services have paths below them, from here on."""
    crossbar_websocket.WebSocketResource = SocketResource
