"""When garbage is collected: seldom, and when it is worth it.

A collection of everything goes through all that is alive: with many sessions and subscriptions that is some ten milliseconds
in which nobody gets a tick, and Python would do it whenever their number has grown by a quarter, several times a second
while clients come and go. What Python counts by itself here is young; the old is gone through when connections have gone,
whose objects refer to each other, and now and then.
"""

from __future__ import annotations

import gc
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

THRESHOLDS = (1_000, 5, 1_000_000)
"""Objects more than went, young collections, and of those collections of everything, which is never. Going through a thousand
takes part of a millisecond."""

MIN_GONE, MAX_GONE = 500, 5_000
"""Connections that have gone before everything is gone through, where they leave something: 15 kB each, perhaps."""

GONE_PER_S = 50_000
"""As many for each second that it took the last time: a worker that has much to go through does it less often."""

FREED_GONE = 50_000
"""As many where connections that have gone are freed without, as they should be."""

INTERVAL_S = 600.0
SETTLED_S = 2.0
"""After so long everything has been started that a worker starts."""


class Garbage:
    """One per router worker."""

    log = Logger()

    def __init__(self, clock: Any) -> None:
        """``clock`` is the reactor."""
        self._clock = clock
        self._gone = 0
        self._enough = MAX_GONE
        self._loop = LoopingCall(self.collect)
        self._loop.clock = clock

    def start(self) -> None:
        """Take what there is out of the collector's sight, and again when the transports are up; collect seldom after that.

        None of what Crossbar and its libraries make at their start is ever let go.
        """
        gc.set_threshold(*THRESHOLDS)
        _freeze()
        self._clock.callLater(SETTLED_S, _freeze)
        self._loop.start(INTERVAL_S, now=False).addErrback(self._stopped)

    def connection_gone(self) -> None:
        """Be told that a connection has gone."""
        self._gone += 1
        if self._gone == self._enough:
            self._clock.callLater(0, self.collect)

    def collect(self) -> None:
        """Go through everything."""
        gone, self._gone = self._gone, 0
        began_s = self._clock.seconds()
        found = gc.collect()
        took_s = self._clock.seconds() - began_s
        if gone >= MIN_GONE:
            # An object that is left of each, such as an error's frame, is none of a connection's.
            leaves = found > gone
            self._enough = min(max(MIN_GONE, int(took_s * GONE_PER_S)), MAX_GONE) if leaves else FREED_GONE

    def _stopped(self, failure: Failure) -> None:
        self.log.failure("garbage is collected no more but by number", failure=failure)


def _freeze() -> None:
    gc.collect()
    gc.freeze()
