"""How fast a gateway may take what a session sends without end, and still leave it open. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from components.core.limits import Limits


@dataclass(slots=True)
class Taken:
    """What a gateway has shown to have taken of one session, by its answers."""

    answers: int = 0
    """But refusals for a limit, and pongs."""

    pongs: int = 0
    of: Counter[str] = field(default_factory=Counter)
    """``calls`` and ``publishes`` among them."""

    refusals: int = 0
    """For a limit."""


def within_limits(taken: Taken, limits: Limits, frames_per_pong: int, seconds: float) -> bool:
    """Tell whether a session that sent for so long got answers, and no more of them than its limits allow.

    Each pong shows that ``frames_per_pong`` frames have been taken, its ping included.
    """

    def allowed(burst: float, per_s: float | None) -> float:
        return float("inf") if per_s is None else burst + per_s * seconds

    messages = max(taken.answers + taken.pongs, taken.pongs * frames_per_pong)
    return (
        0 < messages <= allowed(limits.messages_burst, limits.messages_per_s)
        and taken.of["calls"] <= allowed(limits.calls_burst, limits.calls_per_s)
        and taken.of["publishes"] <= allowed(limits.publishes_burst, limits.publishes_per_s)
        and taken.refusals <= allowed(limits.refusals_burst, limits.refusals_per_s)
    )
