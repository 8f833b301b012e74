"""A node of several router workers on one port, made by ``crosstick config``, with a Redis that the load is written to."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import yaml

from components.bench.errors import BenchError
from components.bench.load import Account, Endpoints
from components.bench.processes import ServerProcess
from components.bench.shapes import Shape
from components.bench.systems.crosstick import HIGH_LIMITS, market_status, viewer_token
from components.bench.systems.interface import http_status
from components.free_ports import free_ports_in_a_row
from components.tokens import load_authority

_WORKER = "crosstick-router"
"""How the process of a router worker is titled, at least in the beginning."""


class SharedPort:
    """A node and its Redis. Workers run on one core, Redis on another, where the load is."""

    def __init__(self, directory: Path, shape: Shape, workers: int, cores: tuple[int | None, int | None]) -> None:
        """Lay out in ``directory``, an empty folder, and start.

        Raises:
            BenchError: there is no Redis, or the node cannot be laid out.
        """
        self._shape = shape
        self._workers = workers
        *_, self._port, self._redis_port = ports = free_ports_in_a_row(workers + 2)
        self._management_ports = ports[:workers]
        key = {"CROSSTICK_TOKEN_KEY": secrets.token_hex(32), "CROSSTICK_BUS": f"redis://127.0.0.1:{self._redis_port}"}
        key["CROSSTICK_LINK_KEY"] = secrets.token_hex(32)
        environ = {name: value for name, value in os.environ.items() if not name.startswith("CROSSTICK_")} | key
        self._authority = load_authority(key, directory)
        node = directory / "node"
        crosstick = str(Path(sys.executable).with_name("crosstick"))
        made = [crosstick, "config", "--role", "gateway", "--workers", str(workers), "--port", str(self._port)]
        made += ["--management-port", str(self._management_ports[0]), "--out", str(node)]
        done = subprocess.run(made, capture_output=True, text=True, env=environ, check=False)
        if done.returncode:
            raise BenchError(f"the node cannot be laid out: {done.stderr.strip()}")
        _lift_limits(node / "config.yaml")
        redis = [_redis_server(), "--bind", "127.0.0.1", "--port", str(self._redis_port), "--save", ""]
        (directory / "redis").mkdir()
        self._redis = ServerProcess(redis, cores[1], directory / "redis", environ)
        try:
            self._redis.wait_until(lambda: _listens(self._redis_port), "listening")
            start = [crosstick, "node", "--cbdir", str(node), "--log-level", "warn"]
            self._node = ServerProcess(start, cores[0], node, environ)
        except BaseException:
            self._redis.stop()
            raise

    def wait_until_listening(self) -> None:
        """Wait until all workers run."""
        for port in self._management_ports:
            self._node.wait_until(lambda port=port: http_status(port, "/healthz") == 200, "running")  # type: ignore[misc]

    def wait_until_ready(self) -> None:
        """Wait, with the publisher there, until clients may connect to all workers."""
        for port in self._management_ports:
            self._node.wait_until(lambda port=port: http_status(port, "/readyz") == 200, "ready")  # type: ignore[misc]

    def endpoints(self) -> Endpoints:
        """Return where and how to connect."""
        now_ms = time.time_ns() // 1_000_000
        names = [f"client{number:04}" for number in range(self._shape.clients)]
        clients = [Account(name, viewer_token(self._authority, name)) for name in names]
        return Endpoints(
            "wamp",
            self._port,
            "/ws",
            clients,
            "redis",
            (self._redis_port, "/"),
            Account("feed", "none"),
            status=json.dumps(market_status(self._shape, now_ms), separators=(",", ":")),
            epoch_ms=now_ms,
        )

    def worker_pids(self) -> list[int]:
        """Return the processes of the router workers.

        Raises:
            BenchError: there are not as many as there should be.
        """
        found = [pid for pid in self._node.pids() if _WORKER in Path(f"/proc/{pid}/cmdline").read_text()]
        if len(found) != self._workers:
            raise BenchError(f"of {self._workers} router workers {len(found)} are found")
        return found

    def stop(self) -> None:
        """End everything."""
        self._node.stop()
        self._redis.stop()


def _lift_limits(path: Path) -> None:
    config = yaml.safe_load(path.read_text())
    for worker in config["workers"]:
        for component in worker.get("components", ()):
            if component["id"].endswith("listeners"):
                public = component.setdefault("extra", {}).setdefault("listeners", {}).setdefault("public", {})
                public |= {"max_connections_per_address": None, "connections_per_s_per_address": None}
            elif component["id"].endswith("market-gatekeeper"):
                component["extra"] = {"limits": dict.fromkeys(HIGH_LIMITS, 1_000_000_000)}
    path.write_text(yaml.safe_dump(config))


def _redis_server() -> str:
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if found is not None:
            return found
    raise BenchError("redis-server or valkey-server is not installed")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
