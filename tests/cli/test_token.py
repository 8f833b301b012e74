"""``crosstick token`` as people call it."""

from __future__ import annotations

import time
from pathlib import Path

import jwt
import pytest
from click.testing import CliRunner

from components.cli import main
from components.tokens import create_development_key, load_authority


@pytest.fixture
def cbdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CROSSTICK_TOKEN_KEY", "CROSSTICK_TOKEN_KEY_FILE", "CROSSTICK_ENV"):
        monkeypatch.delenv(name, raising=False)
    create_development_key(tmp_path)
    return tmp_path


def minted(cbdir: Path, *words: str) -> str:
    result = CliRunner().invoke(main, ["token", "--cbdir", str(cbdir), *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert result.output.count("\n") == 1
    return result.output.strip()


def test_the_contracts_command_prints_a_good_token_alone_on_its_line(cbdir: Path) -> None:
    words = "--sub alice --role viewer --realm market --ttl 1h --symbols BTC*,ETHUSDT --services quotes"
    token = minted(cbdir, *words.split())
    claims = load_authority({}, cbdir).verify(token)
    assert (claims.sub, claims.role, claims.realm) == ("alice", "viewer", "market")
    assert (claims.symbols, claims.services) == (("BTC*", "ETHUSDT"), ("quotes",))
    assert abs(claims.exp - time.time() - 3600) < 30


@pytest.mark.parametrize(("ttl", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("7d", 604_800)])
def test_a_ttl_has_a_unit(cbdir: Path, ttl: str, seconds: int) -> None:
    claims = jwt.decode(
        minted(cbdir, "--sub", "a", "--role", "viewer", "--ttl", ttl), options={"verify_signature": False}
    )
    assert claims["exp"] - claims["iat"] == seconds


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--sub a --role viewer --ttl 5", "must be a number with s, m, h or d"),
        ("--sub a --role viewer --ttl 0s", "must be a number with s, m, h or d"),
        ("--sub a --role admin", "'admin' is not one of"),
        ("--role viewer", "Missing option '--sub'"),
        ("--sub a --role viewer --symbols ,", "must name at least one"),
    ],
)
def test_a_wrong_word_is_answered_with_the_rule(cbdir: Path, words: str, reason: str) -> None:
    result = CliRunner().invoke(main, ["token", "--cbdir", str(cbdir), *words.split()])
    assert result.exit_code != 0
    assert reason in result.output
    assert "Traceback" not in result.output


def test_without_a_key_there_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CROSSTICK_TOKEN_KEY", raising=False)
    result = CliRunner().invoke(main, ["token", "--cbdir", str(tmp_path), "--sub", "a", "--role", "viewer"])
    assert result.exit_code == 1
    assert result.output.startswith("Error: no token key: set CROSSTICK_TOKEN_KEY_FILE")
