"""What one router worker measures, for its metrics; read where it is kept, when somebody asks."""

from __future__ import annotations

from dataclasses import dataclass, field

from components.core.leading_feed import LeadingFeed
from components.core.outbox import OutboxCounters
from components.core.subscribed_symbols import SubscribedSymbols
from components.loop_lag import LoopLag
from components.router.buffer_usage import BufferMeasure
from components.router.engine.fanout import FanOut


@dataclass(slots=True)
class Figures:
    """One per router worker with a gateway."""

    fanout: FanOut
    outboxes: OutboxCounters
    buffers: BufferMeasure
    loop_lag: LoopLag
    symbols: SubscribedSymbols = field(default_factory=SubscribedSymbols)
    feed: LeadingFeed = field(default_factory=LeadingFeed)
