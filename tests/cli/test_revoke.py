"""``crosstick revoke``: what it cannot do, and taking a revocation back; what the documentation says is in ``tests/docs``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.free_ports import free_port
from tests.harness.node import Node

CROSSTICK = str(Path(sys.executable).with_name("crosstick"))


def revoke(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CROSSTICK_")}
    return subprocess.run(
        [CROSSTICK, "revoke", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=inherited | environ,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "environ", "complaint"),
    [
        ([], {"CROSSTICK_TOKEN": "x"}, "name a --jti or a --sub, and not both"),
        (["--jti", "a", "--sub", "b"], {"CROSSTICK_TOKEN": "x"}, "name a --jti or a --sub, and not both"),
        (["--list", "--sub", "b"], {"CROSSTICK_TOKEN": "x"}, "--list stands alone"),
        (["--lift", "--sub", "b", "--exp", "5"], {"CROSSTICK_TOKEN": "x"}, "--exp is for what is revoked"),
        (["--jti", "a"], {}, "CROSSTICK_TOKEN is not set"),
        (["--jti", "a"], {"CROSSTICK_TOKEN": "secret"}, "CROSSTICK_TOKEN is not a token"),
    ],
)
def test_wrong_use_is_told_in_a_line_that_quotes_no_token(
    arguments: list[str], environ: dict[str, str], complaint: str
) -> None:
    outcome = revoke(*arguments, **environ)
    assert outcome.returncode == 2
    assert complaint in outcome.stderr
    assert "secret" not in outcome.stderr + outcome.stdout


def test_what_the_gateway_refuses_or_does_not_answer_is_told(node: Node) -> None:
    environ = {"CROSSTICK_URL": node.ws_url, "CROSSTICK_TOKEN": node.token("alice")}
    refused = revoke("--sub", "mallory", **environ)
    told = "Error: token not accepted: it is for realm 'market', and this takes one for 'ops'\n"
    assert (refused.returncode, refused.stderr) == (1, told)
    operator = node.token("olga", "operator", realm="ops")
    wrong = revoke("--sub", "x" * 300, **environ | {"CROSSTICK_TOKEN": operator})
    assert wrong.returncode == 1
    assert "wamp.error.invalid_argument" in wrong.stderr
    no_door = revoke("--sub", "mallory", **environ | {"CROSSTICK_URL": f"{node.ws_url}/nowhere"})
    assert no_door.returncode == 1
    assert f"{node.ws_url}/nowhere: WebSocket connection upgrade failed [404]" in no_door.stderr
    nobody = revoke("--sub", "mallory", CROSSTICK_TOKEN=operator, CROSSTICK_URL=f"ws://127.0.0.1:{free_port()}/ws")
    assert nobody.returncode == 1
    assert "refused" in nobody.stderr


def test_what_was_revoked_by_mistake_is_seen_and_taken_back(node: Node) -> None:
    environ = {"CROSSTICK_URL": node.ws_url, "CROSSTICK_TOKEN": node.token("olga", "operator", realm="ops")}
    assert revoke("--sub", "malory", **environ).stdout == '{"closed": 0}\n'
    [listed] = [json.loads(line) for line in revoke("--list", **environ).stdout.splitlines()]
    assert (listed["sub"], listed["exp"]) == ("malory", None)
    assert [revoke("--lift", "--sub", "malory", **environ).stdout for _ in range(2)] == [
        '{"lifted": true}\n',
        '{"lifted": false}\n',
    ]
    assert revoke("--list", **environ).stdout == ""
