"""What every bus guarantees, whatever carries it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from components.core.batch import Batch

OnBatch = Callable[[Batch], None]
OnStatus = Callable[[bytes], None]
"""Takes the feed's status as the JSON of one object."""


class BusWriter(Protocol):
    """A feed's side of the bus."""

    def write(self, batch: Batch) -> None:
        """Send a batch; batches arrive in the order of the calls, each once, or the bus reports itself lost.

        Never blocks. Beyond its bound the bus asks the feed to stop reading from the exchange (``on_full``) and later to go
        on (``on_drained``); a batch handed over in between is still kept, so that one read's worth is never lost.
        """

    def write_status(self, status: bytes) -> None:
        """Send the feed's status, the JSON of one object; only the newest is of interest, older ones may be skipped."""


class BusReader(Protocol):
    """A router's side of the bus."""

    async def start(self, on_batch: OnBatch, on_status: OnStatus) -> None:
        """Deliver batches in order, and statuses, until the session ends.

        A callback that raises makes the writer's batch fail: it is reported there, not swallowed here.
        """
