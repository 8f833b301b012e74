"""What every system under test offers to the harness."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import Protocol

from components.bench.load import Endpoints
from components.bench.shapes import Shape


class System(Protocol):
    """One server, started for one measurement and stopped after it."""

    def __init__(self, directory: Path, shape: Shape, core: int | None) -> None:
        """Lay out a server in ``directory``, an empty folder, and start it on ``core``; it need not be ready yet.

        Raises:
            NotInstalled: the server is optional and not there.
        """

    @classmethod
    def version(cls) -> str:
        """Return the version of the server.

        Raises:
            NotInstalled: the server is optional and not there.
        """

    @classmethod
    def takes(cls, shape: Shape) -> bool:
        """Tell whether its clients can have what a shape gives them; else it is left out there."""

    def wait_until_listening(self) -> None:
        """Wait until the publisher may connect; raises ``BenchError`` when that does not come."""

    def wait_until_ready(self) -> None:
        """Wait, with the publisher there, until clients may connect."""

    def endpoints(self) -> Endpoints:
        """Return where and how to connect."""

    def pids(self) -> list[int]:
        """Return the processes whose CPU time and memory count."""

    def stop(self) -> None:
        """End the server and everything that it started."""


def http_status(port: int, path: str) -> int | None:
    """Return the status of a GET on the loopback; ``None`` when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None  # not listening yet
    finally:
        connection.close()
