"""A client's place with a symbol that nothing in C works on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class PlainPlace:
    """See ``components.cluster.sequence.Place``."""

    seq: int = 0
    id: int = 0
    held: bool = False
