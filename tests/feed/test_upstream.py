"""One connection to the exchange, where nobody need answer."""

from __future__ import annotations

from typing import Any

import pytest_twisted
from twisted.internet.testing import MemoryReactorClock

from components.core.backoff import Backoff
from components.feed.upstream import Upstream


class Consumer:
    def state_changed(self) -> None:
        """See ``FrameConsumer``."""


@pytest_twisted.ensureDeferred
async def test_an_attempt_that_is_broken_off_at_the_end_is_no_error() -> None:
    reactor: Any = MemoryReactorClock()
    consumer: Any = Consumer()
    upstream = Upstream(reactor, "ws://127.0.0.1:1", ["btcusdt@trade"], consumer, Backoff(lambda: 0.5, 1.0, 1.0))
    upstream.start()
    assert len(reactor.tcpClients) == 1
    await upstream.stop()
    assert upstream.last_error == ""
