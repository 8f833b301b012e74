"""``crosstick record`` and ``crosstick replay``: what came is what is played, whatever happens to the recorder."""

from __future__ import annotations

import gzip
import json
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_twisted
from click.testing import CliRunner
from twisted.internet import reactor
from twisted.internet.task import deferLater

from components.cli import main
from components.cli.record import record
from components.cli.replay import replay
from components.simulator.server import SimulatedExchange
from tests.harness.command import Command
from tests.harness.documents import shell_lines
from tests.simulator.client import connect

MakeExchange = Callable[..., Awaitable[SimulatedExchange]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Return a function that starts commands; each is ended at the test's end."""
    commands: list[Command] = []

    def run(*words: str, **environ: str) -> Command:
        commands.append(Command(tmp_path / f"{len(commands)}.log", *words, environ=environ))
        return commands[-1]

    yield run
    for command in commands:
        if command.process.poll() is None:
            command.process.kill()
            command.process.wait()


async def until(is_so: Callable[[], object]) -> None:
    for _ in range(1000):
        if is_so():
            return
        await deferLater(reactor, 0.02, lambda: None)
    raise AssertionError("it did not come true in time")


def messages_of(directory: Path) -> list[str]:
    lines = [
        line
        for path in sorted(directory.glob("*.jsonl.gz"))
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]
    return [record["msg"] for record in map(json.loads, lines) if "msg" in record]


@pytest_twisted.ensureDeferred
async def test_what_a_killed_recorder_has_written_is_played_as_it_came(
    tmp_path: Path, make_exchange: MakeExchange, start: Callable[..., Command]
) -> None:
    sent: list[str] = []

    def keep(stream: str, payload: bytes) -> None:
        sent.append(f'{{"stream":"{stream}","data":{payload.decode()}}}')

    exchange = await make_exchange(rate_per_s=3000, on_frame=keep)
    out = tmp_path / "recording"
    recorder = start(
        "record",
        "--out",
        str(out),
        "--symbols",
        "BTCUSDT,ETHUSDT",
        CROSSTICK_EXCHANGE_URL=exchange.url,
        CROSSTICK_LOG="json",
    )
    await until(lambda: len(list(out.glob("*"))) and messages_of(out))
    first = len(messages_of(out))
    await until(lambda: len(messages_of(out)) > first)
    recorder.end(signal.SIGKILL)
    recorded = messages_of(out)
    assert recorded == sent[: len(recorded)]
    assert {json.loads(line)["worker"] for line in recorder.log.splitlines()} == {"record"}
    assert f"recording 2 symbols from {exchange.url}" in recorder.log
    assert "leads" not in recorder.log

    player = start("replay", *map(str, sorted(out.iterdir())), "--speed", "max", "--port", "0")
    await until(lambda: "\n" in player.printed)
    streams = sorted({json.loads(message)["stream"] for message in recorded})
    client = await connect(f"{player.url}/stream?streams={'/'.join(streams)}")
    await until(lambda: player.process.poll() is not None)
    assert player.process.returncode == 0
    assert await client.ends.get() == (1000, "the replay has ended")
    assert [text.decode() for text in client.texts.drain()] == recorded
    assert f"played {len(recorded):,} frames, {len(recorded):,} of them to subscribers" in player.log
    assert f"CROSSTICK_EXCHANGE_URL={player.url} CROSSTICK_SYMBOLS=BTCUSDT,ETHUSDT crosstick run" in (player.printed)


def recorded_line(stream: str) -> str:
    return json.dumps({"t": 1_800_000_000.5, "msg": json.dumps({"stream": stream, "data": {"e": "trade"}})}) + "\n"


def signalled(command: Command, *numbers: signal.Signals) -> int:
    """Send a process signals that it sees all at once, whatever it does between them; return its exit code."""
    command.process.send_signal(signal.SIGSTOP)
    for number in numbers:
        command.process.send_signal(number)
    command.process.send_signal(signal.SIGCONT)
    return command.process.wait(20)


@pytest_twisted.ensureDeferred
async def test_one_signal_ends_in_order_and_another_one_at_once_without_a_traceback(
    tmp_path: Path, make_exchange: MakeExchange, start: Callable[..., Command]
) -> None:
    recording = tmp_path / "20270115T080000Z.jsonl.gz"
    line = '{"t":1800000000.5,"msg":"{\\"stream\\":\\"btcusdt@trade\\",\\"data\\":{\\"e\\":\\"trade\\"}}"}\n'
    recording.write_bytes(gzip.compress(line.encode()))
    exchange = await make_exchange(rate_per_s=3000)
    outs = [tmp_path / "once", tmp_path / "twice"]
    recorders = [start("record", "--out", str(out), CROSSTICK_EXCHANGE_URL=exchange.url) for out in outs]
    player = start("replay", str(recording), "--port", "0")
    await until(lambda: "\n" in player.printed)
    await until(lambda: all(out.is_dir() and messages_of(out) for out in outs))

    assert signalled(recorders[0], signal.SIGTERM) == 0
    [recorded] = outs[0].iterdir()
    # All of it, and the file has been ended.
    lines = gzip.decompress(recorded.read_bytes()).splitlines()
    assert f"recorded {len(lines):,} messages in 1 files" in recorders[0].log

    assert signalled(recorders[1], signal.SIGINT, signal.SIGTERM) == 128 + signal.SIGTERM
    assert "Ended at once, by another signal (SIGTERM); what was written can be read" in recorders[1].log
    assert messages_of(outs[1])
    assert signalled(player, signal.SIGINT, signal.SIGTERM) == 128 + signal.SIGTERM
    assert player.log.endswith("Ended at once, by another signal (SIGTERM).\n")
    assert [command.log for command in (*recorders, player) if "Traceback" in command.log] == []


def record_on_small_disk(out: Path, url: str) -> subprocess.Popen[str]:
    """Record on a disk that is full: no file may grow beyond 64 KiB."""
    crosstick = Path(sys.executable).with_name("crosstick")
    return subprocess.Popen(
        ["bash", "-c", f'ulimit -f 64; exec "{crosstick}" record --out "{out}"'],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), "CROSSTICK_EXCHANGE_URL": url},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest_twisted.ensureDeferred
async def test_a_full_disk_ends_the_recorder_with_a_word_and_leaves_what_was_written(
    tmp_path: Path, make_exchange: MakeExchange
) -> None:
    exchange = await make_exchange(rate_per_s=20_000)
    out = tmp_path / "recording"
    process = record_on_small_disk(out, exchange.url)
    try:
        await until(lambda: process.poll() is not None)
        _, said = process.communicate()
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1
    assert f"Error: {out} takes no more: [Errno 27] File too large; what was written before is complete" in said
    assert "could not be written" in said
    assert len(list(out.iterdir())) == 1
    messages_of(out)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["record", "--out", "/dev/null/x"], "/dev/null/x cannot be written to: Not a directory"),
        (
            ["record", "--out", ".", "--symbols", "btc"],
            "Error: --symbols must be upper-case symbols such as BTCUSDT, had 'btc'",
        ),
        (["replay", __file__], "test_record_replay.py:1: neither a recording"),
        (["replay", "empty.jsonl"], "there is nothing to play"),
        (
            ["replay", "market.jsonl", "--symbols", "XRPUSDT"],
            "there is nothing to play: the files have no frame of the",
        ),
        (["replay", __file__, "--speed", "0"], "must be a number from 0.001 to 10000, or max, was '0'"),
        (["replay", __file__, "--from", "noon"], "must be a time such as 2026-07-01T12:30:00, was 'noon'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.jsonl").touch()
    # What is of the whole market is of no symbol alone.
    Path("market.jsonl").write_text("".join(map(recorded_line, ("btcusdt@trade", "!ticker@arr"))))
    done = CliRunner().invoke(main, words)
    assert done.exit_code in (1, 2)
    assert says in done.output


@pytest.mark.parametrize("line", [line for line in shell_lines() if re.search(r"crosstick (record|replay) ", line)])
def test_what_the_documentation_shows_is_understood(line: str, tmp_path: Path) -> None:
    command = {"record": record, "replay": replay}[line.split("crosstick ")[1].split()[0]]
    (tmp_path / "recording.jsonl.gz").touch()
    words = line.partition(f" {command.name} ")[2].replace("recordings/*", f"{tmp_path}/recording").split()
    assert command.make_context(str(command.name), words).params
