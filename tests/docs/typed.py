"""Commands and programs of the documentation, run against a test's node."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clients.command import NODE
from tests.harness.node import REPOSITORY, Node

CLIENTS = REPOSITORY / "clients"


def environ_of(node: Node) -> dict[str, str]:
    """Return an environment in which the documentation's commands use a test's node."""
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
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            # The test has failed; what it started is not to go on.
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise


def wait_for(process: subprocess.Popen[str], pattern: str) -> str:
    """Return the first line of what a process prints that the pattern is in."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if re.search(pattern, line):
            return line
    raise AssertionError(f"{pattern} did not appear in:\n{''.join(seen)}")
