"""What is wrong with Kafka, for the log: said once when it begins, and when it is over.

What librdkafka says of one and the same trouble changes from moment to moment: a trouble is known by its words without figures.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

from twisted.logger import Logger

MAX_CAUSES = 4
"""So many causes are said of one trouble."""

OVER_AFTER_S = 1.0
"""A trouble that comes back within this time has not been over: brokers that answer one question may not answer the next."""

_VARYING = re.compile(r"\d+|\(after .*")


class KafkaHealth:
    """Begins unknown: no broker has answered yet. For use by one thread."""

    def __init__(self, where: str, log: Logger, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        """Log to ``log`` of the brokers that ``where`` names."""
        self._where = where
        self._log = log
        self._monotonic_s = monotonic_s
        self._was_well = False
        self._said: set[str] = set()
        """Of the trouble that lasts; empty while there is none."""

        self._began_s = 0.0
        self._well_since_s: float | None = None

    def look(self, troubles: Sequence[str], *, answered: bool) -> None:
        """Log what is new of ``troubles``, and their end; to be called several times a second.

        ``answered``: a broker has, some time. Before that nothing is well, though nothing may be known to be wrong.
        """
        now_s = self._monotonic_s()
        if troubles:
            self._warn(troubles, now_s)
            self._well_since_s = None
        elif answered:
            self._well(now_s)

    def _warn(self, troubles: Sequence[str], now_s: float) -> None:
        if not self._said:
            self._began_s = now_s
        for trouble in troubles:
            cause = _VARYING.sub("", trouble)
            if cause not in self._said and len(self._said) < MAX_CAUSES:
                self._said.add(cause)
                self._log.warn("{trouble}", trouble=trouble)

    def _well(self, now_s: float) -> None:
        if self._well_since_s is None:
            self._well_since_s = now_s
        if self._was_well and not self._said:
            return
        if now_s - self._well_since_s < OVER_AFTER_S:
            return
        if self._was_well:
            seconds = self._well_since_s - self._began_s
            self._log.info("{where} is back after {seconds:.1f} s", where=self._where, seconds=seconds)
        else:
            self._log.info("connected to {where}", where=self._where)
        self._was_well = True
        self._said.clear()
