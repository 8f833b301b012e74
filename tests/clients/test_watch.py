"""`clients/python/watch.py` and `clients/node/watch.mjs`: the same behaviour in two languages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
import pytest_twisted

from tests.clients.command import WATCH, Command
from tests.clients.line import Line
from tests.harness.node import Node

Run = Callable[..., Command]

LANGUAGES = pytest.mark.parametrize("language", list(WATCH))


def ticks_of(command: Command) -> list[dict]:
    complete_lines = command.printed.splitlines(keepends=True)
    return [json.loads(line) for line in complete_lines if line.endswith("\n")]


def symbols_of(command: Command) -> set[str]:
    return {tick["symbol"] for tick in ticks_of(command)}


@LANGUAGES
@pytest_twisted.ensureDeferred
async def test_the_command_prints_the_ticks_of_its_symbols(node: Node, run: Run, language: str) -> None:
    command = run([*WATCH[language], "BTCUSDT", "ETHUSDT"], url=node.ws_url, token=node.token("alice"))
    await command.until(lambda: len(ticks_of(command)) >= 10 and len(symbols_of(command)) == 2)
    assert symbols_of(command) == {"BTCUSDT", "ETHUSDT"}
    assert set(ticks_of(command)[0]) == {"symbol", "price", "volume", "side", "ts", "id", "seq"}
    assert command.said.split() == ["connecting", "live"]


@pytest_twisted.ensureDeferred
async def test_the_python_command_keeps_the_digits_of_the_exchange(node: Node, run: Run) -> None:
    command = run([*WATCH["python"], "BTCUSDT"], url=node.ws_url, token=node.token("alice"))
    await command.until(lambda: len(ticks_of(command)) >= 3)
    assert re.search(r'"price":\d+\.\d{8},"volume":\d+\.\d{8},', command.printed)


@LANGUAGES
@pytest.mark.parametrize("signal", ["INT", "TERM"])
@pytest_twisted.ensureDeferred
async def test_a_signal_ends_the_command_cleanly(node: Node, run: Run, language: str, signal: str) -> None:
    command = run([*WATCH[language], "BTCUSDT"], url=node.ws_url, token=node.token("alice"))
    await command.until(lambda: "live" in command.said)
    command.signal(signal)
    assert await command.ended == 0
    assert command.said.split() == ["connecting", "live", "closed"]


@LANGUAGES
@pytest_twisted.ensureDeferred
async def test_a_signal_ends_the_command_also_while_it_waits_for_the_gateway(
    node: Node, line: Line, run: Run, language: str
) -> None:
    await line.cut()
    command = run([*WATCH[language], "BTCUSDT"], url=line.ws_url, token=node.token("alice"))
    await command.until(lambda: "next attempt" in command.said)
    command.signal("TERM")
    assert await command.ended == 0


@LANGUAGES
@pytest_twisted.ensureDeferred
async def test_a_refused_ticket_ends_the_command_with_one_clear_line(node: Node, run: Run, language: str) -> None:
    token = node.token("alice")[:-6] + "AAAAAA"
    command = run([*WATCH[language], "BTCUSDT"], url=node.ws_url, token=token)
    assert await command.ended == 2
    assert command.said.splitlines() == ["connecting", "refused: the gateway refused the ticket"]
    assert command.printed == ""


@LANGUAGES
@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "e30.e30.x"])
@pytest_twisted.ensureDeferred
async def test_what_is_no_token_is_not_even_sent(node: Node, run: Run, language: str, token: str) -> None:
    command = run([*WATCH[language], "BTCUSDT"], url=node.ws_url, token=token)
    assert await command.ended == 2
    assert len(command.said.splitlines()) == 1
    assert "token" in command.said
    assert token not in command.said


@LANGUAGES
@pytest_twisted.ensureDeferred
async def test_symbols_that_the_token_does_not_grant_are_refused(node: Node, run: Run, language: str) -> None:
    token = node.token("alice", symbols=["ETH*"])
    command = run([*WATCH[language], "BTCUSDT"], url=node.ws_url, token=token)
    assert await command.ended == 2
    assert command.said.splitlines()[-1] == "refused: this token has no right to BTCUSDT"


@LANGUAGES
@pytest_twisted.ensureDeferred
async def test_after_a_cut_the_ticks_go_on_where_they_were(node: Node, line: Line, run: Run, language: str) -> None:
    command = run([*WATCH[language], "BTCUSDT"], url=line.ws_url, token=node.token("alice"))
    beside = run([*WATCH[language], "BTCUSDT"], url=node.ws_url, token=node.token("alice"))
    await command.until(lambda: "live" in command.said and len(ticks_of(command)) >= 3)
    await line.cut()
    await command.until(lambda: "lost: " in command.said)
    last = ticks_of(command)[-1]["seq"]
    # What the other one sees meanwhile is what this one misses.
    await beside.until(lambda: bool(ticks_of(beside)) and ticks_of(beside)[-1]["seq"] >= last + 3)
    line.mend()
    await command.until(lambda: command.said.count("live") == 2 and ticks_of(command)[-1]["seq"] >= last + 6)
    numbers = [tick["seq"] for tick in ticks_of(command)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert re.search(rf"^replayed: \d+ ticks of BTCUSDT after {last} up to \d+$", command.said, re.MULTILINE)
    assert "gap" not in command.said
    # What was replayed has the very digits that came live.
    theirs = {tick["seq"]: tick for tick in ticks_of(beside)}
    assert [tick for tick in ticks_of(command) if theirs.get(tick["seq"], tick) != tick] == []


@pytest_twisted.ensureDeferred
async def test_both_commands_come_back_after_the_node_was_restarted(make_node: Callable[..., Node], run: Run) -> None:
    restarted = make_node()
    restarted.start()
    commands = [
        run([*arguments, "BTCUSDT"], url=restarted.ws_url, token=restarted.token("alice"))
        for arguments in WATCH.values()
    ]
    for command in commands:
        await command.until(lambda command=command: len(ticks_of(command)) >= 3)
    restarted.stop()
    for command in commands:
        await command.until(lambda command=command: "lost: " in command.said)
    seen = [len(ticks_of(command)) for command in commands]
    restarted.start()
    for command, before in zip(commands, seen, strict=True):
        await command.until(
            lambda command=command, before=before: (
                command.said.count("live") == 2 and len(ticks_of(command)) >= before + 3
            )
        )
        # The restarted feed counts afresh, under another epoch, whose ticks are all asked for.
        numbers = [tick["seq"] for tick in ticks_of(command)]
        last = numbers[before - 1]
        assert numbers[before:] == list(range(1, len(numbers) - before + 1))
        gaps = [said for said in command.said.splitlines() if said.startswith("gap")]
        assert len(gaps) == 1
        assert re.fullmatch(rf"gap: BTCUSDT {last + 1} to \? of epoch \d+: epoch", gaps[0])
