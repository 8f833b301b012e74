"""What README.md tells people to type, typed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from components.core.closing import CLOSE_CODES
from components.core.limits import Limits, RealmLimits
from components.feed.feed import Feed
from components.feed.web import lag_histogram, make_site
from components.router.drain.settings import DrainSettings, parse_drain
from components.router.fanout_settings import FanOutSettings
from components.settings import KNOWN_VARIABLES, FeedSettings
from components.tokens.claims import CLAIMS
from tests.clients.command import NODE
from tests.feed.memory_bus import MemoryBus
from tests.harness.node import REPOSITORY, Node, free_port
from tests.harness.reactor import ReactorOnClock
from tests.harness.redis import RedisServer

README = (REPOSITORY / "README.md").read_text()
CI = (REPOSITORY / ".ci" / "run").read_text()
CLIENTS = REPOSITORY / "clients"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def configured(key: str) -> dict[str, Any]:
    """Return the ``extra`` of the one YAML block that shows a component's settings."""
    [extra] = [yaml.safe_load(block)["extra"] for block in blocks("yaml") if key in yaml.safe_load(block)["extra"]]
    return dict(extra)


def shell_lines() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines() if line]


def environ_of(node: Node) -> dict[str, str]:
    """Return an environment in which the README's commands use a test's node."""
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{Path(str(NODE)).parent}{os.pathsep}{os.environ['PATH']}",
        "CROSSTICK_TOKEN_KEY_FILE": str(node.directory / "development.key"),
        "CROSSTICK_URL": node.ws_url,
        "PYTHONPATH": str(CLIENTS / "python"),
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def started(command: list[str], environ: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run a command that goes on until it is told to end; both outputs on one pipe."""
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    watchdog = threading.Timer(40, os.killpg, (process.pid, signal.SIGKILL))
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=10)


def wait_for(process: subprocess.Popen[str], pattern: str) -> str:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if re.search(pattern, line):
            return line
    raise AssertionError(f"{pattern} did not appear in:\n{''.join(seen)}")


def test_every_command_is_run_by_a_test_here_or_by_ci() -> None:
    for line in shell_lines():
        if line.startswith("make "):
            assert re.search(rf"^\s*{line}\b", CI, re.MULTILINE) or line == "make soak", line
        else:
            assert re.match(
                r"crosstick (token|exchange|fault) |CROSSTICK_(TOKEN|BUS)=|curl |crossbar start$|\. \.venv", line
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
        expected = r'^\{"closed": 0\}$'
    for command in (" python ", " node ", " crosstick revoke "):
        line = line.replace(command, f";{command}")
    with started(["bash", "-c", f"export {line}"], environ_of(node)) as process:
        wait_for(process, expected)


def test_the_simulated_exchange_stands_alone_and_makes_faults(node: Node) -> None:
    port = str(free_port())
    alone, fault = (line.replace("9444", port) for line in blocks("sh")[-2].splitlines())
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


def test_the_python_program_prints_prices(node: Node) -> None:
    [program] = [block for block in blocks("python") if "follow_ticks" in block]
    environ = environ_of(node) | {"CROSSTICK_TOKEN": node.token("alice")}
    with started([sys.executable, "-c", program], environ) as process:
        wait_for(process, r"^\d+\.\d+$")


def test_the_python_program_without_wamp_prints_ticks(node: Node) -> None:
    [program] = [block for block in blocks("python") if "/ws/trade" in block]
    program = program.replace("ws://127.0.0.1:8080/ws", node.ws_url)
    environ = environ_of(node) | {"CROSSTICK_TOKEN": node.token("alice")}
    with started([sys.executable, "-c", program], environ) as process:
        wait_for(process, r'^\{"symbol":"BTCUSDT","price":')


@pytest.mark.skipif(NODE is None, reason="no node.js on this machine")
def test_the_javascript_programs_print_prices_and_a_services_average(node: Node, tmp_path: Path) -> None:
    # That for who has no WAMP client runs in a browser: tests/clients/test_plain.py.
    subscribe, service = (block for block in blocks("js") if "/ws/trade" not in block)
    program = f"""
import autobahn from "autobahn";
import {{ WebSocket }} from "ws";
globalThis.WebSocket ??= WebSocket;
const token = process.env.CROSSTICK_TOKEN;
{subscribe.replace("ws://127.0.0.1:8080/ws", node.ws_url)}
const services = new autobahn.Connection({{
  url: {node.ws_url!r}, realm: "market", authmethods: ["ticket"], authid: "alice", onchallenge: () => token,
}});
services.onopen = (session) => {{
  const print = console.log;
  console.log = (...values) => print("service", ...values);
{service}
}};
setTimeout(() => services.open(), 500);
"""
    environ = environ_of(node)
    quotes = [sys.executable, str(CLIENTS / "service" / "quotes.py")]
    with started(quotes, environ | {"CROSSTICK_TOKEN": node.token("quotes", "service")}) as running:
        wait_for(running, "^live$")
        # Modules are looked up from where the program lies.
        path = CLIENTS / "node" / f"readme-{os.getpid()}.mjs"
        path.write_text(program)
        try:
            environ["CROSSTICK_TOKEN"] = node.token("alice", services=["quotes"])
            with started([str(NODE), str(path)], environ) as process:
                wait_for(process, r"^\d+(\.\d+)?$")
                wait_for(process, r"^service \d+(\.\d+)?$")
        finally:
            path.unlink()


def test_the_variables_that_it_shows_are_all_there_are() -> None:
    shown = re.findall(r"^\| `(CROSSTICK_\w+)` \|", README, re.MULTILINE)
    assert sorted(shown) == sorted(KNOWN_VARIABLES)


def test_the_claims_that_it_shows_are_all_that_are_checked() -> None:
    table = README.split("| claim | meaning |")[1].split("\n\n")[0]
    shown = [name for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    assert sorted(shown) == sorted(CLAIMS)


def test_the_fan_outs_entry_is_what_a_node_has_without_one() -> None:
    documented = FanOutSettings.from_extra(configured("fanout"))
    assert documented.outbox.policy_for("market.BTCUSDT") == FanOutSettings().outbox.policy_for("market.BTCUSDT")
    assert replace(documented, outbox=replace(documented.outbox, policies=())) == FanOutSettings()


def test_the_drains_entry_is_what_a_node_has_without_one() -> None:
    shown = configured("drain")
    assert parse_drain(shown) == DrainSettings()
    assert set(shown["drain"]) == set(DrainSettings.__struct_fields__)


def test_the_limits_that_it_shows_are_all_there_are_and_their_defaults() -> None:
    shown = configured("limits")["limits"]
    assert RealmLimits.from_mapping(shown).base == Limits()
    assert RealmLimits.from_mapping(shown).authenticate_timeout_s == RealmLimits.from_mapping({}).authenticate_timeout_s
    assert RealmLimits.from_mapping(shown).expiry_grace_s == RealmLimits.from_mapping({}).expiry_grace_s
    assert set(shown) == {*Limits.__struct_fields__, "authenticate_timeout", "expiry_grace", "roles", "tiers"}


def test_the_metrics_that_it_lists_are_those_that_there_are(node: Node) -> None:
    _, _, body = node.get("/metrics")
    registry = CollectorRegistry()
    lag_histogram(registry)
    settings = FeedSettings("ws://127.0.0.1:1", ("BTCUSDT",), "trade", 60.0, "one")
    feed = Feed(ReactorOnClock(), settings, MemoryBus().writer(), lambda: 0, pytest.fail)
    make_site(feed, registry)
    answers = body.decode() + generate_latest(registry).decode()
    rows = re.findall(r"^\| (`crosstick_\w+`.*?) \|", README, re.MULTILINE)
    there = re.findall(r"^# TYPE (crosstick_\w+) ", answers, re.MULTILINE)
    # The library adds to each histogram when it was made.
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == {
        name for name in there if not name.endswith("_created")
    }


def test_every_reason_of_closing_is_listed_with_its_code() -> None:
    listed = {
        uri: int(code) for uri, code in re.findall(r"^\| `(crosstick\.close\.\w+)` \| (\d+) \|", README, re.MULTILINE)
    }
    assert listed == {reason.value: code for reason, code in CLOSE_CODES.items()}
