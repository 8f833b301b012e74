"""A real HAProxy in front of a node."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# Debian installs it where ordinary users do not look.
EXECUTABLE = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
START_TIMEOUT_S = 10.0


@contextmanager
def haproxy(directory: Path, proxies: str, ports: list[int]) -> Iterator[None]:
    """Run HAProxy with the ``listen`` sections of a configuration until the block ends; skips where there is none.

    ``ports`` are those that it is to listen on.
    """
    if EXECUTABLE is None:
        pytest.skip("no HAProxy")
    config = directory / "haproxy.cfg"
    config.write_text(f"defaults\n  timeout connect 5s\n  timeout client 1m\n  timeout server 1m\n{proxies}\n")
    with (directory / "haproxy.log").open("ab") as log:
        process = subprocess.Popen(
            [EXECUTABLE, "-db", "-f", str(config)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        for port in ports:
            while not listens(port):
                assert process.poll() is None, (directory / "haproxy.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    """Tell whether somebody listens on a port of the loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
