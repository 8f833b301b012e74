"""Publishes ticks at the rates that somebody is subscribed to.

Owns the timers, one per rate in use, so that all symbols of a rate go out in one batch; what is made of the trades is
``components.core.rates``' business. While nobody is subscribed nothing runs, and ``active`` is all that a batch looks at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
        self, clock: Any, rates: Iterable[Rate], publish_batch: Callable[[list[tuple[str, EncodedPayload]]], None]
    ) -> None:
        """Make ticks at ``rates`` by ``clock`` (``seconds`` and ``callLater``) and hand them to ``publish_batch``."""
        self.active = False
        """Whether somebody is subscribed to a rate; while nobody is, batches need not come here."""
        self._clock = clock
        self._publish_batch = publish_batch
        self._conflator = RateConflator(rates)
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
        self._publish(self._conflator.make(rate))

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

    def _publish(self, events: list[Event]) -> None:
        if events:
            self._publish_batch([(topic, EncodedPayload(payload)) for topic, payload in events])

    def last_event(self, topic: str, newest_tick: bytes | None) -> bytes | None:
        """Return what a late joiner of a topic is given; ``newest_tick`` is its symbol's newest tick, one per trade."""
        return self._conflator.last_event(topic, newest_tick)
