"""Which bus: makes the writer or reader of the bus that the settings name, so that neither feed nor gateway has to know.

A bus's libraries are imported with it alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.python.failure import Failure

from components.bus.interface import BusReader, BusWriter
from components.bus.wamp import DirectCalls, WampBusReader, WampBusWriter
from components.core.kafka_address import is_kafka_url, parse_kafka_url
from components.core.redis_address import is_redis_url, parse_redis_url
from components.settings import BusSettings


def make_writer(settings: BusSettings, reactor: Any, session: Any, on_lost: Callable[[Failure], None]) -> BusWriter:
    """Return a feed's side; ``session`` has joined the node's router, ``on_lost`` is ``WampBusWriter``'s."""
    if is_redis_url(settings.url):
        from components.bus.redis import RedisBusWriter, RedisLink

        return RedisBusWriter(reactor, RedisLink(reactor, parse_redis_url(settings.url)))
    if is_kafka_url(settings.url):
        from components.bus.kafka import KafkaBusWriter

        return KafkaBusWriter(parse_kafka_url(settings.url), reactor=reactor)
    return WampBusWriter(reactor, session, on_lost=on_lost)


def make_reader(
    settings: BusSettings,
    reactor: Any,
    session: Any,
    direct_calls: DirectCalls | None = None,
) -> BusReader:
    """Return a gateway's side; ``session`` has joined the node's router, ``direct_calls`` is ``WampBusReader``'s."""
    if is_redis_url(settings.url):
        from components.bus.redis import RedisBusReader, RedisLink

        return RedisBusReader(reactor, RedisLink(reactor, parse_redis_url(settings.url)))
    if is_kafka_url(settings.url):
        from components.bus.kafka import KafkaBusReader

        return KafkaBusReader(parse_kafka_url(settings.url), reactor=reactor)
    return WampBusReader(session, direct_calls)
