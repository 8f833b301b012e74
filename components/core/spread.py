"""How many of those who are left are due, so that all have had their turn in a given time, evenly spread. Pure."""

from __future__ import annotations

from math import ceil

MIN_STEP_S = 0.01
"""Steps are not shorter than that: in one, several are due."""


def next_step(left: int, left_s: float) -> tuple[float, int]:
    """Return after how many seconds the next of ``left`` are due, and how many then; ``left_s`` remain for all.

    Meant to be asked anew after each step: who comes in between shortens the steps, who goes lengthens them.

    >>> next_step(3, 10.0)
    (2.5, 1)
    >>> next_step(9_999, 10.0)
    (0.01, 10)
    >>> next_step(50, 0.0)
    (0.0, 50)
    """
    if left_s <= MIN_STEP_S:
        return max(left_s, 0.0), left
    # As if the one before had just had its turn: the last is due a step before the end.
    step_s = left_s / (left + 1)
    if step_s >= MIN_STEP_S:
        return step_s, 1
    number = min(left, ceil(MIN_STEP_S / step_s))
    return number * step_s, number
