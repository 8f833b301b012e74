"""Tokens: what is accepted, what is not, and where the key comes from."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from components.tokens import TokenAuthority, TokenError, TokenKeyError, create_development_key, load_authority

KEY = b"k" * 64
AUTHORITY = TokenAuthority(KEY, "crosstick")


def claims(**changes: Any) -> dict[str, Any]:
    base = {"sub": "alice", "role": "viewer", "realm": "market", "aud": "crosstick", "exp": int(time.time()) + 86_400}
    return {name: value for name, value in (base | changes).items() if value is not None}


def signed(algorithm: str = "HS256", key: Any = KEY, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm)


def unsigned(header: dict[str, str]) -> str:
    parts = (json.dumps(part).encode() for part in (header, claims()))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


def test_a_minted_token_says_what_was_asked_for() -> None:
    now_s = int(time.time())
    token = AUTHORITY.mint(
        sub="alice", role="viewer", realm="market", now_s=now_s, ttl_s=60, symbols=("BTC*",), services=("quotes",)
    )
    accepted = AUTHORITY.verify(token)
    assert (accepted.sub, accepted.role, accepted.realm, accepted.exp) == ("alice", "viewer", "market", now_s + 60)
    assert (accepted.symbols, accepted.services) == (("BTC*",), ("quotes",))


def test_a_token_without_entitlements_grants_all_symbols_and_no_service() -> None:
    accepted = AUTHORITY.verify(signed())
    assert (accepted.symbols, accepted.services) == (None, ())


@pytest.mark.parametrize(
    ("token", "cause"),
    [
        (None, "missing"),
        ("", "missing"),
        (b"bytes", "missing"),
        ("x" * 9000, "too long"),
        ("not a token", "invalid"),
        (signed(exp=int(time.time()) - 1), "expired"),
        (signed(exp=None), "invalid"),
        (signed(exp="soon"), "invalid"),
        (signed(nbf=int(time.time()) + 3600), "invalid"),
        (signed(aud=None), "invalid"),
        (signed(aud="other"), "invalid"),
        (signed(aud=["crosstick", "other"]), "invalid"),
        (signed(sub=None), "invalid"),
        (signed(role=None), "role missing"),
        (signed(role=["viewer"]), "role missing"),
        (signed(realm=None), "realm missing"),
        (signed(symbols="BTC*"), "symbols not a list of strings"),
        (signed(services=[1]), "services not a list of strings"),
        (signed(key=b"o" * 48), "invalid"),
        (signed("HS512"), "invalid"),
        (unsigned({"alg": "none", "typ": "JWT"}), "invalid"),
        (unsigned({"alg": "None", "typ": "JWT"}), "invalid"),
        (unsigned({"alg": "HS256", "typ": "JWT"}), "invalid"),
    ],
)
def test_a_token_that_is_not_in_order_is_refused(token: object, cause: str) -> None:
    with pytest.raises(TokenError, match=f"^{cause}$"):
        AUTHORITY.verify(token)


def test_a_token_signed_with_another_kind_of_key_is_refused() -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(TokenError):
        AUTHORITY.verify(signed("RS256", pem))


@given(st.text(max_size=60))
def test_no_text_raises_anything_but_token_error(text: str) -> None:
    with pytest.raises(TokenError):
        AUTHORITY.verify(text)


@pytest.mark.parametrize(
    "wrong",
    [{"role": "admin"}, {"sub": ""}, {"realm": ""}, {"ttl_s": 0}, {"role": "service", "sub": "a.b"}],
    ids=["role", "sub", "realm", "ttl", "service"],
)
def test_nonsense_is_not_minted(wrong: dict[str, Any]) -> None:
    asked = {"sub": "alice", "role": "viewer", "realm": "market", "now_s": 0, "ttl_s": 60} | wrong
    with pytest.raises(ValueError, match=r"must|is its name"):
        AUTHORITY.mint(**asked)


def test_the_development_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = create_development_key(tmp_path)
    key = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert create_development_key(tmp_path).read_bytes() == key
    assert load_authority({}, tmp_path).key == key.strip()


def test_outside_development_the_development_key_is_not_used(tmp_path: Path) -> None:
    create_development_key(tmp_path)
    with pytest.raises(TokenKeyError, match="no token key"):
        load_authority({"CROSSTICK_ENV": "production"}, tmp_path)


def test_a_key_comes_from_the_environment_or_its_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("f" * 40 + "\n")
    file.chmod(0o600)
    assert load_authority({"CROSSTICK_TOKEN_KEY": "e" * 32}, tmp_path).key == b"e" * 32
    assert load_authority({"CROSSTICK_TOKEN_KEY_FILE": str(file)}, tmp_path).key == b"f" * 40


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({}, "no token key: set CROSSTICK_TOKEN_KEY_FILE"),
        ({"CROSSTICK_TOKEN_KEY": "short"}, "at least 32 bytes, had 5"),
        ({"CROSSTICK_TOKEN_KEY": "e" * 32, "CROSSTICK_TOKEN_KEY_FILE": "x"}, "not both"),
        ({"CROSSTICK_TOKEN_KEY_FILE": "/nowhere/key"}, "No such file"),
        ({"CROSSTICK_ENV": "staging"}, "'development' or 'production', was 'staging'"),
        ({"CROSSTICK_TOKEN_AUDIENCE": ""}, "must not be empty"),
    ],
)
def test_without_a_usable_key_there_is_one_clear_reason(environ: dict[str, str], reason: str, tmp_path: Path) -> None:
    with pytest.raises(TokenKeyError, match=reason):
        load_authority(environ, tmp_path)


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("f" * 40)
    file.chmod(0o640)
    with pytest.raises(TokenKeyError, match="chmod 600"):
        load_authority({"CROSSTICK_TOKEN_KEY_FILE": str(file)}, tmp_path)
