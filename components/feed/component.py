"""The feed as a Crossbar container component: joins the node's router over the local socket and starts a ``Feed``."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from autobahn.twisted.wamp import ApplicationSession
from autobahn.wamp.types import Challenge, CloseDetails, SessionDetails
from twisted.internet.error import ConnectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from components.bus.choice import make_writer
from components.environment import NodeEnvironment
from components.feed.feed import Feed
from components.leaving import StaysWithRouter
from components.logs import safe_log
from components.uris import ERROR_BUS_LOST, ERROR_FEED_FAILED


class FeedComponent(ApplicationSession):  # type: ignore[misc]  # Autobahn ships no types
    """Runs the node's feed for as long as the session to the router lasts."""

    life_log: ClassVar[Logger] = Logger()
    """Not ``log``: that one is Autobahn's, which costs nothing for the debug lines that it writes per message."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        from twisted.internet import reactor

        safe_log.install_if_crossbar_logs(reactor)
        self._environment = NodeEnvironment.load(config)
        self._feed: Feed | None = None
        self._stays = StaysWithRouter()

    def onConnect(self) -> None:
        self.join(self.config.realm, ["ticket"], "feed")

    def onChallenge(self, challenge: Challenge) -> str:
        return self._environment.internal_token("feed", self.config.realm)

    def onJoin(self, details: SessionDetails) -> None:
        from twisted.internet import reactor

        self._feed = Feed(
            reactor,
            self._environment.settings.feed,
            make_writer(self._environment.settings.bus, reactor, self, self._bus_lost),
            lambda: time.time_ns() // 1_000_000,
            self._feed_failed,
        )
        self._feed.start()
        self._stays.begin()

    async def onLeave(self, details: CloseDetails) -> None:
        self._stays.end()
        feed, self._feed = self._feed, None
        if feed is not None:
            await feed.stop()
        self.disconnect()

    def _feed_failed(self, failure: Failure) -> None:
        self.life_log.failure("the feed cannot go on", failure=failure)
        self.leave(ERROR_FEED_FAILED)

    def _bus_lost(self, failure: Failure) -> None:
        # Batches were lost, so this epoch has a hole: the feed ends, and with it the worker, rather than lie about seq.
        if self._feed is not None and failure.check(ConnectionDone) is None:
            self.life_log.error("the relay did not take a batch: {error}", error=failure.getErrorMessage())
            self.leave(ERROR_BUS_LOST)
