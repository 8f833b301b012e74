"""The balancers' files of ``docker/balancers``, run by the real programs before nodes of a test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness.haproxy import EXECUTABLE as HAPROXY
from tests.harness.haproxy import START_TIMEOUT_S, listens
from tests.harness.node import REPOSITORY

NAMES = ("haproxy", "nginx", "envoy")
FOLDER = REPOSITORY / "docker" / "balancers"
STOP_TIMEOUT_S = 5.0

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
_ENVOY = Path(sys.executable).with_name("envoy")
ENVOY = str(_ENVOY) if _ENVOY.exists() else shutil.which("envoy")


class Balancer:
    """One of them, laid out in a folder of its own."""

    def __init__(self, name: str, directory: Path, certificate: Path, port: int, nodes: Sequence[int]) -> None:
        """Write the shipped file with other addresses: it is to listen on ``port``, and two ``nodes`` are on these ports.

        Skips where there is no such program.
        """
        self.port = port
        self.ws_url = f"wss://127.0.0.1:{port}/ws"
        self.environ = os.environ | {"CROSSTICK_CERTIFICATE": str(certificate)}
        first, second = nodes
        directory.mkdir()
        if name == "haproxy":
            program, shipped = HAPROXY, "haproxy.cfg"
            run, check = ["-db"], ["-c"]
            changes = {
                "bind :443": f"bind 127.0.0.1:{port}",
                "10.0.0.11:8080": f"127.0.0.1:{first}",
                "10.0.0.12:8080": f"127.0.0.1:{second}",
            }
        elif name == "nginx":
            program, shipped = NGINX, "nginx.conf"
            alone = ["-p", str(directory), "-e", "stderr", "-g", f"daemon off; pid {directory}/pid;"]
            run, check = alone, [*alone, "-t"]
            changes = {
                "listen 443": f"listen 127.0.0.1:{port}",
                "/etc/crosstick/tls/fullchain.pem": str(certificate),
                "/etc/crosstick/tls/key.pem": str(certificate),
                "/var/log/nginx/crosstick.log": str(directory / "log"),
                "10.0.0.11:8080": f"127.0.0.1:{first}",
                "10.0.0.12:8080": f"127.0.0.1:{second}",
            }
        else:
            program, shipped = ENVOY, "envoy.yaml"
            alone = ["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warn"]
            run, check = alone, [*alone, "--mode", "validate"]
            changes = {
                "address: 0.0.0.0, port_value: 443": f"address: 127.0.0.1, port_value: {port}",
                "/etc/crosstick/tls/fullchain.pem": str(certificate),
                "/etc/crosstick/tls/key.pem": str(certificate),
                "address: 10.0.0.11, port_value: 8080": f"address: 127.0.0.1, port_value: {first}",
                "address: 10.0.0.12, port_value: 8080": f"address: 127.0.0.1, port_value: {second}",
            }
        if program is None:
            pytest.skip(f"no {name}")
        text = (FOLDER / shipped).read_text()
        for shown, here in changes.items():
            assert shown in text
            text = text.replace(shown, here)
        path = directory / shipped
        path.write_text(text)
        file = ["-f" if name == "haproxy" else "-c", str(path)]
        self._run = [program, *file, *run]
        self._check = [program, *file, *check]
        self._log = directory / "log"

    def check(self) -> subprocess.CompletedProcess[str]:
        """Have the program look at the file."""
        return subprocess.run(
            self._check,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=START_TIMEOUT_S,
            check=False,
        )

    @property
    def log(self) -> str:
        """What it has printed."""
        return self._log.read_text(errors="replace")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run it until the block ends."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                self._run, env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            while not listens(self.port):
                assert process.poll() is None, self.log
                assert time.monotonic() < deadline, self.log
                time.sleep(0.05)
            yield
        finally:
            # NGINX's own processes end with the first one, when that is asked to.
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
