"""How old trades are when they are written to clients. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from components.core.topics import symbol_and_family

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)

LOOKED_AT = 16
"""Events of a batch among which a trade is looked for. They are as often trades as best prices, which have no such time."""

_TIME = b'"ts":'


def trade_time_ms(events: Sequence[tuple[str, int, bytes]]) -> int | None:
    """Return the exchange's time of the first trade of a batch's first few events, ms since 1970; ``None`` where none is.

    ``events`` are a batch's: ``(topic, seq, payload)``. Trades of a batch are in their order, so that it is the oldest.
    """
    for topic, _, payload in islice(events, LOOKED_AT):
        at = payload.find(_TIME)
        # Statistics have one, too: of what they say of a day, which those of a symbol that is quiet said long ago.
        if at >= 0 and symbol_and_family(topic)[1] == "":
            digits = payload[at + len(_TIME) : payload.find(b",", at)]
            return int(digits) if digits.isdigit() else None
    return None
