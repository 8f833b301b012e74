"""The feed as a Crossbar container component: joins the node's router over the local socket and starts a ``Feed``.

On the embedded bus it is the node's only feed, and keeps what operators want it to follow.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from autobahn.twisted.wamp import ApplicationSession
from autobahn.wamp import ApplicationError
from autobahn.wamp.types import Challenge, CloseDetails, SessionDetails
from twisted.internet.error import ConnectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from components.bus.choice import make_writer
from components.core.symbol_choice import NO_CHOICE, ChangedMeanwhile, encode_choice, next_choice
from components.environment import NodeEnvironment, refuse_to_start
from components.feed.choice_file import ChoiceFile, ChoiceFileError
from components.feed.feed import Feed
from components.leaving import StaysWithRouter
from components.logs import safe_log
from components.uris import (
    ERROR_BUS_LOST,
    ERROR_CHANGED_MEANWHILE,
    ERROR_FEED_FAILED,
    ERROR_NOT_KEPT,
    ERROR_NOT_READY,
    FEED_CHOOSE,
)


class FeedComponent(ApplicationSession):  # type: ignore[misc]  # Autobahn ships no types
    """Runs the node's feed for as long as the session to the router lasts."""

    life_log: ClassVar[Logger] = Logger()
    """Not ``log``: that one is Autobahn's, which costs nothing for the debug lines that it writes per message."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        from twisted.internet import reactor

        safe = safe_log.install_if_crossbar_logs(reactor)
        self._environment = NodeEnvironment.load(config)
        self._feed: Feed | None = None
        self._choice_file: ChoiceFile | None = None
        """Where an operator's choice is kept; ``None`` on a bus that keeps it for all feeds."""

        choice = NO_CHOICE
        if not self._environment.settings.bus.url:
            self._choice_file = ChoiceFile(Path(config.extra["cbdir"]))
            try:
                choice = self._choice_file.load()
            except ChoiceFileError as error:
                refuse_to_start(str(error))
        self._choice = choice
        self._stays = StaysWithRouter(safe.expect_end if safe is not None else lambda: None)

    def onConnect(self) -> None:
        self.join(self.config.realm, ["ticket"], "feed")

    def onChallenge(self, challenge: Challenge) -> str:
        return self._environment.internal_token("feed", self.config.realm)

    async def onJoin(self, details: SessionDetails) -> None:
        from twisted.internet import reactor

        if self._choice_file is not None:
            try:
                await self.register(self._choose, FEED_CHOOSE)
            except ApplicationError as error:
                self.life_log.error(
                    "the feed cannot be told what to follow, see role feed of realm market in config.yaml: {error}",
                    error=error.error_message(),
                )
                self.leave(ERROR_FEED_FAILED)
                return
        self._feed = Feed(
            reactor,
            self._environment.settings.feed,
            make_writer(self._environment.settings.bus, reactor, self, self._bus_lost),
            lambda: time.time_ns() // 1_000_000,
            self._feed_failed,
            choice=self._choice,
        )
        self._feed.start()
        self._stays.begin()

    async def _choose(self, symbols: Sequence[str] | None, by: str, if_version: int | None) -> bytes:
        """Follow these symbols, or the environment's; return the choice as it is kept.

        The node's own component alone may call this, and has checked the arguments.
        """
        feed, file = self._feed, self._choice_file
        if feed is None or file is None:
            raise ApplicationError(ERROR_NOT_READY, "the feed starts or leaves")
        stands = feed.choice.version
        if if_version is not None and if_version != stands:
            error = ChangedMeanwhile(stands)
            raise ApplicationError(ERROR_CHANGED_MEANWHILE, str(error), version=stands)
        choice = next_choice(stands, symbols, by, time.time_ns() // 1_000_000)
        feed.choose(choice)
        try:
            await file.keep(choice)
        except ChoiceFileError as error:
            self.life_log.error("the symbols are in force until a restart only: {error}", error=str(error))
            raise ApplicationError(
                ERROR_NOT_KEPT,
                "the symbols are in force, but could not be written down: a restart would forget them",
                version=choice.version,
            ) from error
        return encode_choice(choice)

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
