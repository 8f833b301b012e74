"""The faults of one process: what is wrong right now, and what went wrong lately. Pure.

Rules:

- A condition is begun and ended by ``set``, of a moment it is told that it has happened (``tell``).
- A condition that comes back within ``ALIKE_MS`` of its end, and a moment within ``ALIKE_MS`` of the last one of its name, is
  the same entry again, with a higher count: what flaps, or is done on purpose a thousand times, is one line.
- Of what has ended ``max_kept`` entries are kept. With more, the oldest of the name that has the most goes, so that no fault,
  however often it comes, takes another's place.
- An ordinary start is made of conditions that end soon, and is no row of faults. So while a process *starts*, conditions are
  told as they are, but ``HELD_AT_START`` is held back of what has ended, and of the counts, until it is known whether the
  start was an ordinary one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from components.core.faults import CONDITIONS, Fault, FaultKind

ALIKE_MS = 5_000
MAX_DETAIL = 200
"""Characters of a detail; what is longer is cut."""

HELD_AT_START = frozenset({*CONDITIONS, Fault.BUS_RETURNED, Fault.LOOP_BLOCKED})
"""What a start is made of: what is not there yet, and an event loop that stands still while nobody waits for it. Not what the
exchange or the bus had and nobody gets any more."""


@dataclass(frozen=True, slots=True)
class FaultEntry:
    """A fault that is, or was."""

    fault: Fault
    since_ms: int
    """When it began, or first happened, ms since 1970."""

    until_ms: int | None
    """When it ended, or last happened; ``None`` while it is."""

    count: int
    """How often it began or happened within the entry."""

    detail: str
    """The last one's, for people; may be empty."""

    def as_dict(self) -> dict[str, str | int | None]:
        """Return it for JSON: ``{"fault","since_ms","until_ms","count","detail"}``."""
        return {
            "fault": self.fault.value,
            "since_ms": self.since_ms,
            "until_ms": self.until_ms,
            "count": self.count,
            "detail": self.detail,
        }


class FaultLog:
    """The faults of one process."""

    def __init__(self, unix_ms: Callable[[], int], max_kept: int = 200, *, starting: bool = False) -> None:
        """``unix_ms`` tells the time, ms since 1970; ``max_kept`` bounds what is kept of what has ended.

        ``starting``: the process starts, until ``end_start``.

        Raises:
            ValueError: ``max_kept`` is less than 1.
        """
        if max_kept < 1:
            raise ValueError(f"max_kept must be > 0, was {max_kept}")
        self._unix_ms = unix_ms
        self._max_kept = max_kept
        self._active: dict[Fault, FaultEntry] = {}
        self._ended: list[FaultEntry] = []
        """The one that ended last stands last."""
        self._counts: Counter[Fault] = Counter()
        self._held: Counter[Fault] = Counter()
        """Of those that are held back, how often each has begun or happened."""
        self._starting = starting

    @property
    def counts(self) -> Mapping[Fault, int]:
        """How often each has begun or happened since the process began; only grows. What is held back is not in it."""
        return self._counts

    @property
    def starting(self) -> bool:
        """Whether the process starts still."""
        return self._starting

    def end_start(self, *, ordinary: bool) -> None:
        """Say that the process starts no more.

        Of an ``ordinary`` start what was held back is forgotten, but for the conditions that still are; else it is shown and
        counted as it was.
        """
        if not self._starting:
            return
        self._starting = False
        if ordinary:
            self._ended = [entry for entry in self._ended if entry.fault not in HELD_AT_START]
            self._held = Counter({fault: entry.count for fault, entry in self._active.items()})
        self._counts.update(self._held)
        self._held.clear()

    def set(self, fault: Fault, active: bool, detail: str = "") -> None:
        """Say whether a condition is; said again with another detail, it goes on with that one.

        Raises:
            ValueError: the fault is no condition.
        """
        if fault.kind is not FaultKind.CONDITION:
            raise ValueError(f"{fault.value} is no condition, but of kind {fault.kind.value}")
        entry = self._active.get(fault)
        detail = detail[:MAX_DETAIL]
        if active and entry is None:
            self._active[fault] = self._begun(fault, detail, 1, None)
        elif active and entry is not None and detail != entry.detail:
            self._active[fault] = replace(entry, detail=detail)
        elif not active and entry is not None:
            del self._active[fault]
            self._keep(replace(entry, until_ms=max(entry.since_ms, self._unix_ms())))

    def tell(self, fault: Fault, detail: str = "", times: int = 1) -> None:
        """Say that a moment has happened, ``times`` times at once; never mind where that is 0.

        Raises:
            ValueError: the fault is no moment, or ``times`` is negative.
        """
        if fault.kind is not FaultKind.MOMENT:
            raise ValueError(f"{fault.value} is no moment, but of kind {fault.kind.value}")
        if times < 0:
            raise ValueError(f"times must be >= 0, was {times}")
        if times:
            self._keep(self._begun(fault, detail[:MAX_DETAIL], times, self._unix_ms()))

    def active(self) -> list[FaultEntry]:
        """Return the conditions that are, the one that began last first."""
        return sorted(self._active.values(), key=lambda entry: entry.since_ms, reverse=True)

    def recent(self) -> list[FaultEntry]:
        """Return all that is known, what is and what was, the one that is or was last first; but for what is held back."""
        return [*self.active(), *(entry for entry in reversed(self._ended) if not self._is_held(entry.fault))]

    def _is_held(self, fault: Fault) -> bool:
        return self._starting and fault in HELD_AT_START

    def _begun(self, fault: Fault, detail: str, times: int, until_ms: int | None) -> FaultEntry:
        """Return a new entry, or the last one of its name taken up again."""
        (self._held if self._is_held(fault) else self._counts)[fault] += times
        now_ms = self._unix_ms()
        for place in range(len(self._ended) - 1, -1, -1):
            last = self._ended[place]
            if last.fault is fault:
                # A clock that was set back makes it younger than now: that is no reason for a new line.
                if last.until_ms is not None and now_ms - last.until_ms <= ALIKE_MS:
                    del self._ended[place]
                    until_ms = None if until_ms is None else max(until_ms, last.since_ms)
                    return FaultEntry(fault, last.since_ms, until_ms, last.count + times, detail)
                break
        return FaultEntry(fault, now_ms, until_ms, times, detail)

    def _keep(self, entry: FaultEntry) -> None:
        self._ended.append(entry)
        if len(self._ended) > self._max_kept:
            [(most, _)] = Counter(each.fault for each in self._ended).most_common(1)
            del self._ended[next(place for place, each in enumerate(self._ended) if each.fault is most)]
