"""How a command's run of the reactor begins and ends; each in a process of its own, since a reactor runs once."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.harness.node import REPOSITORY

PROGRAM = """
import os, signal, sys
import click
from twisted.internet import reactor
from twisted.internet.task import deferLater
from components.cli.foreground import Foreground

async def nothing(): pass
async def refuse(): raise click.ClickException("no such thing")
async def fail(): raise ValueError("a mistake")
async def stop_twice(): foreground.stop(); foreground.stop("the second is told of")
async def interrupt(): os.kill(os.getpid(), signal.SIGINT)
async def wait_for_ever(): await deferLater(reactor, 3600)

foreground = Foreground(reactor, {end}, let_go=lambda: print("let go", flush=True), left="; it is whole")
{before}
print(foreground.run({begin}), foreground.interrupted, flush=True)
"""


@pytest.mark.parametrize(
    ("begin", "end", "before", "says"),
    [
        ("refuse", "nothing", "", "no such thing False"),
        ("fail", "nothing", "", "the command cannot go on: a mistake False"),
        ("interrupt", "fail", "", "the command cannot go on: a mistake True"),
        ("stop_twice", "nothing", "", "the second is told of False"),
        ("wait_for_ever", "nothing", "foreground.stop('too early')", "too early False"),
        ("interrupt", "nothing", "", "None True"),
    ],
)
def test_it_runs_until_it_is_to_end_and_says_what_went_wrong(begin: str, end: str, before: str, says: str) -> None:
    done = ran(begin, end, before)
    assert (done.stdout.strip(), done.returncode) == (says, 0)


def test_a_signal_while_it_ends_ends_it_at_once() -> None:
    # The second one is sent when the first has begun the end.
    done = ran("interrupt", "interrupt", "")
    assert (done.stdout.strip(), done.returncode) == ("let go", 130)
    assert done.stderr == "Ended at once, by another signal (SIGINT); it is whole.\n"


def ran(begin: str, end: str, before: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(begin=begin, end=end, before=before)],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
