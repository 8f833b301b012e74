"""What the documentation tells people to type, typed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from components.free_ports import free_port
from tests.clients.command import NODE
from tests.docs.typed import environ_of, started, wait_for
from tests.harness.documents import block_with, shell_lines
from tests.harness.node import REPOSITORY, Node
from tests.harness.redis import RedisServer

CI = (REPOSITORY / ".ci" / "run").read_text()


def test_every_command_is_run_by_a_test_here_or_by_ci() -> None:
    for line in shell_lines():
        if line.startswith("make "):
            assert re.search(rf"^\s*{line}\b", CI, re.MULTILINE) or line == "make soak", line
        else:
            assert re.match(
                r"crosstick (token|exchange|fault|replay) |CROSSTICK_(TOKEN|BUS|EXCHANGE_URL)=|curl |crossbar start$|\. \.venv",
                line,
            ), line


@pytest.mark.parametrize("line", [line for line in shell_lines() if line.startswith("crosstick token ")])
def test_a_token_is_printed(node: Node, line: str) -> None:
    printed = subprocess.run(
        ["bash", "-c", line], cwd=REPOSITORY, env=environ_of(node), capture_output=True, text=True, check=True
    )
    assert node.authority.verify(printed.stdout.strip())


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
@pytest.mark.parametrize("line", [line for line in shell_lines() if re.match("curl .*/api/(?!stream)", line)])
def test_the_market_is_asked_by_curl(node: Node, line: str) -> None:
    line = line.replace("http://127.0.0.1:8080", node.url)
    printed = subprocess.run(
        ["bash", "-c", line], cwd=REPOSITORY, env=environ_of(node), capture_output=True, text=True, check=True
    )
    assert {"symbols", "symbol", "openapi"} & set(json.loads(printed.stdout))


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_a_stream_is_followed_by_curl(node: Node) -> None:
    [line] = [line for line in shell_lines() if "/api/stream" in line]
    with started(["bash", "-c", line.replace("http://127.0.0.1:8080", node.url)], environ_of(node)) as process:
        wait_for(process, r'^data: ?\{"symbol":"BTCUSDT","price":')


@pytest.mark.parametrize("line", [line for line in shell_lines() if line.startswith("CROSSTICK_TOKEN=")])
def test_a_client_command_goes_live(node: Node, line: str) -> None:
    if " node " in line and NODE is None:
        pytest.skip("no node.js on this machine")
    expected = r"^live$" if "quotes.py" in line else r'^\{"symbol":"(BTC|ETH)USDT","price":'
    if "crosstick revoke" in line:
        # In the order of the page: one is listed that was revoked before.
        listed, lifted = r'^\{"sub": "mallory", ', r'^\{"lifted": true\}$'
        expected = listed if "--list" in line else lifted if "--lift" in line else r'^\{"closed": 0\}$'
    for command in (" python ", " node ", " crosstick revoke "):
        line = line.replace(command, f";{command}")
    with started(["bash", "-c", f"export {line}"], environ_of(node)) as process:
        wait_for(process, expected)


def test_the_simulated_exchange_stands_alone_and_makes_faults(node: Node) -> None:
    port = str(free_port())
    block = block_with("crosstick exchange", "sh")
    alone, fault = (line.replace("9444", port) for line in block.splitlines())
    with started(["bash", "-c", f"exec {alone}"], environ_of(node)) as process:
        wait_for(process, rf"ws://127\.0\.0\.1:{port}")
        subprocess.run(["bash", "-c", fault], cwd=REPOSITORY, env=environ_of(node), check=True, capture_output=True)


def test_a_feed_runs_alone_on_a_shared_bus(node: Node, tmp_path: Path) -> None:
    [line] = [line for line in shell_lines() if " crosstick feed " in line]
    redis = RedisServer(tmp_path / "redis")
    redis.start()
    try:
        line = line.replace("6379", str(redis.port)).replace("8081", str(free_port()))
        environ = environ_of(node) | {"CROSSTICK_EXCHANGE_URL": f"ws://127.0.0.1:{free_port()}"}
        with started(["bash", "-c", f"export {line.replace(' crosstick', '; exec crosstick')}"], environ) as process:
            wait_for(process, r"^http://127\.0\.0\.1:\d+$")
            wait_for(process, "goes on with epoch|begins epoch")
    finally:
        redis.kill()
