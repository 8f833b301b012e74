"""A feed whose raw messages are written to files as they came; what becomes of them otherwise is nobody's.

Connections, subscriptions, rotation and the watch over silence are ``Feed``'s. While one connection relieves another both are
recorded, so a trade may stand there twice; who reads drops it by its id, as every feed does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from components.bus.idle import IdleBus
from components.feed.feed import Feed
from components.feed.upstream import UpstreamRules
from components.recorder.writer import RecordingWriter
from components.settings import FeedSettings


class _RecordedFeed(Feed):
    """A feed that nobody follows: that it leads, and its epoch, are nothing to whoever records."""

    log = Logger("components.recorder")

    def tell_start(self) -> None:
        """Say in the log what is recorded."""
        self.log.info(
            "recording {symbols} symbols from {url}", symbols=len(self.symbols), url=self.settings.exchange_url
        )

    def tell_lead(self, how: str) -> None:
        """Say nothing."""


class Recorder:
    """One feed and one writer."""

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: FeedSettings,
        writer: RecordingWriter,
        wall_clock_s: Callable[[], float],
        on_failed: Callable[[Failure], None],
        rules: UpstreamRules | None = None,
    ) -> None:
        """Record ``settings.symbols``; ``on_failed`` is told of an error after which the feed cannot go on."""
        self._reactor = reactor
        self._writer = writer
        self._wall_clock_s = wall_clock_s
        self._told_dropped = 0
        self.feed = _RecordedFeed(
            reactor,
            settings,
            IdleBus(),
            lambda: int(wall_clock_s() * 1000),
            on_failed,
            rules,
            pass_frames=self._pass,
        )

    def start(self) -> None:
        """Connect, and record until ``stop``."""
        self._writer.start()
        self.feed.start()

    async def stop(self) -> None:
        """Leave the exchange, and write what has come."""
        await self.feed.stop()
        # A disk may take its time, and holds nobody up.
        await deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self._writer.close)

    def look(self) -> None:
        """Say in the log that messages were dropped since the last look; to be called every few seconds."""
        dropped = self._writer.dropped
        if dropped > self._told_dropped:
            self.log.warn(
                "{dropped} messages were not recorded: the disk does not keep up", dropped=dropped - self._told_dropped
            )
            self._told_dropped = dropped

    def _pass(self, frames: Iterable[bytes]) -> Iterator[bytes]:
        """Hand on the frames of one read, and keep them."""
        taken: list[bytes] = []
        try:
            for frame in frames:
                taken.append(frame)
                yield frame
        finally:
            if taken:
                self._writer.take(self._wall_clock_s(), taken)
