"""``crosstick token`` as people call it."""

from __future__ import annotations

import time
from pathlib import Path

import jwt
import pytest
from click.testing import CliRunner

from components.cli import main
from components.tokens import TokenAuthority, TokenRules, create_development_key, load_authority
from components.variables import KNOWN_VARIABLES
from tests.tokens.keyring import private_key, private_pem, public_pem, signing_key


@pytest.fixture
def cbdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in KNOWN_VARIABLES:
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
    assert claims.jti
    assert claims.iat == claims.exp - 3600
    assert claims.tier is None


def test_tier_name_and_issuer_are_in_the_token(cbdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSTICK_TOKEN_ISSUER", "https://issuer.example/")
    token = minted(cbdir, *["--sub", "alice", "--role", "viewer", "--tier", "gold", "--jti", "number-7"])
    claims = load_authority({"CROSSTICK_TOKEN_ISSUER": "https://issuer.example/"}, cbdir).verify(token)
    assert (claims.tier, claims.jti) == ("gold", "number-7")


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_private_key_signs_by_its_kind(cbdir: Path, algorithm: str) -> None:
    path = cbdir / "private.pem"
    path.write_bytes(private_pem(private_key(algorithm)))
    path.chmod(0o600)
    token = minted(cbdir, *f"--sub alice --role viewer --key {path} --kid today".split())
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "kid": "today", "typ": "JWT"}
    verifier = TokenAuthority.of_signing_key(signing_key(algorithm, "today"), TokenRules("crosstick"), "test")
    assert verifier.verify(token).sub == "alice"


def test_a_public_key_cannot_sign_and_a_key_of_its_own_can_instead(
    cbdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public, private = cbdir / "public.pem", cbdir / "private.pem"
    public.write_bytes(public_pem(private_key("ES256")))
    private.write_bytes(private_pem(private_key("ES256")))
    private.chmod(0o600)
    monkeypatch.setenv("CROSSTICK_TOKEN_KEY_FILE", str(public))
    words = ["token", "--cbdir", str(cbdir), "--sub", "a", "--role", "viewer"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert result.output == "Error: the configured keys are public ones, which cannot mint: name a private key\n"
    token = minted(cbdir, "--sub", "a", "--role", "viewer", "--key", str(private))
    assert load_authority({"CROSSTICK_TOKEN_KEY_FILE": str(public)}, cbdir).verify(token).sub == "a"


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
        ("--sub a --role viewer --symbols B[T]C", "no such token can be accepted: symbols invalid"),
        ("--sub a --role viewer --tier gold\x1b", "no such token can be accepted: tier invalid"),
        ("--sub a --role viewer --key /nowhere/key", "token key file /nowhere/key: No such file"),
        ("--sub a --role viewer --kid today", "--kid names a --key"),
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
