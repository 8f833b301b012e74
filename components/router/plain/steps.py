"""What is to be done for a client is done in steps, so that others have their turn in between."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum


class Step(Enum):
    """What a step that is done yields: when the next one may be."""

    DONE = "at its turn"
    BLOCKED = "when the connection takes bytes again"
    WAITS = "in a moment: what it needs is not there yet"


Work = Iterator[Step]
