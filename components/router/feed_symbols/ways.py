"""The ways by which an operator's choice of symbols reaches the feeds: one for each bus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from autobahn.wamp import ApplicationError

from components.core.redis_address import is_redis_url, parse_redis_url
from components.core.symbol_choice import ChangedMeanwhile, SymbolChoice, decode_choice
from components.settings import BusSettings
from components.uris import (
    ERROR_BUS_UNAVAILABLE,
    ERROR_CHANGED_MEANWHILE,
    ERROR_NO_SUCH_PROCEDURE,
    ERROR_NOT_READY,
    ERROR_NOT_SUPPORTED,
    FEED_CHOOSE,
)


class WayToFeeds(Protocol):
    """Hands a choice to the feeds."""

    async def choose(self, symbols: Sequence[str] | None, by: str, if_version: int | None) -> SymbolChoice:
        """Let the feeds follow these symbols, or those of their environments; return the choice, which will outlive them.

        With ``if_version`` only instead of that version. ``by`` is the operator's name.

        Raises:
            ApplicationError: they do not; or, with ``crosstick.error.not_kept``, they do until they start anew.
        """


class OwnFeed:
    """The embedded bus: the node has one feed, which keeps the choice."""

    def __init__(self, call: Callable[..., Any]) -> None:
        """``call`` calls in the realm that the feed has joined, as one of the node's own components."""
        self._call = call

    async def choose(self, symbols: Sequence[str] | None, by: str, if_version: int | None) -> SymbolChoice:
        """See ``WayToFeeds.choose``."""
        try:
            kept: bytes = await self._call(FEED_CHOOSE, None if symbols is None else list(symbols), by, if_version)
        except ApplicationError as error:
            if error.error == ERROR_NO_SUCH_PROCEDURE:
                raise ApplicationError(ERROR_NOT_READY, "the node's feed has not joined yet") from None
            raise
        return decode_choice(kept)


class FeedsOnRedis:
    """Redis keeps the choice, and all feeds look for it there."""

    def __init__(self, reactor: Any, url: str) -> None:
        from components.bus.redis import RedisLink

        self._link = RedisLink(reactor, parse_redis_url(url))

    async def choose(self, symbols: Sequence[str] | None, by: str, if_version: int | None) -> SymbolChoice:
        """See ``WayToFeeds.choose``."""
        from components.bus.redis import RedisTrouble
        from components.bus.redis.choice import change_choice

        try:
            # An operator comes now and then: no connection is held for him.
            connection = await self._link.connect()
            try:
                return await change_choice(connection, symbols, by, if_version)
            finally:
                connection.close()
        except ChangedMeanwhile as error:
            raise ApplicationError(ERROR_CHANGED_MEANWHILE, str(error), version=error.version) from None
        except RedisTrouble as error:
            raise ApplicationError(ERROR_BUS_UNAVAILABLE, f"Redis at {self._link.address}: {error}") from None


class NoWay:
    """A bus that has no place for it."""

    async def choose(self, symbols: Sequence[str] | None, by: str, if_version: int | None) -> SymbolChoice:
        """See ``WayToFeeds.choose``: always refused."""
        raise ApplicationError(
            ERROR_NOT_SUPPORTED,
            "with Kafka the symbols are those of CROSSTICK_SYMBOLS: set it for all feeds, and start them anew one by one",
        )


def way_to_feeds(bus: BusSettings, reactor: Any, call: Callable[..., Any]) -> WayToFeeds:
    """Return the way of a node's bus; ``call`` is ``OwnFeed``'s."""
    if is_redis_url(bus.url):
        return FeedsOnRedis(reactor, bus.url)
    return NoWay() if bus.url else OwnFeed(call)
