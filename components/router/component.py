"""What runs beside a router, in its worker: Autobahn's session, which leaves the router once."""

from __future__ import annotations

from typing import Any

from autobahn.twisted.wamp import ApplicationSession


class RouterComponent(ApplicationSession):  # type: ignore[misc]  # Autobahn ships no types
    """The base of Crosstick's in-router components."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self._has_left = False

    def disconnect(self) -> None:
        """Leave the router, if that has not been done.

        A worker that ends has each component leave, which disconnects it, and disconnects it; the router warns of the second.
        """
        if not self._has_left:
            self._has_left = True
            super().disconnect()
