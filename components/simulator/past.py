"""What a simulated symbol did before the exchange was started, hour by hour: made up, but the same for the same seed. Pure."""

from __future__ import annotations

from random import Random

from components.simulator.amounts import Bar

_PER_MILLION = 1_000_000
_HOURLY_MOVE = 6_000
"""The furthest that a price comes in an hour, in millionths."""

_SWING = 3_000
"""The furthest that it goes beyond the hour's first and last price, in millionths."""


def past_hours(seed: int, close: int, steps_per_hour: int, hours: int) -> list[Bar]:
    """Return the hours up to one that closed at ``close`` ticks, the oldest first; each opens where the one before closed.

    An hour has between half and one and a half times ``steps_per_hour`` of volume.
    """
    random = Random(seed)  # noqa: S311  repeatable figures, no secrets
    bars = []
    for _ in range(hours):
        opened = max(1, close + close * random.randint(-_HOURLY_MOVE, _HOURLY_MOVE) // _PER_MILLION)
        high, low = max(opened, close), min(opened, close)
        high += high * random.randint(0, _SWING) // _PER_MILLION
        low = max(1, low - low * random.randint(0, _SWING) // _PER_MILLION)
        volume = steps_per_hour * random.randint(50, 150) // 100
        bars.append(Bar(opened, high, low, close, volume, volume * (opened + high + low + close) // 4))
        close = opened
    return bars[::-1]
