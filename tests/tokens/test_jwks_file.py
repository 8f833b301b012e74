"""A JWK Set in a file that changes while the node runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher

from components.tokens import TokenKeyError
from components.tokens.jwks_file import EARLY_INTERVAL_S, LOOK_INTERVAL_S, JwksFile
from tests.tokens.keyring import jwks, public_jwk

OLD, CURRENT = public_jwk("ES256", 0, kid="old"), public_jwk("ES256", 1, kid="current")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_bytes(jwks(OLD))
    return path


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(path: Path, clock: Clock) -> Iterator[JwksFile]:
    source = JwksFile(path)
    source.start(clock)
    yield source
    source.stop()
    assert clock.getDelayedCalls() == []


@pytest.fixture
def said() -> Iterator[list[str]]:
    """Return what is logged above ``debug``, as it comes."""
    lines: list[str] = []

    def observe(event: dict[str, object]) -> None:
        if event["log_level"] is not LogLevel.debug and "source" in event:
            lines.append(f"{event['log_level'].name}: {event.get('error', event['log_format'])}")  # type: ignore[attr-defined]

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def names(source: JwksFile) -> list[str | None]:
    found = source.keys()
    assert found is not None
    return [key.kid for key in found.keys]


def replace(path: Path, text: bytes) -> None:
    beside = path.with_suffix(".tmp")
    beside.write_bytes(text)
    beside.rename(path)


def test_a_file_that_is_no_set_stops_the_start(path: Path) -> None:
    path.write_bytes(b"{}")
    with pytest.raises(TokenKeyError, match=r"CROSSTICK_TOKEN_JWKS .*: it is no JWK Set"):
        JwksFile(path)


def test_a_file_that_is_replaced_is_read_anew(path: Path, keys: JwksFile, clock: Clock) -> None:
    assert names(keys) == ["old"]
    replace(path, jwks(OLD, CURRENT))
    assert names(keys) == ["old"]
    clock.advance(LOOK_INTERVAL_S)
    assert names(keys) == ["old", "current"]


def test_a_file_that_is_rewritten_in_place_is_read_anew(path: Path, keys: JwksFile, clock: Clock) -> None:
    path.write_bytes(jwks(CURRENT))
    os.utime(path, ns=(0, 12_345))
    clock.advance(LOOK_INTERVAL_S)
    assert names(keys) == ["current"]


def test_a_token_with_an_unknown_key_has_the_file_looked_at_at_once(path: Path, keys: JwksFile, clock: Clock) -> None:
    replace(path, jwks(CURRENT))
    looked = keys.early_refresh()
    assert looked is not None
    assert looked.called
    assert names(keys) == ["current"]
    replace(path, jwks(OLD))
    assert keys.early_refresh() is None
    assert names(keys) == ["current"]
    clock.advance(EARLY_INTERVAL_S)
    assert keys.early_refresh() is not None
    assert names(keys) == ["old"]


def test_the_last_good_set_outlives_a_bad_file_and_the_log_says_so_once(
    path: Path, keys: JwksFile, clock: Clock, said: list[str]
) -> None:
    replace(path, b"{half of")
    for _ in range(3):
        clock.advance(LOOK_INTERVAL_S)
    assert names(keys) == ["old"]
    assert keys.not_ready_because() == []
    assert keys.status().last_error.startswith("it is no JSON object")
    assert keys.status().age_s == 3 * LOOK_INTERVAL_S
    assert said == ["error: it is no JSON object: malformed"]
    path.unlink()
    clock.advance(LOOK_INTERVAL_S)
    assert keys.status().last_error == "No such file or directory"
    replace(path, jwks(CURRENT))
    clock.advance(LOOK_INTERVAL_S)
    assert names(keys) == ["current"]
    assert (keys.status().last_error, keys.status().age_s, keys.status().keys) == ("", 0.0, 1)
    assert said[1:] == ["info: token keys from {source}: read again"]


def test_a_file_without_a_usable_key_changes_nothing(path: Path, keys: JwksFile, clock: Clock) -> None:
    replace(path, jwks({"kty": "oct", "k": "A" * 43}))
    clock.advance(LOOK_INTERVAL_S)
    assert names(keys) == ["old"]
    assert "is a secret" in keys.status().last_error


def test_a_file_that_stays_as_it_is_is_fresh(keys: JwksFile, clock: Clock) -> None:
    clock.advance(LOOK_INTERVAL_S)
    clock.advance(1.0)
    assert keys.status().age_s == 1.0
