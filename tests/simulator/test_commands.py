"""``crosstick exchange`` and ``crosstick fault`` as processes, and the exchange as a node's component."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytest_twisted
from autobahn.wamp.types import ComponentConfig
from click.testing import CliRunner

from components.cli import main
from components.simulator.component import SimulatedExchangeComponent
from tests.simulator.client import connect

CROSSTICK = [sys.executable, "-c", "from components.cli import main; main()"]
REPOSITORY = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CROSSTICK, *arguments], capture_output=True, text=True, timeout=30, cwd=REPOSITORY)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [*CROSSTICK, "exchange", "--port", "0", "--rate", "100"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=REPOSITORY,
    )
    assert process.stdout is not None
    yield process, process.stdout.readline().strip()
    process.kill()
    process.wait()
    process.stdout.close()


def test_it_prints_its_address_and_takes_faults(running: tuple[subprocess.Popen[str], str]) -> None:
    _, url = running
    assert url.startswith("ws://127.0.0.1:")
    done = run("fault", "gap", "--symbol", "BTCUSDT", "--count", "2", "--url", url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "gap: 0 clients connected\n", "")


def test_a_second_one_on_the_same_port_ends_with_one_line(running: tuple[subprocess.Popen[str], str]) -> None:
    port = running[1].rpartition(":")[2]
    done = run("exchange", "--port", port)
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if "cannot listen" in line] == [
        f"Error: cannot listen on 127.0.0.1:{port}: [Errno 98] Address already in use"
    ]


def test_an_impossible_fault_is_a_usage_error() -> None:
    done = run("fault", "silent", "--seconds", "-1")
    assert done.returncode == 2
    assert "seconds must be a number from 0" in done.stderr


def test_a_fault_without_an_exchange_says_so() -> None:
    done = run("fault", "cut", "--url", "ws://127.0.0.1:9")
    assert done.returncode == 1
    assert "no answer from ws://127.0.0.1:9/control" in done.stderr


def test_ctrl_c_ends_it_cleanly(running: tuple[subprocess.Popen[str], str]) -> None:
    process, _ = running
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 0


@pytest.fixture
def component(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimulatedExchangeComponent:
    for name in [name for name in os.environ if name.startswith("CROSSTICK_")]:
        monkeypatch.delenv(name)
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("CROSSTICK_SIMULATOR_PORT", str(free.getsockname()[1]))
    monkeypatch.setenv("CROSSTICK_TOKEN_KEY", "k" * 32)
    return SimulatedExchangeComponent(ComponentConfig(realm="ops", extra={"cbdir": str(tmp_path)}))


@pytest_twisted.ensureDeferred
async def test_the_component_listens_while_it_is_joined(component: SimulatedExchangeComponent) -> None:
    await component.onJoin(SimpleNamespace())
    assert component._exchange is not None
    client = await connect(component._exchange.url + "/ws")
    await component.onDisconnect()
    assert (await client.ends.get())[0] == 1006


@pytest_twisted.ensureDeferred
async def test_the_component_leaves_when_its_port_is_taken(
    component: SimulatedExchangeComponent, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[tuple[str, str]] = []
    monkeypatch.setattr(component, "leave", lambda reason, message: left.append((reason, message)))
    port = component._environment.settings.simulator.port
    with socket.create_server(("127.0.0.1", port)):
        await component.onJoin(SimpleNamespace())
    ((reason, message),) = left
    assert reason == "crosstick.error.simulator_not_started"
    assert f"cannot listen on 127.0.0.1:{port}" in message


@pytest_twisted.ensureDeferred
async def test_the_component_idles_beside_another_exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSTICK_TOKEN_KEY", "k" * 32)
    monkeypatch.setenv("CROSSTICK_EXCHANGE_URL", "wss://exchange.example")
    component = SimulatedExchangeComponent(ComponentConfig(realm="ops", extra={"cbdir": str(tmp_path)}))
    await component.onJoin(SimpleNamespace())
    assert component._exchange is None
    await component.onDisconnect()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["fault", "gap", "--url", "foo"], "--url must be ws://host:port, was 'foo'"),
        (["fault", "gap", "--url", "http://127.0.0.1:1"], "--url must be ws://host:port"),
        (["exchange", "--speed", "nan"], "--speed must be a number, was nan"),
    ],
)
def test_a_value_that_cannot_work_is_answered_with_the_rule(words: list[str], reason: str) -> None:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert reason in result.output
