"""Processes of a benchmark: started on a core of their own, waited for, ended with everything they started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from components.bench.errors import BenchError

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0

_PIN = """
import os, resource, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
os.execv(sys.argv[2], sys.argv[2:])
"""


def pinned(command: Sequence[str], core: int | None) -> list[str]:
    """Return a command line that runs ``command`` on one core from its first thread on (``None``: on any)."""
    return list(command) if core is None else [sys.executable, "-c", _PIN, str(core), *command]


def cores() -> tuple[int | None, int | None]:
    """Return the server's core and the load's: two different ones, or ``None`` twice where there is only one.

    Raises:
        BenchError: this is not Linux.
    """
    if not sys.platform.startswith("linux"):
        raise BenchError(f"the benchmark needs Linux (epoll, /proc, affinity), this is {sys.platform}")
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else (None, None)


def rss_bytes(pids: Iterable[int]) -> int:
    """Return the memory of processes together, in RAM.

    Raises:
        BenchError: one of them has ended.
    """
    try:
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    except OSError as error:
        raise BenchError(f"a process of the server has ended: {error.filename}") from error
    return pages * os.sysconf("SC_PAGE_SIZE")


class ServerProcess:
    """A server with its children, in a process group of its own."""

    def __init__(self, command: Sequence[str], core: int | None, directory: Path, environ: Mapping[str, str]) -> None:
        """Start ``command`` in ``directory``, where its output goes to ``server.log``."""
        self._log = directory / "server.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                pinned(command, core),
                env=dict(environ),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until ``condition()`` holds.

        Raises:
            BenchError: the server ended, or it took longer than ``START_TIMEOUT_S``.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while not condition():
            if self._process.poll() is not None:
                raise BenchError(f"the server ended before it was {what}; its last words: {self.last_words()}")
            if time.monotonic() > deadline:
                raise BenchError(f"the server was not {what} within {START_TIMEOUT_S:g} s: {self.last_words()}")
            time.sleep(0.05)

    def last_words(self) -> str:
        """Return the last line of its log."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "none"

    def log_bytes(self) -> int:
        """Return how much it has logged so far."""
        return self._log.stat().st_size

    def count_in_log(self, text: str, after_bytes: int) -> int:
        """Return how often a text is in what it logged after its first bytes."""
        with self._log.open("rb") as log:
            log.seek(after_bytes)
            return log.read().count(text.encode())

    def pids(self) -> list[int]:
        """Return the processes of the server: what was started and all its descendants."""
        parents: dict[int, int] = {}
        for entry in Path("/proc").iterdir():
            # A process may end while one looks.
            with contextlib.suppress(OSError, ValueError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        family = [self._process.pid]
        for pid in family:
            family += [child for child, parent in parents.items() if parent == pid]
        return family

    def stop(self) -> None:
        """End it as Ctrl-C would, and make sure that nothing of its group is left."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
