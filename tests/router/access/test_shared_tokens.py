"""A realm waits for what is revoked, and says why: with Redis as the bus that may be for as long as Redis cannot be asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from components.core.limits import RealmLimits
from components.core.seats import Seats
from components.router import runtime
from components.router.access import shared_tokens
from components.router.access.shared_tokens import when_tokens_are_known
from components.settings import BusSettings
from tests.harness.client import until
from tests.harness.redis import RedisServer


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis", "requirepass right")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the worker be one that has just started."""
    for name in ("_live_tokens", "_why_tokens_wait"):
        monkeypatch.setattr(runtime, name, None)
    monkeypatch.setattr(runtime, "_gatekeepers", {})
    monkeypatch.setattr(shared_tokens, "_waiting", None)


def test_a_realm_without_a_gatekeeper_is_closed(worker: None) -> None:
    assert runtime.closed_because("market") == "realm market has no gatekeeper, and is closed to clients"


@pytest_twisted.ensureDeferred
async def test_while_redis_refuses_the_password_a_realm_says_so(
    worker: None, redis: RedisServer, tmp_path: Path
) -> None:
    bus = BusSettings("redis", f"redis://:wr0ng@127.0.0.1:{redis.port}")
    known = when_tokens_are_known(reactor, bus, tmp_path)
    where = f"Redis at 127.0.0.1:{redis.port}, database 0"
    closed = f"realm market is closed to clients until what is revoked is known: {where}: "
    assert runtime.closed_because("market") == closed + "not connected yet"
    refused = closed + "the password was refused: WRONGPASS "
    await until(reactor, lambda: (runtime.closed_because("market") or "").startswith(refused))
    assert "wr0ng" not in str(runtime.closed_because("market"))

    redis.command("CONFIG", "SET", "requirepass", "wr0ng", password="right")
    tokens = await known
    try:
        runtime.add_gatekeeper("market", Seats(RealmLimits.from_mapping({})))
        assert runtime.closed_because("market") is None
    finally:
        tokens._store.stop()
