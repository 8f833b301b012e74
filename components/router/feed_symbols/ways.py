"""The ways by which an operator's choice of symbols reaches the feeds: one for each bus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from autobahn.wamp import ApplicationError
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.threads import deferToThreadPool

from components.core.kafka_address import is_kafka_url, parse_kafka_url
from components.core.redis_address import is_redis_url, parse_redis_url
from components.core.symbol_choice import ChangedMeanwhile, SymbolChoice, decode_choice
from components.settings import BusSettings
from components.uris import (
    ERROR_BUS_UNAVAILABLE,
    ERROR_CHANGED_MEANWHILE,
    ERROR_NO_SUCH_PROCEDURE,
    ERROR_NOT_KEPT,
    ERROR_NOT_READY,
    FEED_CHOOSE,
)

if TYPE_CHECKING:
    from components.bus.kafka import KafkaLimits

MAX_WAITING = 4
"""Changes that wait for the one under way; more are refused."""


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
            raise _changed_meanwhile(error) from None
        except RedisTrouble as error:
            raise ApplicationError(ERROR_BUS_UNAVAILABLE, f"Redis at {self._link.address}: {error}") from None


class FeedsOnKafka:
    """Kafka's log keeps the choice, and all feeds read it there. One change at a time, in a thread."""

    def __init__(self, reactor: Any, url: str, limits: KafkaLimits | None = None) -> None:
        from components.bus.kafka import KafkaLimits

        self._reactor = reactor
        self._address = parse_kafka_url(url)
        self._limits = limits or KafkaLimits()
        self._one_at_a_time = DeferredLock()

    async def choose(self, symbols: Sequence[str] | None, by: str, if_version: int | None) -> SymbolChoice:
        """See ``WayToFeeds.choose``."""
        from components.bus.kafka.choice import ChoiceNotKept, change_choice
        from components.bus.kafka.consumer import LogUnavailable

        where = f"Kafka at {self._address.brokers}"
        if len(self._one_at_a_time.waiting) >= MAX_WAITING:
            raise ApplicationError(ERROR_BUS_UNAVAILABLE, f"{where}: {MAX_WAITING} changes wait for it already")

        def change() -> Deferred[SymbolChoice]:
            threads = self._reactor.getThreadPool()
            return deferToThreadPool(
                self._reactor, threads, change_choice, self._address, self._limits, symbols, by, if_version
            )

        try:
            choice: SymbolChoice = await self._one_at_a_time.run(change)
        except ChangedMeanwhile as error:
            raise _changed_meanwhile(error) from None
        except ChoiceNotKept as error:
            text = f"the symbols are in force, but {where} did not confirm that it keeps them: {error}"
            raise ApplicationError(ERROR_NOT_KEPT, text, version=error.version) from None
        except LogUnavailable as error:
            raise ApplicationError(ERROR_BUS_UNAVAILABLE, f"{where}: {error}") from None
        return choice


def _changed_meanwhile(error: ChangedMeanwhile) -> ApplicationError:
    return ApplicationError(ERROR_CHANGED_MEANWHILE, str(error), version=error.version)


def way_to_feeds(bus: BusSettings, reactor: Any, call: Callable[..., Any]) -> WayToFeeds:
    """Return the way of a node's bus; ``call`` is ``OwnFeed``'s."""
    if is_redis_url(bus.url):
        return FeedsOnRedis(reactor, bus.url)
    if is_kafka_url(bus.url):
        return FeedsOnKafka(reactor, bus.url)
    return OwnFeed(call)
