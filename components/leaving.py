"""When the node's own components in container workers leave: with their router, which lets the clients go first.

A controller that is sent SIGTERM sends it to all workers at once (``components.router.drain.node_link``). What feeds the router
has to go on while that drains, and ends when the connection to it does.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any


class StaysWithRouter:
    """Whether this process goes on when it is sent SIGTERM; of its main thread, one per process."""

    def __init__(self) -> None:
        self._before: Any = None
        self._stays = False

    def begin(self) -> None:
        """Go on: the router has taken the component in."""
        if not self._stays:
            self._before = signal.signal(signal.SIGTERM, self._passed_over)
            self._stays = True

    def end(self) -> None:
        """End as any other process: the router has gone."""
        if self._stays:
            signal.signal(signal.SIGTERM, self._before)
            self._stays = False

    def _passed_over(self, _number: int, _frame: FrameType | None) -> None:
        """Do nothing, other than SIG_IGN in that no child inherits it."""
