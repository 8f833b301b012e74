"""Keys from a JWK Set in a file, which is looked at every few seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from components.tokens.errors import TokenKeyError
from components.tokens.jwks import MAX_JWKS_BYTES, JwksError
from components.tokens.keys import KeySet, KeyStatus
from components.tokens.last_good import LastGoodSet, reason_of

LOOK_INTERVAL_S = 5.0
EARLY_INTERVAL_S = 1.0
"""Least time between two looks that tokens ask for."""


class JwksFile:
    """A set in a file, read anew when the file is another than before."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            TokenKeyError: it cannot be read or is not usable.
        """
        self._path = path
        self._good = LastGoodSet(str(path))
        self._seen: tuple[int, ...] | None = None
        self._reactor: Any = None
        self._watch = LoopingCall(self._look)
        self._looked_early_at_s: float | None = None
        try:
            self._read(0.0)
        except (OSError, JwksError) as error:
            raise TokenKeyError(f"CROSSTICK_TOKEN_JWKS {path}: {reason_of(error)}") from error

    def keys(self) -> KeySet | None:
        """See ``KeySource``."""
        return self._good.set

    def start(self, reactor: Any) -> None:
        """See ``KeySource``."""
        self._reactor = reactor
        self._watch.clock = reactor
        self._good.confirm(reactor.seconds())
        self._watch.start(LOOK_INTERVAL_S, now=False).addErrback(self._watch_failed)

    def stop(self) -> None:
        """See ``KeySource``."""
        if self._watch.running:
            self._watch.stop()

    def early_refresh(self) -> Deferred[None] | None:
        """See ``KeySource``; what it returns has fired."""
        if self._reactor is None:
            return None
        now_s = self._reactor.seconds()
        if self._looked_early_at_s is not None and 0 <= now_s - self._looked_early_at_s < EARLY_INTERVAL_S:
            return None
        self._looked_early_at_s = now_s
        self._look()
        return succeed(None)

    def status(self) -> KeyStatus:
        """See ``KeySource``."""
        return self._good.status(0.0 if self._reactor is None else self._reactor.seconds())

    def not_ready_because(self) -> list[str]:
        """See ``KeySource``."""
        return self._good.not_ready_because()

    def _look(self) -> None:
        now_s = self._reactor.seconds()
        try:
            if self._identity() == self._seen:
                self._good.confirm(now_s)
            else:
                self._read(now_s)
        except (OSError, JwksError) as error:
            self._seen = None
            self._good.failed(reason_of(error))

    def _read(self, now_s: float) -> None:
        seen = self._identity()
        with self._path.open("rb") as file:
            text = file.read(MAX_JWKS_BYTES + 1)
        self._good.take(text, now_s)
        self._seen = seen

    def _identity(self) -> tuple[int, ...]:
        status = self._path.stat()
        return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)

    def _watch_failed(self, failure: Failure) -> None:
        self._good.log.failure("the watch over the token keys stopped", failure=failure)
