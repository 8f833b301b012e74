"""``crosstick cluster run``: what it says of its pages, its key and its logs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from components.cli import main
from components.cli.cluster import page_lines
from components.cluster.topology import ClusterError, token_authority, token_environ
from components.tokens import create_development_key


def test_both_pages_addresses_have_tokens_of_the_clusters_key(tmp_path: Path) -> None:
    authority = token_authority(token_environ({}), tmp_path)
    market, operators = page_lines("http://127.0.0.1:1", authority, int(time.time()))
    assert market.startswith("Open http://127.0.0.1:1/#token=")
    assert operators.startswith("For operators: http://127.0.0.1:1/operator.html#token=")
    claims = [authority.verify(line.partition("#token=")[2]) for line in (market, operators)]
    assert [(claim.role, claim.realm) for claim in claims] == [("viewer", "market"), ("operator", "ops")]


def test_a_key_of_the_environment_is_the_clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = create_development_key(tmp_path)
    monkeypatch.chdir(tmp_path)
    told = token_environ({"CROSSTICK_TOKEN_KEY_FILE": key.name, "CROSSTICK_TOKEN_ISSUER": "me", "CROSSTICK_BUS": "x"})
    assert told == {"CROSSTICK_TOKEN_KEY_FILE": str(key), "CROSSTICK_TOKEN_ISSUER": "me"}
    mine = token_authority(told, Path("/nowhere"))
    token = mine.mint(sub="me", role="viewer", realm="market", now_s=int(time.time()), ttl_s=60)
    assert token_authority(told, tmp_path).verify(token).sub == "me"


def test_a_key_that_cannot_mint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="cannot mint"):
        token_authority(token_environ({"CROSSTICK_TOKEN_JWKS": "https://127.0.0.1/keys"}), tmp_path)
    with pytest.raises(ClusterError, match="nokey"):
        token_authority(token_environ({"CROSSTICK_TOKEN_KEY_FILE": str(tmp_path / "nokey")}), tmp_path)


def test_a_folder_with_something_in_it_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    done = CliRunner().invoke(main, ["cluster", "run", "--directory", str(tmp_path)])
    assert done.exit_code == 1
    assert f"{tmp_path} is not empty; name a new folder" in done.output
