"""Where a watch has its token from."""

from __future__ import annotations

import os
from pathlib import Path

import jwt
import pytest

from components.tokens import create_development_key, load_authority
from components.watch.tokens import NoToken, renewal_delay_s, token_source

LOCAL = ["ws://127.0.0.1:8080/ws/trade"]
TOKEN = jwt.encode({"sub": "alice"}, "s" * 32)


def test_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    source = token_source({"CROSSTICK_TOKEN": "another"}, path, tmp_path, LOCAL)
    assert (source.get(), source.renews) == (TOKEN, True)
    path.write_text("nothing")
    with pytest.raises(NoToken, match="holds no token with a subject"):
        source.get()


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, TOKEN.encode() + b"\n")
    os.close(writer)
    try:
        source = token_source({}, Path(f"/dev/fd/{reader}"), tmp_path, LOCAL)
    finally:
        os.close(reader)
    assert (source.get(), source.get(), source.renews) == (TOKEN, TOKEN, False)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NoToken, match="No such file"):
        token_source({}, tmp_path / "token", tmp_path, LOCAL)


def test_the_environments_token_stays_as_it_is(tmp_path: Path) -> None:
    source = token_source({"CROSSTICK_TOKEN": TOKEN}, None, tmp_path, LOCAL)
    assert (source.get(), source.renews, source.note) == (TOKEN, False, "")


def test_beside_a_development_node_one_is_minted_and_that_is_said(tmp_path: Path) -> None:
    create_development_key(tmp_path)
    source = token_source({}, None, tmp_path, LOCAL)
    claims = load_authority({}, tmp_path).verify(source.get())
    assert (claims.sub, claims.role, claims.realm) == ("watch", "viewer", "market")
    assert "development key" in source.note


@pytest.mark.parametrize(
    ("environ", "url", "key"),
    [
        ({}, "ws://127.0.0.1:8080/ws", False),
        ({}, "wss://gateway.example/ws", True),
        ({"CROSSTICK_ENV": "production"}, "ws://127.0.0.1:8080/ws", True),
        ({"CROSSTICK_TOKEN_JWKS": "https://issuer.example/keys"}, "ws://127.0.0.1:8080/ws", True),
        ({"CROSSTICK_TOKEN": "no-token-but-a-secret"}, "ws://127.0.0.1:8080/ws", True),
    ],
)
def test_elsewhere_there_is_none_and_it_says_what_to_do(
    tmp_path: Path, environ: dict[str, str], url: str, key: bool
) -> None:
    if key:
        create_development_key(tmp_path)
    with pytest.raises(NoToken, match="CROSSTICK_TOKEN") as refused:
        token_source(environ, None, tmp_path, [url])
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(("ttl_s", "delay_s"), [(3600, 3540), (100, 80), (1, 1), (-5, 1)])
def test_a_token_is_renewed_before_it_ends(ttl_s: int, delay_s: float) -> None:
    assert renewal_delay_s(jwt.encode({"sub": "a", "exp": 10_000 + ttl_s}, "s" * 32), 10_000) == delay_s


def test_a_token_that_does_not_end_is_not_renewed() -> None:
    assert renewal_delay_s(TOKEN, 0) is None
