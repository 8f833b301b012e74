"""A line of block characters. Pure."""

from __future__ import annotations

from collections.abc import Iterable

BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Iterable[float | None], width: int) -> str:
    """Return the last ``width`` values between the lowest and the highest of them; a space where there was none.

    Values that are all alike lie in the middle. What is shorter is filled up on the left.
    """
    shown = list(values)[-width:]
    known = [value for value in shown if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    span = high - low
    top = len(BLOCKS) - 1
    drawn = "".join(
        " " if value is None else BLOCKS[round((value - low) / span * top) if span > 0 else top // 2] for value in shown
    )
    return drawn.rjust(width)
