"""When a feed that does not lead claims the lead. Pure: times come in as arguments, in seconds.

A feed that looks whether another is alive must not mistake a broker that is away for a feed that is. So it asks the log: it
writes a probe, waits until it reads it back, and writes the next. When several have come back in a row and nothing of the
leading feed stood between them, that feed writes no more, though the broker takes and gives records.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import Enum

from components.bus.kafka.log import TOKEN_BYTES, Kind, LogReading, Taken


class Step(Enum):
    """What a feed that does not lead does next."""

    PROBE = "probe"
    CLAIM = "claim"


@dataclass(frozen=True, slots=True)
class CandidacyLimits:
    """How long a leading feed may be silent."""

    probe_every_s: float = 0.4
    probes: int = 3
    """That come back in a row before the lead is claimed."""

    quiet_s: float = 1.2
    """From the first of them to the last, at least."""

    slow_s: float = 1.0
    """One that comes back later came through a broker that was away, and those before it count no more: the leading feed may
    not be connected again. So of brokers that always take so long nobody takes the lead over."""

    ready_for_s: float = 2.0
    """So long after its last probe a feed counts as one that stands by and is ready to lead."""

    lost_after_s: float = 5.0
    """A probe or claim that has not come back by then is written anew."""


class Candidacy:
    """A feed's way to the lead."""

    def __init__(
        self, limits: CandidacyLimits | None = None, former: bytes | None = None, not_before: float = 0.0
    ) -> None:
        """``former``: the token of a lead that this feed gave up, for which nobody needs to wait to be silent.

        ``not_before``: until then the lead is left to others.
        """
        self._limits = limits or CandidacyLimits()
        self._former = former
        self.token = secrets.token_bytes(TOKEN_BYTES)
        """Of the next claim, and of the probes before it."""

        self._probed_at: float | None = None
        self._claimed_at: float | None = None
        self._back = 0
        self._back_since = 0.0
        self._next_at = 0.0
        self._not_before = not_before
        self._came_back = False

    def took(self, taken: Taken, reading: LogReading, now: float) -> None:
        """Hear of a record that ``reading`` took."""
        if taken.kind is Kind.PROBE:
            if taken.token == self.token and self._probed_at is not None:
                if not self._back or now - self._probed_at > self._limits.slow_s:
                    self._back, self._back_since = 0, now
                self._next_at = self._probed_at + self._limits.probe_every_s
                self._probed_at = None
                self._came_back = True
                self._back += 1
        elif taken.counts or reading.token is None:
            # Where nobody knows yet who leads, whoever writes may be it.
            self._back, self._came_back = 0, False

    def next_step(self, reading: LogReading, now: float, *, may_claim: bool = True) -> Step | None:
        """Return what is to be written, if anything; it is taken as written. Unless it ``may_claim`` it does but probe."""
        came_back, self._came_back = self._came_back, False
        for written_at in (self._claimed_at, self._probed_at):
            if written_at is not None and now - written_at >= self._limits.lost_after_s:
                self.lost(now)
        if self._claimed_at is not None:
            return None
        # Where nobody knows who leads, somebody may.
        free = reading.vacant or (reading.token is not None and reading.token == self._former)
        quiet = came_back and self._back >= self._limits.probes and now - self._back_since >= self._limits.quiet_s
        if may_claim and (free or quiet) and now >= self._not_before:
            self._claimed_at = now
            return Step.CLAIM
        if self._probed_at is None and now >= self._next_at:
            self._probed_at = now
            return Step.PROBE
        return None

    def lost(self, now: float) -> None:
        """Wait no more for what was written; write anew, a little later."""
        if self._claimed_at is not None or self._probed_at is not None:
            self._claimed_at = self._probed_at = None
            # Should it arrive all the same it must not be taken for the next.
            self.token = secrets.token_bytes(TOKEN_BYTES)
            self._next_at = self._not_before = now + self._limits.probe_every_s
