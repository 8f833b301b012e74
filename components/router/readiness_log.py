"""One line whenever a gateway becomes ready, or is no longer: what ``/readyz`` answers, for who reads the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from twisted.logger import Logger


class ReadinessLog:
    """Told every second why the gateway is not ready."""

    log: ClassVar[Logger] = Logger()

    def __init__(self) -> None:
        self._ready: bool | None = None
        self._was_ready = False

    def look(self, because: Sequence[str]) -> None:
        """Say in the log what has changed; an empty ``because`` is ready."""
        ready = not because
        if ready is self._ready:
            return
        self._ready = ready
        if ready:
            self.log.info("ready: clients are served")
            self._was_ready = True
        elif self._was_ready:
            self.log.warn("not ready: {because}", because="; ".join(because))
        else:
            # So it is while a node starts.
            self.log.info("not ready yet: {because}", because="; ".join(because))
