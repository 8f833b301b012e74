"""Revocations in Redis: in force on every node within a second, and lifted by nobody but an operator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from components.bus.redis import RedisLink
from components.core.redis_address import parse_redis_url
from components.core.revocations import Revocation, RevokedSubject, RevokedToken
from components.router.access.redis_revocations import RedisRevocationStore
from components.router.access.revocation_store import FileRevocationStore, RevocationStoreError
from tests.harness.client import until
from tests.harness.redis import RedisServer

MALLORY = RevokedSubject("mallory", 100)
TOKEN = RevokedToken("t-1", 100, 5_000)


class KnownRevocations:
    """A node that knows what its store tells it."""

    def __init__(self, store: RedisRevocationStore) -> None:
        self.store = store
        self.now: list[Revocation] = store.load()
        store.watch(reactor, self._changed)

    def _changed(self, revocations: list[Revocation]) -> None:
        self.now = revocations

    def names(self) -> set[str]:
        return {one.name for one in self.now}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.kill()


@pytest_twisted.async_yield_fixture
async def make_node(redis: RedisServer, tmp_path: Path) -> AsyncIterator[Callable[[str], Awaitable[KnownRevocations]]]:
    stores: list[RedisRevocationStore] = []

    async def make(name: str) -> KnownRevocations:
        directory = tmp_path / name
        directory.mkdir(exist_ok=True)
        copy = FileRevocationStore(directory, lambda: 1_000.0)
        store = RedisRevocationStore(reactor, RedisLink(reactor, parse_redis_url(redis.url)), copy, lambda: 1_000.0)
        stores.append(store)
        await store.open()
        return KnownRevocations(store)

    yield make
    for store in stores:
        store.stop()


MakeNode = Callable[[str], Awaitable[KnownRevocations]]


@pytest_twisted.ensureDeferred
async def test_every_node_hears_of_a_revocation_and_of_its_lifting_within_a_second(make_node: MakeNode) -> None:
    one, other = await make_node("one"), await make_node("other")
    await one.store.apply([MALLORY, TOKEN])
    await until(reactor, lambda: other.names() == {"mallory", "t-1"}, timeout_s=1.5)
    await other.store.apply((), [MALLORY])
    await until(reactor, lambda: one.names() == {"t-1"}, timeout_s=1.5)
    assert (await make_node("late")).now == [TOKEN]


@pytest_twisted.ensureDeferred
async def test_of_the_same_name_the_longest_is_in_force(make_node: MakeNode) -> None:
    node = await make_node("one")
    await node.store.apply([MALLORY])
    await node.store.apply([RevokedSubject("mallory", 50, 9_000)])
    await until(reactor, lambda: node.now == [MALLORY])


@pytest_twisted.ensureDeferred
async def test_changes_of_two_nodes_at_once_are_not_lost_to_each_other(make_node: MakeNode) -> None:
    one, other = await make_node("one"), await make_node("other")
    changes = [(one, other)[number % 2].store.apply([RevokedToken(f"t-{number}", 1)]) for number in range(6)]
    for change in changes:
        await change
    await until(reactor, lambda: one.names() == other.names() == {f"t-{number}" for number in range(6)})


@pytest_twisted.ensureDeferred
async def test_a_redis_that_has_lost_everything_is_told_again(make_node: MakeNode, redis: RedisServer) -> None:
    one, other = await make_node("one"), await make_node("other")
    await one.store.apply([MALLORY])
    await until(reactor, lambda: other.names() == {"mallory"})
    redis.kill()
    await until(reactor, lambda: one.store._connection is None)
    with pytest.raises(RevocationStoreError, match="Redis at 127"):
        await one.store.apply([TOKEN])
    assert one.names() == {"mallory"}
    redis.start()
    await until(reactor, lambda: redis.command("HLEN", "{crosstick}:revocations") == 1)
    await until(reactor, lambda: one.store._connection is not None and other.store._connection is not None)
    await other.store.apply([TOKEN])
    await until(reactor, lambda: one.names() == other.names() == {"mallory", "t-1"})


@pytest_twisted.ensureDeferred
async def test_an_old_dump_lifts_nothing_that_any_node_knows(make_node: MakeNode, redis: RedisServer) -> None:
    one, other = await make_node("one"), await make_node("other")
    await one.store.apply([MALLORY])
    dumps = {key: redis.command("DUMP", key) for key in ("{crosstick}:revocations", "{crosstick}:revocations:version")}
    for name in ("t-1", "t-2"):
        await one.store.apply([RevokedToken(name, 1)])
    await until(reactor, lambda: one.names() == other.names() == {"mallory", "t-1", "t-2"})
    for key, dump in dumps.items():
        redis.command("RESTORE", key, 0, dump, "REPLACE")
    # Both have told what they know, the one that found the loss and then the other.
    version = "{crosstick}:revocations:version"
    old = redis.command("GET", version)
    await until(
        reactor, lambda: redis.command("GET", version)[:16] != old[:16] and redis.command("GET", version)[16:] == b":2"
    )
    await one.store.apply((), [MALLORY])
    await until(reactor, lambda: one.names() == other.names() == {"t-1", "t-2"})


@pytest_twisted.ensureDeferred
async def test_a_node_that_starts_brings_back_what_redis_has_lost_meanwhile(
    make_node: MakeNode, redis: RedisServer
) -> None:
    node = await make_node("one")
    await node.store.apply([MALLORY])
    await until(reactor, lambda: node.names() == {"mallory"})
    node.store.stop()
    redis.command("FLUSHALL")
    assert (await make_node("one")).names() == {"mallory"}


@pytest_twisted.ensureDeferred
async def test_a_node_that_was_down_does_not_bring_back_what_was_lifted(make_node: MakeNode) -> None:
    one, other = await make_node("one"), await make_node("other")
    await one.store.apply([MALLORY])
    await until(reactor, lambda: one.names() == other.names() == {"mallory"})
    other.store.stop()
    await one.store.apply((), [MALLORY])
    assert (await make_node("other")).names() == set()
