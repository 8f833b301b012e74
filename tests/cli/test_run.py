"""``crosstick run``, which is what ``make run`` calls."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from components.free_ports import free_port
from components.tokens import DEVELOPMENT_KEY_NAME
from tests.harness.node import Node
from tests.harness.plain import PlainClient
from tests.harness.wire import Wire

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that runs the command for a node; a test that breaks off leaves nothing running."""
    started: list[subprocess.Popen[str]] = []

    def run(node: Node, *words: str) -> subprocess.Popen[str]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("CROSSTICK_")}
        environ["CROSSTICK_SIMULATOR_PORT"] = str(free_port())
        started.append(
            subprocess.Popen(
                [str(Path(sys.executable).with_name("crosstick")), "run", "--cbdir", str(node.directory), *words],
                env=environ,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return started[-1]

    yield run
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)


def read_until_ready(process: subprocess.Popen[str]) -> list[str]:
    # Not killed: its node, whose output comes by the same pipe, would go on.
    watchdog = threading.Timer(60, process.send_signal, [signal.SIGINT])
    watchdog.start()
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Ctrl-C"):
            break
    watchdog.cancel()
    return lines


def test_it_makes_a_key_prints_the_page_and_ends_cleanly(make_node: Callable[..., Node], start: Start) -> None:
    node = make_node(with_key=False, as_shipped=True)
    process = start(node)
    lines = read_until_ready(process)
    address = re.search(r"^Open (http://127\.0\.0\.1:\d+)/#token=(\S+)$", "".join(lines), re.MULTILINE)
    assert address is not None, lines
    assert address[1] == node.url
    assert node.authority.verify(address[2]).role == "viewer"
    operators = re.search(rf"^For operators: {node.url}/operator.html#token=(\S+)$", "".join(lines), re.MULTILINE)
    assert operators is not None, lines
    claims = node.authority.verify(operators[1])
    assert (claims.role, claims.realm) == ("operator", "ops")
    assert (node.directory / DEVELOPMENT_KEY_NAME).stat().st_mode & 0o777 == 0o600
    # Nothing but the addresses: a first start has nothing to warn of.
    assert [line.partition("http")[0] for line in lines] == [
        "\n",
        "Crosstick is ready, with 121 symbols from the simulated exchange.\n",
        "Open ",
        "For operators: ",
        "Ctrl-C stops it.\n",
    ]
    status, headers, _ = node.get("/")
    assert (status, headers["content-type"]) == (200, "text/html")

    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 4
    began = time.monotonic()
    with Wire(node) as wire, PlainClient(node) as plain:
        wire.upgrade()
        wire.join("page", address[2])
        wire.say(32, 1, {}, "market.BTCUSDT")
        assert wire.message()[0] == 33
        plain.open(f"token={address[2]}")
        plain.ask("subscribe", symbols=["ETHUSDT"])
        plain.messages()
        process.send_signal(signal.SIGINT)
        # Whoever is there, and whichever of its processes is the first to go.
        rest, _ = process.communicate(timeout=10)
    assert rest.strip() == "Stopping …"
    assert process.returncode == 0
    assert time.monotonic() - began < 5.0
    assert psutil.wait_procs(family, timeout=1)[1] == []


def test_a_port_that_is_taken_is_said_and_nothing_is_left(make_node: Callable[..., Node], start: Start) -> None:
    first = make_node(as_shipped=True)
    first.start()
    process = start(first)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"port {first.port} is taken" in output
    assert first.ready()[0]
