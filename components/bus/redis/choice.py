"""The symbols that operators want, in Redis: where gateways put them, and feeds look for them.

The choice with the greatest version stands. A feed that knows of a later one than Redis puts it there: Redis has lost it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from twisted.logger import Logger

from components.bus.interface import LeadableFeed
from components.bus.redis.link import Connection, RedisRefused
from components.bus.redis.scripts import Script
from components.core.symbol_choice import (
    CHANGE_TRIES,
    ChangedMeanwhile,
    InvalidChoice,
    SymbolChoice,
    decode_choice,
    encode_choice,
    next_choice,
)

CHOICE = b"{crosstick}:symbols"
"""Hash: ``version``, and ``choice`` as JSON."""

# ARGV: the version that must stand, or nothing where any smaller one may; then the next version, and the choice.
PUT_CHOICE = Script(
    """
local stands = tonumber(redis.call('HGET', KEYS[1], 'version') or '0') or 0
if ARGV[1] ~= '' and stands ~= tonumber(ARGV[1]) then return 0 end
if stands >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'choice', ARGV[3])
return 1
""",
    (CHOICE,),
)


class ChoiceWatch:
    """Keeps a feed's choice and that of Redis the same; ``PUT_CHOICE`` has been loaded on the connection."""

    log: ClassVar[Logger] = Logger()

    def __init__(self) -> None:
        self._damaged = b""

    async def look(self, connection: Connection, feed: LeadableFeed) -> None:
        """Tell the feed of a choice that is later than its own, or put its own into Redis."""
        stands = _version(await connection.command("HGET", CHOICE, "version"))
        known = feed.choice
        if stands > known.version:
            data = await connection.command("HGET", CHOICE, "choice") or b""
            try:
                feed.choose(decode_choice(data))
            except InvalidChoice as error:
                if data != self._damaged:
                    self.log.error("{key} is damaged: {error}", key=CHOICE.decode(), error=str(error))  # noqa: TRY400
                self._damaged = data
        elif stands < known.version:
            try:
                await connection.run(PUT_CHOICE, "", known.version, encode_choice(known))
            except RedisRefused as error:
                # A Redis without memory, such as refuses all else besides; the next look tries again.
                self.log.warn("Redis does not take the symbols that were chosen: {error}", error=str(error))


async def change_choice(
    connection: Connection, symbols: Sequence[str] | None, by: str, if_version: int | None
) -> SymbolChoice:
    """Put an operator's choice into Redis and return it; ``None`` for the symbols of the feeds' environments.

    Raises:
        ChangedMeanwhile: ``if_version`` is given and not the version that stands, or others change it all the time.
        RedisTrouble: Redis did not do what it was asked.
    """
    await connection.load((PUT_CHOICE,))
    stands = 0
    for _ in range(CHANGE_TRIES):
        stands = _version(await connection.command("HGET", CHOICE, "version"))
        if if_version is not None and stands != if_version:
            break
        now = await connection.command("TIME")
        choice = next_choice(stands, symbols, by, int(now[0]) * 1000 + int(now[1]) // 1000)
        if await connection.run(PUT_CHOICE, stands, choice.version, encode_choice(choice)):
            return choice
    raise ChangedMeanwhile(stands)


def _version(value: bytes | None) -> int:
    return int(value) if value is not None and value.isdigit() else 0
