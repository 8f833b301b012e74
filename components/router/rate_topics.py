"""Publishes ticks at the rates that somebody is subscribed to.

Owns the timers, one per rate in use, so that all symbols of a rate go out in one batch; what is made of the trades is
``components.core.rates``' business. While nobody is subscribed nothing runs, and ``active`` is all that a batch looks at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from components.core.batch import Batch
from components.core.payload import EncodedPayload
from components.core.rates import Event, Rate, RateConflator


class RateTopics:
    """All topics of ticks at a rate, of one realm on this worker."""

    log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        clock: Any,
        monotonic_s: Callable[[], float],
        conflator: RateConflator,
        publish_batch: Callable[[list[tuple[str, EncodedPayload]]], None],
    ) -> None:
        """Make what ``conflator`` accumulates, with timers of ``clock`` (``callLater``), and hand it to ``publish_batch``.

        ``monotonic_s`` tells when it was made.
        """
        self.active = False
        """Whether somebody is subscribed to a rate; while nobody is, batches need not come here."""
        self._clock = clock
        self._monotonic_s = monotonic_s
        self._publish_batch = publish_batch
        self._conflator = conflator
        self._timers: dict[Rate, LoopingCall] = {}

    # What the seam tells

    def subscribed(self, uri: str, match: str) -> None:
        """Be told that a subscription has its first client."""
        self._conflator.subscribed(uri, match)
        self._adjust()

    def unsubscribed(self, uri: str, match: str) -> None:
        """Be told that a subscription has lost its last client."""
        self._conflator.unsubscribed(uri, match)
        self._adjust()

    def _adjust(self) -> None:
        in_use = self._conflator.in_use
        self.active = bool(in_use)
        for rate in self._timers.keys() - in_use:
            self._timers.pop(rate).stop()
        for rate in in_use:
            if rate not in self._timers:
                timer = self._timers[rate] = LoopingCall(self._make, rate)
                timer.clock = self._clock
                timer.start(rate.interval_ms / 1000, now=False).addErrback(self._failed, rate)

    def _make(self, rate: Rate) -> None:
        self._publish(self._conflator.make(rate, self._monotonic_s()))

    def _failed(self, failure: Failure, rate: Rate) -> None:
        # The next subscription to the rate starts it anew.
        self._timers.pop(rate, None)
        self.log.failure("ticks {rate} are no longer made", failure=failure, rate=rate.name)

    def stop(self) -> None:
        """Stop all timers."""
        for timer in self._timers.values():
            timer.stop()
        self._timers.clear()

    # Events

    def take_batch(self, batch: Batch) -> None:
        """Publish what is left of an earlier epoch, and accumulate a batch's ticks; call it before the batch is published."""
        self._publish(self._conflator.begin_epoch(batch.epoch))
        unmergeable_before = self._conflator.unmergeable
        self._conflator.add(batch.events)
        if self._conflator.unmergeable and not unmergeable_before:
            self.log.error("the feed has sent an event on a topic of ticks that is no tick; rates leave such out")

    def end(self, symbol: str) -> None:
        """Publish what is left of a symbol whose ticks come no more for the time being."""
        self._publish(self._conflator.end(symbol))

    def _publish(self, events: list[Event]) -> None:
        if events:
            self._publish_batch([(topic, EncodedPayload(payload)) for topic, payload in events])
