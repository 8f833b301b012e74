"""What a check finds, and what that says of the whole. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Level(Enum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """It runs, and may not for ever, or not as well as it could."""
    FAIL = "fail"
    """The node will not start, will not serve its clients, or is open to those it should not be."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing; no secret is in it."""

    level: Level
    text: str
    """One line."""
    hint: str = ""
    """What to do, where there is something."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one check."""

    check: str
    section: str
    findings: tuple[Finding, ...]
    seconds: float

    def as_object(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "check": self.check,
            "section": self.section,
            "level": worst(self.findings).value,
            "seconds": round(self.seconds, 3),
            "findings": [{"level": one.level.value, "text": one.text, "hint": one.hint} for one in self.findings],
        }


def ok(text: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(Level.OK, text)


def warn(text: str, hint: str) -> Finding:
    """Return that something may go wrong."""
    return Finding(Level.WARN, text, hint)


def fail(text: str, hint: str) -> Finding:
    """Return that something is wrong."""
    return Finding(Level.FAIL, text, hint)


def worst(findings: Iterable[Finding]) -> Level:
    """Return the highest level of some findings; of none that is ``OK``."""
    levels = list(Level)
    return max((one.level for one in findings), key=levels.index, default=Level.OK)
