"""The set of keys in force: the last good one, whatever its source has come to.

Says in the log when the source cannot be read any more and when it can again, once each.
"""

from __future__ import annotations

from typing import ClassVar

from twisted.logger import Logger

from components.tokens.jwks import parse_jwks
from components.tokens.keys import KeySet, KeyStatus


class LastGoodSet:
    """The set in force, and the log lines about its fate."""

    log: ClassVar[Logger] = Logger()

    def __init__(self, source: str) -> None:
        """Have none yet; ``source`` names in log lines where sets come from."""
        self.source = source
        self.set: KeySet | None = None
        self.last_error = ""
        self._read_at_s: float | None = None
        self._skipped: tuple[str, ...] = ()

    def take(self, text: bytes, now_s: float) -> None:
        """Put a set that was read in force.

        Raises:
            JwksError: it is not usable; the one before stays.
        """
        jwks = parse_jwks(text)
        if jwks.skipped and jwks.skipped != self._skipped:
            self.log.warn(
                "token keys from {source}: left out {skipped}", source=self.source, skipped=list(jwks.skipped)
            )
        self._skipped = jwks.skipped
        if self.last_error:
            self.log.info("token keys from {source}: read again", source=self.source)
        self.set, self.last_error, self._read_at_s = jwks.set, "", now_s

    def confirm(self, now_s: float) -> None:
        """Take note that the set in force is still what the source has."""
        self._read_at_s = now_s

    def failed(self, error: str) -> None:
        """Take note that the source could not be read; said once until it can be again."""
        if not self.last_error:
            kept = "the last good set stays in force" if self.set else "tickets are refused until there is a set"
            self.log.error("token keys from {source}: {error}; {kept}", source=self.source, error=error, kept=kept)
        self.last_error = error

    def status(self, now_s: float) -> KeyStatus:
        """Return how the source stands."""
        age_s = None if self._read_at_s is None else max(0.0, now_s - self._read_at_s)
        return KeyStatus(self.source, len(self.set.keys) if self.set else 0, age_s, self.last_error)

    def not_ready_because(self) -> list[str]:
        """Return why tokens cannot be verified; empty when there is a set."""
        if self.set is not None:
            return []
        return [f"no token keys from {self.source} yet" + (f": {self.last_error}" if self.last_error else "")]


def reason_of(error: Exception) -> str:
    """Return why a source could not be read, in one line for an operator."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
