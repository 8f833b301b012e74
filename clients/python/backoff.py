"""How long to wait before something is tried again."""

import random
from collections.abc import Callable

FIRST_RETRY_CEILING_S = 1.0
RETRY_CEILING_S = 30.0


def retry_delay_s(attempt: int, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """Return the delay before the next attempt: uniform between 0 and a ceiling that doubles up to 30 s ("full jitter")."""
    return uniform(0.0, min(RETRY_CEILING_S, FIRST_RETRY_CEILING_S * 2 ** min(attempt, 16)))
