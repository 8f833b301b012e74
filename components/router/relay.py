"""What the gateway makes of what its bus brings: the market's state, events for clients, and whether clients can be served.

Owns the order in which these happen; never touches a router: it publishes through what it is given.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from twisted.logger import Logger

from components.bus import BusReader
from components.core.batch import Batch, Standing
from components.core.leading_feed import NO_FEED_WRITES, NO_FEED_YET
from components.core.market import Market
from components.core.payload import EncodedPayload
from components.core.replay import TickHistory
from components.core.retained import RetainedEvents
from components.core.tick_age import trade_time_ms
from components.router.engine.fanout import MadeMs, no_time
from components.router.rate_topics import RateTopics
from components.uris import MARKET_STATUS

BUS_BACK_GRACE_S = 10.0
"""How long after the bus has come back no feed need have been heard: one has to find it again, and to take the lead."""

BUS_AWAY_GRACE_S = 60.0
"""How long a bus may be in trouble, and no feed be heard, before a gateway that was serving is not ready: it may be alone."""

FEED_AWAY_GRACE_S = 60.0
"""How long a feed that nobody else reads may have nothing from the exchange before a gateway that was serving is not ready."""

HISTORY_GRACE_S = 30.0
"""How long clients wait for the bus's history, from when it says what stands; then they are told what is here."""


class Relay:
    """The gateway's ``BusListener``."""

    log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        market: Market,
        history: TickHistory,
        rates: RateTopics,
        retained: RetainedEvents,
        publish_batch: Callable[[Sequence[tuple[str, EncodedPayload]], MadeMs], None],
        publish_status: Callable[[dict[str, Any]], None],
        monotonic_s: Callable[[], float],
    ) -> None:
        """Publish by ``publish_batch(events, made_ms)``; see ``FanOut.publish_batch``."""
        self._market = market
        self._history = history
        self._rates = rates
        self._retained = retained
        self._publish_batch = publish_batch
        self._publish_status = publish_status
        self._monotonic_s = monotonic_s
        self._bus: BusReader | None = None
        self._feed_was_lost = True
        self._epoch = 0
        """Of what came last."""

        self._told_epoch: int | None = None
        """Of the status that was published last; ``None`` before the first."""

        self._served = False
        """Whether clients have been served: a feed was heard, and had what the exchange sends."""

        self._well_s = float("-inf")
        """When a feed last said that it had."""

        self._starting = True
        """Whether clients could not be served yet."""

        self._history_since_s: float | None = None
        """Since when history is awaited; ``None`` before the bus has said anything."""

        self._bus_troubled_s = float("-inf")
        """When the bus was last known to be in trouble."""

        self._bus_troubled_since_s = float("-inf")
        """When that trouble began. One that comes back within ``BUS_BACK_GRACE_S`` has not ended."""

    def listen_to(self, bus: BusReader) -> None:
        """Take note of which bus brings what is taken here."""
        self._bus = bus

    # What the bus brings.

    def take_standing(self, standing: Standing) -> None:
        """See ``BusListener.take_standing``: what clients cannot know yet is published, in the order of its topics."""
        self._history_since_s = self._monotonic_s()
        self._history.begin_epoch(standing.epoch)
        unknown = self._market.take_standing(standing)
        self._note_epoch(standing.epoch)
        if unknown.events:
            # From whenever they are: how old they are says nothing of how fast anything is.
            self._spread(unknown, no_time)

    def take_history(self, batch: Batch) -> None:
        """See ``BusListener.take_history``."""
        self._history.take_history(batch)

    def take_batch(self, batch: Batch) -> None:
        """See ``BusListener.take_batch``."""
        if self._market.take_batch(batch):
            self._history.take_batch(batch)
            self._note_epoch(batch.epoch)
            self._spread(batch, partial(trade_time_ms, batch.events))

    def _note_epoch(self, epoch: int) -> None:
        if epoch != self._epoch:
            self._epoch = epoch
            self.log.info("epoch {epoch} begins here", epoch=epoch)
            if self._told_epoch is not None and self._told_epoch != epoch:
                # Ahead of its events: who sees numbers that begin anew must know why. What is published with options reaches
                # the first hundred subscribers at once and the others later; events keep their order for all.
                status = json.dumps(self._market.status()).encode()
                self._publish_batch([(MARKET_STATUS, EncodedPayload(status))], no_time)
                self._tell_status()

    def take_status(self, status: bytes) -> None:
        """See ``BusListener.take_status``.

        Raises:
            ValueError: it is not a feed's status.
        """
        if self._history_since_s is None:
            self._history_since_s = self._monotonic_s()
        was_followed = self._market.symbols
        if self._market.take_status(status):
            if self._market.symbols is not was_followed:
                for symbol in set(was_followed).difference(self._market.symbols):
                    self._rates.end(symbol)
            self._tell_status()
        if self._feed_trouble() is None:
            self._served = True
            self._well_s = self._monotonic_s()

    def _spread(self, batch: Batch, made_ms: MadeMs) -> None:
        if self._rates.active:
            self._rates.take_batch(batch)
        events = [(topic, EncodedPayload(payload)) for topic, _, payload in batch.events]
        self._publish_batch(events, made_ms)

    def _tell_status(self) -> None:
        self._feed_was_lost = self._market.feed_lost
        status = self._market.status()
        self._told_epoch = status["epoch"]
        self._retained.status = json.dumps(status).encode()
        self._publish_status(status)

    def watch(self) -> None:
        """Look whether the feed has fallen silent; to be called every second."""
        self._bus_troubles()
        if self._market.feed_lost is not self._feed_was_lost:
            if self._market.feed_lost:
                text = ": ".join(["no feed has been heard for a while", *self._shortage()])
                self.log.warn("{text}", text=text)
            else:
                self.log.info("feed {feed} is heard", feed=self._market.status().get("feed", ""))
            self._tell_status()

    # Whether clients can be served.

    def degraded(self) -> list[str]:
        """Return what is wrong and does not keep clients from being served, a line each."""
        degraded = self._bus_troubles()
        if self._market.feed_lost:
            if not degraded and self._goes_on_without_feed():
                silent = f"{NO_FEED_WRITES}, for {self._market.feed_silent_s or 0.0:.0f} s"
                degraded = [": ".join([silent, *self._shortage()])]
        elif self._goes_on_without_exchange() and (trouble := self._feed_trouble()) is not None:
            degraded.append(trouble)
        return degraded if self._bus is None else [*degraded, *self._bus.warnings()]

    def _bus_troubles(self) -> list[str]:
        troubles = [] if self._bus is None else self._bus.troubles()
        if troubles:
            now_s = self._monotonic_s()
            if now_s - self._bus_troubled_s >= BUS_BACK_GRACE_S:
                self._bus_troubled_since_s = now_s
            self._bus_troubled_s = now_s
        return [f"bus: {trouble}" for trouble in troubles]

    def _shortage(self) -> list[str]:
        return [] if self._bus is None else self._bus.shortage()

    def _goes_on_without_feed(self) -> bool:
        return self._served and self._bus is not None and self._bus.shared

    def _goes_on_without_exchange(self) -> bool:
        return self._goes_on_without_feed() or (self._served and self._monotonic_s() - self._well_s < FEED_AWAY_GRACE_S)

    def awaits_history(self) -> bool:
        """Return whether ticks that are not here may still come from the bus's history, for ``HISTORY_GRACE_S`` at most."""
        if self._bus is None or not self._bus.reading_history:
            return False
        since_s = self._history_since_s
        return since_s is None or self._monotonic_s() - since_s < HISTORY_GRACE_S

    def not_ready_because(self) -> list[str]:
        """Return why clients cannot be served, a line each; empty when they can.

        A bus that has failed under a gateway that was serving is no reason for ``BUS_AWAY_GRACE_S``: most often it has failed
        under all of them, and a balancer that took them all out would turn a pause of the prices into an outage. History is
        waited for at the start alone, when clients have other gateways to go to. That no feed writes to a bus that works is the
        same for all gateways of a shared one: who has served goes on with what is here. So is that the feed has nothing from
        the exchange; a feed of the node's own may be alone with that, and has ``FEED_AWAY_GRACE_S``.
        """
        because = self._feed_not_ready_because()
        if not because and self._starting:
            if self.awaits_history():
                return ["the bus's history is being read"]
            self._starting = False
        return because

    def _feed_not_ready_because(self) -> list[str]:
        troubles = self._bus_troubles()
        if self._market.feed_lost:
            now_s = self._monotonic_s()
            if now_s - self._bus_troubled_s < BUS_BACK_GRACE_S:
                goes_on = self._served and now_s - self._bus_troubled_since_s < BUS_AWAY_GRACE_S
            else:
                goes_on = self._goes_on_without_feed()
            return [] if goes_on else [NO_FEED_YET, *troubles, *self._shortage()]
        trouble = self._feed_trouble()
        return [] if trouble is None or self._goes_on_without_exchange() else [trouble]

    def _feed_trouble(self) -> str | None:
        """Return what is wrong with the feed that is heard, in a line; ``None`` where it has what the exchange sends."""
        status = self._market.status()
        state: str = status.get("state", "")
        if state == "stale" and len(self._market.stale) == len(self._market.symbols):
            return "all symbols are silent"
        if state in ("live", "stale"):
            return None
        error = status.get("exchange", {}).get("last_error", "")
        return f"the feed is {state}" + (f": {error}" if error else "")
