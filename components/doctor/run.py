"""Runs checks, all at once and each within its bound: one that hangs holds up nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from components.doctor.findings import Finding, Result, fail
from components.doctor.node_setup import Setup


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at."""

    name: str
    """Stable: scripts may know it."""
    section: str
    look: Callable[[Setup], Sequence[Finding]]
    """Changes nothing. No finding: there is nothing to look at in this set-up."""
    bound_s: float = 5.0


def run_checks(checks: Sequence[Check], setup: Setup) -> Iterator[Result]:
    """Yield what comes of each, in their order; of those that have nothing to look at nothing."""
    begun_s = time.monotonic()
    running = [(check, _Run(check, setup)) for check in checks]
    for check, run in running:
        run.thread.join(max(0.0, begun_s + check.bound_s - time.monotonic()))
        findings = run.findings
        if findings is None:
            late = f"no answer within {check.bound_s:g} s"
            findings = [fail(late, "what it asks may be overloaded, or dropped by a firewall without a word")]
        if findings:
            yield Result(check.name, check.section, tuple(findings), run.seconds or time.monotonic() - begun_s)


class _Run:
    def __init__(self, check: Check, setup: Setup) -> None:
        self.findings: Sequence[Finding] | None = None
        self.seconds = 0.0
        self._check = check
        self._setup = setup
        # Of one that hangs the process does not wait for the end.
        self.thread = threading.Thread(target=self._run, name=f"check-{check.name}", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        begun_s = time.monotonic()
        try:
            self.findings = self._check.look(self._setup)
        except Exception as error:
            # Not to be read as good news. The text may quote what was looked at, a secret even: its kind must do.
            what = f"the check itself broke: {type(error).__name__}"
            self.findings = [fail(what, "this is a mistake of crosstick doctor's own: please report it")]
        self.seconds = time.monotonic() - begun_s
