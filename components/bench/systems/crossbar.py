"""Stock Crossbar, of the same version and from the same environment, with a plain configuration."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path
from typing import Any

import yaml

from components.bench.load import Account, Endpoints
from components.bench.processes import ServerProcess
from components.bench.shapes import Shape
from components.bench.systems.interface import http_status
from components.free_ports import free_port

_ACCOUNT = Account("bench", "bench-ticket")


class StockCrossbar:
    """A node of one router worker; events come from a WAMP publisher over rawsocket, or WebSocket for external ones."""

    def __init__(self, directory: Path, shape: Shape, core: int | None) -> None:
        """See ``System``."""
        self._directory = directory
        self._shape = shape
        self._port = free_port()
        (directory / "public").mkdir()
        (directory / "config.yaml").write_text(yaml.safe_dump(_config(self._port)))
        environ = {name: value for name, value in os.environ.items() if not name.startswith("CROSSTICK_")}
        crossbar = str(Path(sys.executable).with_name("crossbar"))
        self._server = ServerProcess([crossbar, "start", "--cbdir", str(directory)], core, directory, environ)

    @classmethod
    def version(cls) -> str:
        """See ``System``."""
        return importlib.metadata.version("crossbar")

    @classmethod
    def takes(cls, shape: Shape) -> bool:
        """See ``System``."""
        return True

    def wait_until_listening(self) -> None:
        """See ``System``."""
        # Web paths are added after the port is open; without its path a WebSocket request is answered by 404.
        self._server.wait_until(lambda: http_status(self._port, "/ws") not in (None, 404), "listening")

    def wait_until_ready(self) -> None:
        """See ``System``."""

    def endpoints(self) -> Endpoints:
        """See ``System``."""
        clients = [_ACCOUNT] * self._shape.clients
        if self._shape.external:
            return Endpoints("wamp", self._port, "/ws", clients, "websocket", (self._port, "/ws"), _ACCOUNT)
        socket = self._directory / "publisher.sock"
        return Endpoints("wamp", self._port, "/ws", clients, "rawsocket", socket, _ACCOUNT)

    def pids(self) -> list[int]:
        """See ``System``."""
        return self._server.pids()

    def stop(self) -> None:
        """See ``System``."""
        self._server.stop()


def _config(port: int) -> dict[str, Any]:
    ticket = {
        "ticket": {"type": "static", "principals": {_ACCOUNT.authid: {"ticket": _ACCOUNT.ticket, "role": "bench"}}}
    }
    everything = {"call": False, "register": False, "publish": True, "subscribe": True}
    role = {"name": "bench", "permissions": [{"uri": "", "match": "prefix", "allow": everything, "cache": True}]}
    return {
        "version": 2,
        "workers": [
            {
                "type": "router",
                "realms": [{"name": "market", "roles": [role]}],
                "transports": [
                    {
                        "type": "rawsocket",
                        "endpoint": {"type": "unix", "path": "publisher.sock"},
                        "serializers": ["json"],
                        "options": {"max_message_size": 1_048_576},
                        "auth": ticket,
                    },
                    {
                        "type": "web",
                        "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": port, "backlog": 1024},
                        "paths": {
                            "/": {"type": "static", "directory": "public"},
                            "ws": {"type": "websocket", "serializers": ["json"], "auth": ticket},
                        },
                    },
                ],
            }
        ],
    }
