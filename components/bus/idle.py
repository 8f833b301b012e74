"""A bus that carries nothing, for a feed whose batches nobody wants: what it counts is wanted."""

from __future__ import annotations

from components.bus import LeadableFeed, WriterFigures
from components.core.batch import Batch


class IdleBus:
    """A ``BusWriter``. The feed leads from the start, so that holes in the exchange's numbering are counted."""

    def __init__(self) -> None:
        self.figures = WriterFigures()

    def start(self, feed: LeadableFeed) -> None:
        """See ``BusWriter.start``."""
        feed.lead(None)

    async def stop(self) -> None:
        """See ``BusWriter.stop``."""

    def yield_lead(self, because: str) -> None:
        """See ``BusWriter.yield_lead``: there is no other feed."""

    def write(self, batch: Batch) -> None:
        """See ``BusWriter.write``: it goes nowhere."""

    def write_status(self, status: bytes) -> None:
        """See ``BusWriter.write_status``: it goes nowhere."""

    def troubles(self) -> list[str]:
        """See ``BusWriter.troubles``."""
        return []

    def warnings(self) -> list[str]:
        """See ``BusWriter.warnings``."""
        return []
