"""What Crosstick is to reach, as data: figures of the benchmark, mostly in proportion to another system's in the same run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.bench.shapes import REFERENCE

SUBJECT = "crosstick"
MIN_FEED_FRAMES_PER_CORE_S = 100_000
"""For ``crosstick bench feed``, which measures that alone."""


@dataclass(frozen=True, slots=True)
class Target:
    """A bound for one figure of Crosstick, or of another of its endpoints."""

    shape: str
    figure: str
    """As in the benchmark's JSON; with ``@`` and a load's name where it is measured at loads."""

    text: str
    limit: float
    unit: str
    at_least: bool
    """Whether more is better; else the figure may be at most ``limit``."""

    against: str | None = None
    """The system whose same figure it is divided by."""

    subject: str = SUBJECT
    """The system whose figure it is."""

    def measured(self, summary: dict[str, dict[str, Any]]) -> float | None:
        """Return figure or ratio from the benchmark's medians; ``None`` where they do not have it."""
        systems = summary.get(self.shape, {})
        own = _figure(systems.get(self.subject, {}), self.figure)
        if own is None or self.against is None:
            return own
        other = _figure(systems.get(self.against, {}), self.figure)
        return own / other if other else None

    def met(self, measured: float) -> bool:
        """Tell whether a measured value is within the bound."""
        return measured >= self.limit if self.at_least else measured <= self.limit

    @property
    def bound(self) -> str:
        """The bound for people: ``≥ 100 × crossbar``."""
        return f"{'≥' if self.at_least else '≤'} {self.limit:g} {self.unit}"


def _times(
    shape: str,
    figure: str,
    text: str,
    limit: float,
    against: str = REFERENCE,
    *,
    at_least: bool,
    subject: str = SUBJECT,
) -> Target:
    return Target(shape, figure, text, limit, f"× {against}", at_least, against, subject)


TARGETS = (
    _times("100x100", "delivered_per_s", "delivered/s", 100, at_least=True),
    _times("100x100", "delivered_per_s", "delivered/s", 2, "nats", at_least=True),
    Target("100x100", "cpu_us_per_event", "CPU per event", 0.08, "µs", at_least=False),
    Target("100x100", "p99_ms@1x_stock", "p99 at the load that saturates stock Crossbar", 8, "ms", at_least=False),
    _times(
        *("100x100", "delivered_per_s", "plain clients' delivered/s", 0.85, SUBJECT),
        at_least=True,
        subject="crosstick-plain",
    ),
    _times("100x100of400", "delivered_per_s", "delivered/s", 25, at_least=True),
    _times("1000x10of400", "delivered_per_s", "delivered/s", 15, at_least=True),
    _times("1x100", "delivered_per_s", "delivered/s", 5, at_least=True),
    _times("1x100", "p50_ms@50", "p50 of a lone tick", 1, at_least=False),
    _times("100x100-external", "delivered_per_s", "delivered/s", 15, at_least=True),
    Target("100x100-external", "p99_ms@7.5x_stock", "p99 at half of that", 10, "ms", at_least=False),
    _times("connections", "coming_back_s", "time to come back", 0.2, at_least=False),
    _times("connections", "rss_kb_per_idle_connection", "memory per idle connection", 1, at_least=False),
)


def verdicts(summary: dict[str, dict[str, Any]], shapes: Sequence[str]) -> list[dict[str, Any]]:
    """Return every target of ``shapes`` with what was measured; ``measured`` and ``met`` are ``None`` where that is missing."""
    result = []
    for target in TARGETS:
        if target.shape in shapes:
            measured = target.measured(summary)
            result.append(
                {
                    "shape": target.shape,
                    "target": f"{target.text} {target.bound}",
                    "unit": target.unit,
                    "measured": None if measured is None else float(f"{measured:.4g}"),
                    "met": None if measured is None else target.met(measured),
                }
            )
    return result


def _figure(figures: dict[str, Any], name: str) -> float | None:
    plain, _, load = name.partition("@")
    if load:
        figures = next((entry for entry in figures.get("latency", ()) if entry["load"] == load), {})
    value: float | None = figures.get(plain)
    return value
