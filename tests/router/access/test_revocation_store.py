"""Revocations in a file: what is read is what was written, whoever wrote it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytest_twisted
from twisted.internet import reactor

from components.core.revocations import MAX_REVOCATIONS, Revocation, RevokedSubject, RevokedToken
from components.router.access.live_tokens import LiveTokens
from components.router.access.revocation_store import FILE_NAME, FileRevocationStore, RevocationStoreError
from tests.harness.client import until

MALLORY = RevokedSubject("mallory", 100)
TOKEN = RevokedToken("t-1", 100, 5_000)


class Bearer:
    def __init__(self, sub: str, jti: str | None = None, iat: int | None = None) -> None:
        self.sub, self.jti, self.iat = sub, jti, iat


def store_in(directory: Path) -> FileRevocationStore:
    return FileRevocationStore(directory, lambda: 1_000.0)


@pytest_twisted.async_yield_fixture
async def tokens(tmp_path: Path) -> AsyncIterator[LiveTokens]:
    """Return a worker's tokens, kept in the test's directory."""
    store = store_in(tmp_path)
    yield LiveTokens(store, reactor, lambda: 1_000.0)
    store.stop()


@pytest_twisted.ensureDeferred
async def test_what_was_written_is_read_and_what_was_lifted_is_not(tmp_path: Path) -> None:
    assert store_in(tmp_path).load() == []
    store = store_in(tmp_path)
    await store.apply([MALLORY, TOKEN])
    await store.apply([RevokedSubject("mallory", 50)])
    assert store_in(tmp_path).load() == [MALLORY, TOKEN]
    await store.apply((), [TOKEN])
    assert store_in(tmp_path).load() == [MALLORY]
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


@pytest_twisted.ensureDeferred
async def test_changes_of_two_processes_are_not_lost_to_each_other(tmp_path: Path) -> None:
    one, other = store_in(tmp_path), store_in(tmp_path)
    names = [f"t-{number}" for number in range(10)]
    changes = [(one, other)[number % 2].apply([RevokedToken(name, 1)]) for number, name in enumerate(names)]
    for change in changes:
        await change
    assert sorted(revocation.name for revocation in one.load()) == names


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"version":2,"revocations":[]}',
        b'{"version":1,"revocations":[{"by":"jti","name":"","revoked_at":1,"exp":null}]}',
        b'{"version":1,"revocations":[{"by":"aud","name":"a","revoked_at":1,"exp":null}]}',
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_damaged_file_is_an_error_of_one_line_and_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(content)
    store = store_in(tmp_path)
    with pytest.raises(RevocationStoreError, match="is damaged") as raised:
        store.load()
    assert "\n" not in str(raised.value)
    with pytest.raises(RevocationStoreError, match="is damaged"):
        await store.apply([MALLORY])
    assert path.read_bytes() == content


@pytest_twisted.ensureDeferred
async def test_more_than_can_be_read_is_never_written(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    full: list[Revocation] = [RevokedToken(f"t-{number}", 1) for number in range(MAX_REVOCATIONS)]
    await store.apply(full)
    with pytest.raises(RevocationStoreError, match="more than 100000"):
        await store.apply([MALLORY])
    assert len(store_in(tmp_path).load()) == MAX_REVOCATIONS


@pytest_twisted.ensureDeferred
async def test_another_worker_hears_of_a_revocation_and_of_its_lifting(tmp_path: Path, tokens: LiveTokens) -> None:
    elsewhere = store_in(tmp_path)
    await elsewhere.apply([MALLORY])
    await until(reactor, lambda: tokens.is_revoked(Bearer("mallory")))
    await elsewhere.apply((), [MALLORY])
    await until(reactor, lambda: not tokens.is_revoked(Bearer("mallory")))


@pytest_twisted.ensureDeferred
async def test_a_file_that_is_removed_or_damaged_lifts_nothing(
    tmp_path: Path, tokens: LiveTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    log = SimpleNamespace(error=lambda text, **values: said.append(text.format(**values)))
    monkeypatch.setattr(FileRevocationStore, "life_log", log)
    tokens.revoke(sub="mallory")
    await tokens.written()
    (tmp_path / FILE_NAME).unlink()
    await until(reactor, lambda: bool(said))
    assert "has been removed" in said.pop()
    assert tokens.is_revoked(Bearer("mallory"))
    tokens.revoke(jti="t-1")
    with pytest.raises(RevocationStoreError, match="has been removed"):
        await tokens.written()
    assert tokens.is_revoked(Bearer("anybody", "t-1"))
    (tmp_path / FILE_NAME).write_text("{")
    await until(reactor, lambda: bool(said))
    assert "is damaged" in said.pop()
    assert tokens.is_revoked(Bearer("mallory"))


@pytest_twisted.ensureDeferred
async def test_what_could_not_be_written_is_in_force_and_goes_along_with_the_next_change(
    tmp_path: Path, tokens: LiveTokens
) -> None:
    beside = tmp_path / "revocations.tmp"
    beside.mkdir()
    tokens.revoke(sub="mallory")
    with pytest.raises(RevocationStoreError, match="cannot be written"):
        await tokens.written()
    assert tokens.is_revoked(Bearer("mallory", iat=1_000))
    assert not tokens.is_revoked(Bearer("mallory", iat=1_001))
    assert store_in(tmp_path).load() == []
    beside.rmdir()
    tokens.revoke(jti="t-1")
    await tokens.written()
    assert [one.name for one in store_in(tmp_path).load()] == ["mallory", "t-1"]
