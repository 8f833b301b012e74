"""Revocations in Redis: in force on every node that shares it, within a second.

Redis has what is revoked, and a version, ``<life>:<number>``, whose number grows with each change. Every process looks at the
version, and keeps a copy in the file of its node. Who finds that Redis has lost its memory, in whole or back to an old dump,
tells it again what is in force and gives it another life; from that the others see that they have to do so, too. So what is in
force is lifted by an operator and by nothing else.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import msgspec
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from components.bus.redis import RedisLink, RedisTrouble
from components.bus.redis.link import Connection
from components.bus.redis.scripts import Script
from components.core.backoff import Backoff
from components.core.revocations import MAX_REVOCATIONS, Key, Revocation, is_over, joined, key_of
from components.router.access.revocation_store import LOOK_EVERY_S, FileRevocationStore, RevocationStoreError

REVOCATIONS = b"{crosstick}:revocations"
"""Hash: kind and name → the revocation as JSON."""

VERSION = b"{crosstick}:revocations:version"
CHANGE_TRIES = 10
"""How often a change is tried that others' changes come before."""

_READ = Script("return {redis.call('GET', KEYS[2]) or '', redis.call('HVALS', KEYS[1])}", (REVOCATIONS, VERSION))

# ARGV: the version that was read, the next one, how many are added, field and value of each by turns, then the fields lifted.
_CHANGE = Script(
    """
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
local last = 3 + 2 * ARGV[3]
for at = 4, last, 2 do redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1]) end
for at = last + 1, #ARGV do redis.call('HDEL', KEYS[1], ARGV[at]) end
return 1
""",
    (REVOCATIONS, VERSION),
)
_Version = tuple[str, int]
"""Life and number; ``("", 0)`` where there is none."""

_NONE: _Version = ("", 0)
_decode = msgspec.json.Decoder(Revocation).decode


class RedisRevocationStore:
    """See ``RevocationStore``; ``open`` comes before ``load``."""

    life_log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        reactor: Any,
        link: RedisLink,
        copy: FileRevocationStore,
        wall: Callable[[], float],
        random: Callable[[], float] = random.random,
    ) -> None:
        """Keep what is revoked in the Redis of ``link``; ``copy`` is this node's, ``wall`` returns Unix time in s."""
        self._reactor = reactor
        self._link = link
        self._copy = copy
        self._wall = wall
        self._backoff = Backoff(random, initial_s=0.1, cap_s=1.0)
        self._known: dict[Key, Revocation] = {}
        self._version = _NONE
        """Of what is known; none before anything was read."""

        self._connection: Connection | None = None
        self._last_trouble = "not connected yet"
        self._changed: Callable[[list[Revocation]], None] = lambda revocations: None
        self._opened: Deferred[None] = Deferred()
        self._running: Deferred[None] | None = None

    def open(self) -> Deferred[None]:
        """Begin to read, and go on until ``stop``; fires when what is revoked is known, be that after hours.

        Raises:
            RevocationStoreError: this node's copy is damaged.
        """
        self._known = {key_of(one): one for one in self._copy.load()}
        self._running = ensureDeferred(self._run()).addErrback(self._ended)
        return self._opened

    def load(self) -> list[Revocation]:
        """Return what was read.

        Raises:
            RevocationStoreError: nothing was.
        """
        if self._version == _NONE:
            raise RevocationStoreError(self.trouble())
        return list(self._known.values())

    def apply(self, added: Iterable[Revocation], lifted: Iterable[Revocation] = ()) -> Deferred[None]:
        """Change what is in Redis; fails with a ``RevocationStoreError`` when that cannot be reached."""
        return ensureDeferred(self._apply(tuple(added), tuple(lifted)))

    def watch(self, clock: Any, changed: Callable[[list[Revocation]], None]) -> None:
        """Tell what others have changed."""
        self._changed = changed

    def trouble(self) -> str:
        """Return why nothing can be read from Redis, in a line."""
        return f"Redis at {self._link.address}: {self._last_trouble or 'not connected'}"

    def stop(self) -> None:
        """Read no more."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()

    async def _apply(self, added: tuple[Revocation, ...], lifted: tuple[Revocation, ...]) -> None:
        connection = self._connection
        if connection is None:
            raise RevocationStoreError(self.trouble())
        try:
            for _ in range(CHANGE_TRIES):
                version, there = await self._read(connection)
                if await self._change(connection, version, _after(version), there, added, lifted):
                    return
        except RedisTrouble as error:
            raise RevocationStoreError(f"Redis at {self._link.address}: {error}") from error
        raise RevocationStoreError("others changed the revocations all the time: try again")

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except RedisTrouble as error:
                if str(error) != self._last_trouble:
                    self.life_log.error("what is revoked stays as it is: Redis: {error}", error=str(error))
                self._last_trouble = str(error)
            except (CancelledError, ConnectingCancelledError):
                raise
            except Exception:
                self.life_log.failure("revocations could not be followed, and are tried again")
                self._last_trouble = "an error of the store itself, see the log"
            await deferLater(self._reactor, self._backoff.next_delay_s())

    async def _follow(self) -> None:
        connection = await self._link.connect()
        try:
            await connection.load((_READ, _CHANGE))
            self._connection = connection
            self._last_trouble = ""
            while True:
                version = _parsed(await connection.command("GET", VERSION))
                if version == _NONE or version != self._version:
                    await self._take(connection)
                self._backoff.succeeded()
                await deferLater(self._reactor, LOOK_EVERY_S)
        finally:
            self._connection = None
            connection.close()

    async def _take(self, connection: Connection) -> None:
        """Take what Redis has; tell it what it has lost."""
        version, there = await self._read(connection)
        known = tuple(self._known.values())
        next_version = None
        if version == _NONE or (version[0] == self._version[0] and version[1] < self._version[1]):
            next_version = secrets.token_hex(8), 1
        elif version[0] != self._version[0] and self._version != _NONE:
            # Another process has found the loss. Who has only just started takes what there is instead.
            next_version = _after(version)
        if next_version is not None:
            if not await self._change(connection, version, next_version, there, known, ()):
                return
            version, there = await self._read(connection)
        self._version, self._known = version, there
        await self._keep_copy()
        if self._opened.called:
            self._changed(list(there.values()))
        else:
            self._opened.callback(None)

    async def _read(self, connection: Connection) -> tuple[_Version, dict[Key, Revocation]]:
        version, values = await connection.run(_READ)
        try:
            revocations = [_decode(value) for value in values]
        except msgspec.DecodeError as error:
            raise RedisTrouble(f"{REVOCATIONS.decode()} is damaged: {error}") from error
        return _parsed(version), {key_of(one): one for one in revocations}

    async def _change(
        self,
        connection: Connection,
        version: _Version,
        next_version: _Version,
        there: dict[Key, Revocation],
        added: tuple[Revocation, ...],
        lifted: tuple[Revocation, ...],
    ) -> bool:
        """Change what is there; return ``False`` when it is no longer what was read."""
        now_s = int(self._wall())
        lifted_keys = {key_of(one) for one in lifted}
        gone = [key for key, one in there.items() if key in lifted_keys or is_over(one, now_s)]
        put: dict[Key, Revocation] = {}
        for one in added:
            key = key_of(one)
            put[key] = joined(one, there[key]) if key in there and key not in gone else one
        if len(there.keys() | put.keys()) - len([key for key in gone if key not in put]) > MAX_REVOCATIONS:
            raise RevocationStoreError(f"Redis would hold more than {MAX_REVOCATIONS} revocations")
        arguments: list[Any] = [_text(version), _text(next_version), len(put)]
        for key, one in put.items():
            arguments += _field(key), msgspec.json.encode(one)
        arguments += [_field(key) for key in gone if key not in put]
        return bool(await connection.run(_CHANGE, *arguments))

    async def _keep_copy(self) -> None:
        try:
            gone = [one for one in self._copy.load() if key_of(one) not in self._known]
            await self._copy.apply(self._known.values(), gone)
        except RevocationStoreError as error:
            self.life_log.error("this node's copy of the revocations is not up to date: {error}", error=str(error))

    def _ended(self, failure: Failure) -> None:
        failure.trap(CancelledError, ConnectingCancelledError)


def _parsed(version: bytes | None) -> _Version:
    if not version:
        return _NONE
    life, _, number = version.decode().partition(":")
    return life, int(number)


def _after(version: _Version) -> _Version:
    life, number = version
    return life or secrets.token_hex(8), number + 1


def _text(version: _Version) -> str:
    return "" if version == _NONE else f"{version[0]}:{version[1]}"


def _field(key: Key) -> str:
    kind, name = key
    return f"{kind.__struct_config__.tag}:{name}"  # type: ignore[attr-defined]  # all kinds are msgspec structs
