"""``crosstick watch`` as people and scripts call it, at a real node."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from click import Context, Option
from click.testing import CliRunner
from twisted.internet import reactor

from components.cli import main
from tests.clients.line import Line
from tests.harness.node import REPOSITORY, Node

CROSSTICK = str(Path(sys.executable).with_name("crosstick"))


def environ_of(node: Node, **more: str) -> dict[str, str]:
    # A size that is in the environment goes before the terminal's own.
    size = ("COLUMNS", "LINES")
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith("CROSSTICK_") and name not in size
    }
    return clean | {"CROSSTICK_URL": node.ws_url, "TERM": "xterm-256color"} | more


def run(node: Node, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [CROSSTICK, "watch", "--cbdir", str(node.directory), *words],
        env=environ_of(node, **environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_once_prints_a_table_without_control_sequences(node: Node) -> None:
    done = run(node, "BTC*", "ETHUSDT", "--once")
    assert done.returncode == 0, done.stderr
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["symbol", "price", "bid", "ask", "volume", "age", "seq"]
    assert [row.split()[0] for row in rows] == ["BTCUSDT", "ETHUSDT"]
    assert "\x1b" not in done.stdout
    assert "minted with the development key" in done.stderr


def test_case_is_forgiven_and_what_is_not_there_is_named(node: Node) -> None:
    done = run(node, "btcusdt", "ETHUSD", "--once")
    assert done.returncode == 2
    assert [row.split()[0] for row in done.stdout.splitlines()[1:]] == ["BTCUSDT"]
    assert "refused: ETHUSD is none of the " in done.stderr
    assert "ETHUSDT" in done.stderr


def test_an_address_without_its_path_is_refused_at_once(node: Node) -> None:
    done = run(node, "--once", "--url", f"ws://127.0.0.1:{node.port}")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"did you mean --url ws://127.0.0.1:{node.port}/ws?" in done.stderr


def test_once_as_json_has_the_exchanges_digits(node: Node) -> None:
    done = run(node, "BTCUSDT", "--once", "--json", "--rate", "1s", CROSSTICK_TOKEN=node.token("alice"))
    assert (done.returncode, done.stderr) == (0, "")
    [line] = done.stdout.splitlines()
    assert re.search(r'"price":\d+\.\d{8},', line)
    assert json.loads(line).keys() == {"symbol", "price", "bid", "ask", "volume", "seq", "age_s", "live"}


def test_a_token_that_is_not_accepted_is_refused_and_not_shown(node: Node) -> None:
    token = node.token("alice")[:-4] + "AAAA"
    done = run(node, CROSSTICK_TOKEN=token)
    assert (done.returncode, done.stdout) == (2, "")
    assert "refused: crosstick.error.authentication_failed" in done.stderr
    assert token not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rate", "fast"], "must be raw, or an interval"),
        (["--url", "http://127.0.0.1/ws"], "--url must be such as"),
        (["--url", "ws://127.0.0.1/ws?token=x"], "neither user nor query"),
        (["--url", " , "], "must name a gateway"),
        (["--url", "wss://gateway.example/ws"], "set CROSSTICK_TOKEN or --token-file"),
    ],
)
def test_wrong_use_is_said(monkeypatch: pytest.MonkeyPatch, words: list[str], said: str) -> None:
    monkeypatch.delenv("CROSSTICK_TOKEN", raising=False)
    result = CliRunner().invoke(main, ["watch", *words])
    assert result.exit_code == 2
    assert said in result.output


def test_into_a_pipe_it_prints_ticks_until_the_reader_goes(node: Node) -> None:
    command = f"{CROSSTICK} watch --cbdir {node.directory} BTCUSDT | head -n 2; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], env=environ_of(node), capture_output=True, text=True, timeout=60, check=True
    )
    *ticks, code = done.stdout.splitlines()
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} BTCUSDT \S+ \S+ (buy|sell) seq=\d+.*", tick) for tick in ticks)
    assert (len(ticks), code) == (2, "0")


@pytest_twisted.async_yield_fixture
async def line(node: Node) -> AsyncIterator[Line]:
    """Return a line to the shared node that this test may cut."""
    made = Line(reactor, node.port)
    yield made
    await made.cut()


class Terminal:
    """A watch on a terminal of its own."""

    def __init__(self, environ: dict[str, str], *words: str) -> None:
        self.master, slave = pty.openpty()
        self.resize(80, 24)
        self.process = subprocess.Popen(
            [CROSSTICK, "watch", *words], env=environ, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        os.set_blocking(self.master, False)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self) -> str:
        """Return what has been drawn since the last time."""
        parts = []
        # Nothing to read at the moment, or nobody there any more.
        with suppress(OSError):
            while data := os.read(self.master, 65_536):
                parts.append(data)
        return b"".join(parts).decode(errors="replace")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)


@contextmanager
def terminal(environ: dict[str, str], *words: str) -> Iterator[Terminal]:
    made = Terminal(environ, *words)
    try:
        yield made
    finally:
        made.close()


async def drawn(watch: Terminal, is_so: Callable[[str], Any]) -> str:
    """Return what is drawn from here on as soon as it is so; the reactor runs meanwhile, and with it the line."""
    deadline = time.monotonic() + 30
    drawn = ""
    while not is_so(drawn):
        assert watch.process.poll() is None, drawn[-3000:]
        assert time.monotonic() < deadline, drawn[-3000:]
        await pause()
        drawn += watch.read()
    return drawn


async def pause() -> None:
    from twisted.internet.task import deferLater

    await deferLater(reactor, 0.05)


async def ended(watch: Terminal) -> int:
    while watch.process.poll() is None:
        watch.read()
        await pause()
    return watch.process.returncode


@pytest_twisted.ensureDeferred
async def test_a_terminal_shows_what_is_so(node: Node, line: Line) -> None:
    environ = environ_of(node, CROSSTICK_URL=line.ws_url, CROSSTICK_TOKEN=node.token("alice"))
    with terminal(environ) as watch:
        screen = await drawn(watch, lambda text: "● live" in text and "AAVEUSDT" in text and "more" in text)
        assert "merged/dropped" not in screen
        watch.resize(160, 50)
        watch.process.send_signal(signal.SIGWINCH)
        await drawn(watch, lambda text: "merged/dropped" in text)
        os.write(watch.master, b"s")
        await drawn(watch, lambda text: "by rate" in text)
        await line.cut()
        screen = await drawn(watch, lambda text: "✕ down" in text)
        assert "NOT LIVE since" in screen
        # Dim, every price: SGR 2.
        assert re.search(r"\x1b\[2m[A-Z0-9]+USDT", screen)
        line.mend()
        await drawn(watch, lambda text: "● live" in text and "reconnected 1×" in text)
        os.write(watch.master, b"q")
        assert await ended(watch) == 0


@pytest_twisted.ensureDeferred
async def test_without_colours_and_ended_by_a_signal_it_leaves_the_terminal_as_it_was(node: Node) -> None:
    with terminal(environ_of(node, NO_COLOR="1"), "BTCUSDT", "--cbdir", str(node.directory)) as watch:
        screen = await drawn(watch, lambda text: "● live" in text)
        assert "minted with the development key" in screen
        assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", screen)
        before = termios.tcgetattr(watch.master)[3]
        assert not before & termios.ICANON
        watch.process.send_signal(signal.SIGINT)
        assert await ended(watch) == 0
        assert termios.tcgetattr(watch.master)[3] & termios.ICANON


def test_the_documentation_lists_every_option() -> None:
    page = (REPOSITORY / "docs" / "how-to" / "watch-in-a-terminal.md").read_text()
    table = page.split("| option | meaning |")[1].split("\n\n")[0]
    command = main.get_command(Context(main), "watch")
    assert command is not None
    options = {each.opts[0] for each in command.params if isinstance(each, Option)}
    assert set(re.findall(r"`(--[a-z-]+)`", table)) == options
