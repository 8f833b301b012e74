"""``crosstick`` commands that go on until they are told to end, each a process with a log of its own."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

START_TIMEOUT_S = 30.0


class Command:
    """One running command that prints its address as its first line."""

    def __init__(self, log_path: Path, *words: str, environ: Mapping[str, str] | None = None) -> None:
        """Start ``crosstick`` with ``words``; ``environ`` holds its ``CROSSTICK_…`` variables."""
        self.log_path = log_path
        self._printed_path = log_path.with_suffix(".out")
        clean = {name: value for name, value in os.environ.items() if not name.startswith("CROSSTICK_")}
        with log_path.open("wb") as log, self._printed_path.open("wb") as printed:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).with_name("crosstick")), *words],
                env=clean | dict(environ or {}),
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=log,
            )

    @property
    def log(self) -> str:
        """Everything it has logged."""
        return self.log_path.read_text(errors="replace")

    @property
    def printed(self) -> str:
        """Everything it has printed that is no log."""
        return self._printed_path.read_text()

    @property
    def url(self) -> str:
        """The address that it has printed; waits for it."""
        self.wait(lambda: "\n" in self._printed_path.read_text())
        return self._printed_path.read_text().splitlines()[0]

    def wait(self, is_so: Callable[[], Any], timeout_s: float = START_TIMEOUT_S) -> None:
        """Return when something is so, looked at 50 times a second, while the process runs."""
        deadline = time.monotonic() + timeout_s
        while not is_so():
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.log[-4000:]}"
            assert time.monotonic() < deadline, f"it did not come true in time:\n{self.log[-4000:]}"
            time.sleep(0.02)

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of a page."""
        match = re.fullmatch(r"http://([^:/]+):(\d+)", self.url)
        assert match is not None
        connection = http.client.HTTPConnection(match[1], int(match[2]), timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def readiness(self) -> dict[str, Any]:
        """Return what ``/readyz`` says."""
        answer: dict[str, Any] = json.loads(self.get("/readyz")[1])
        return answer

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
        return self.process.wait(20)
