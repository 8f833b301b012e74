"""The bus of many nodes: batches in a Redis stream, the lead as a lease with a fencing token.

``RedisBusWriter`` is a feed's side, ``RedisBusReader`` a gateway's; ``RedisLink`` is how either reaches its Redis.
"""

from components.bus.redis.link import RedisLink, RedisRefused, RedisTrouble, RedisUnavailable
from components.bus.redis.reader import RedisBusReader
from components.bus.redis.writer import RedisBusWriter

__all__ = ["RedisBusReader", "RedisBusWriter", "RedisLink", "RedisRefused", "RedisTrouble", "RedisUnavailable"]
