"""A real node for tests: ``crossbar start`` on the repository's configuration, moved to a free port and a folder of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import yaml
from prometheus_client.parser import text_string_to_metric_families

from components.free_ports import free_port
from components.tokens import TokenAuthority, create_development_key, load_authority, load_internal_authority

REPOSITORY = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0


def component(config: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the entry of a component of the router worker, by its id, such as ``gateway`` or ``market-gatekeeper``."""
    found: dict[str, Any] = next(entry for entry in config["workers"][0]["components"] if entry["id"] == name)
    return found


def with_limits(realm: str = "market", **limits: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change of a configuration by which a realm's gatekeeper has these limits, and the defaults beside them."""

    def change(config: dict[str, Any]) -> None:
        component(config, f"{realm}-gatekeeper")["extra"] = {"limits": limits}

    return change


def static_paths(paths: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return those of a transport's paths that are folders of files, the ones below others included."""
    for path in paths.values():
        if path["type"] == "static":
            yield path
        yield from static_paths(path.get("paths", {}))


class Node:
    """One node in a folder of its own; started and stopped by the test that made it, as often as it likes."""

    def __init__(
        self,
        directory: Path,
        environ: Mapping[str, str],
        *,
        with_key: bool = True,
        change_config: Callable[[dict[str, Any]], None] = lambda config: None,
        command: tuple[str, str] = ("crossbar", "start"),
        as_shipped: bool = False,
    ) -> None:
        """Lay out a node in ``directory``; ``environ`` holds its ``CROSSTICK_…`` variables.

        ``change_config`` may change the configuration, ports and paths set, before it is written; ``command`` starts it.
        Unless the node is ``as_shipped``, exchange and feed share the worker ``feed``: it starts with a quarter less work.
        """
        self._as_shipped = as_shipped
        self._command = command
        self.directory = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}/ws"
        self.log_path = directory / "node.log"
        self._environ = dict(environ)
        self._process: subprocess.Popen[bytes] | None = None
        self._write_config(change_config)
        if with_key:
            create_development_key(directory)

    @property
    def authority(self) -> TokenAuthority:
        """The authority whose tokens the node accepts."""
        return load_authority(self._environ, self.directory)

    @property
    def internal_authority(self) -> TokenAuthority:
        """The authority whose tokens the node's local socket accepts."""
        return load_internal_authority(self.directory)

    @property
    def log(self) -> str:
        """Everything the node has printed."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def token(self, sub: str, role: str = "viewer", realm: str = "market", ttl_s: int = 3600, **claims: Any) -> str:
        """Return a ticket for ``sub``; ``claims`` are ``symbols``, ``services`` and what else ``mint`` takes."""
        entitlements = {name: tuple(value) if isinstance(value, list) else value for name, value in claims.items()}
        return self.authority.mint(sub=sub, role=role, realm=realm, now_s=int(time.time()), ttl_s=ttl_s, **entitlements)

    def spawn(self) -> None:
        """Start the process and return at once."""
        assert self._process is None
        environ = {name: value for name, value in os.environ.items() if not name.startswith("CROSSTICK_")}
        environ |= self._environ
        program, subcommand = self._command
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [str(Path(sys.executable).with_name(program)), subcommand, "--cbdir", str(self.directory)],
                env=environ,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start(self) -> None:
        """Start the process and wait until ``/readyz`` says yes."""
        self.spawn()
        self.wait()

    def wait(self) -> None:
        """Wait until ``/readyz`` says yes."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.ready()[0]:
            assert self.process.poll() is None, f"the node ended while starting:\n{self.log[-4000:]}"
            assert time.monotonic() < deadline, f"the node was not ready in time:\n{self.log[-4000:]}"
            time.sleep(0.1)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The controller's process."""
        assert self._process is not None
        return self._process

    def get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of an HTTP GET; raises ``OSError`` when nobody listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def ready(self) -> tuple[bool, list[str]]:
        """Return what ``/readyz`` says: whether the node is ready, and why not."""
        try:
            status, _, body = self.get("/readyz")
        except (OSError, http.client.HTTPException) as error:
            return False, [str(error)]
        if status not in (200, 503):
            return False, [f"HTTP {status}"]
        answer = json.loads(body)
        return answer["ready"], answer["because"]

    def metrics(self) -> dict[tuple[str, ...], float]:
        """Return the samples of ``/metrics`` by name and the values of their labels, in the order of the labels' names."""
        status, headers, body = self.get("/metrics")
        assert status == 200
        assert headers["content-type"].startswith("text/plain; version=")
        return {
            (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
        }

    def make_fault(self, kind: str, *options: str) -> None:
        """Have the node's own simulated exchange make a fault; ``options`` are those of ``crosstick fault``."""
        url = f"ws://127.0.0.1:{self._environ['CROSSTICK_SIMULATOR_PORT']}"
        crosstick = Path(sys.executable).with_name("crosstick")
        subprocess.run([crosstick, "fault", kind, *options, "--url", url], check=True, timeout=10)

    def worker(self, name: str) -> psutil.Process:
        """Return the process of a worker: ``router``, ``feed`` or, as shipped, ``exchange``."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            if child.cmdline()[:1] == [f"crosstick-{name}"]:
                return child
        raise LookupError(f"no worker {name}")

    def stop(self) -> None:
        """End the node as Ctrl-C would, and make sure that nothing of it is left."""
        if self._process is None:
            return
        process, self._process = self._process, None
        family = []
        if process.poll() is None:
            family = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_TIMEOUT_S)
        finally:
            _, left = psutil.wait_procs(family, timeout=1)
            for child in left:
                child.kill()
            if process.poll() is None:
                process.kill()
                process.wait()
        assert not left, f"left running: {left}"

    def _write_config(self, change_config: Callable[[dict[str, Any]], None]) -> None:
        config = yaml.safe_load((REPOSITORY / ".crossbar" / "config.yaml").read_text())
        for worker in config["workers"]:
            worker["options"]["pythonpath"] = [str(REPOSITORY)]
            for transport in worker.get("transports", ()):
                if transport["type"] == "web":
                    transport["endpoint"]["port"] = self.port
                    for path in static_paths(transport["paths"]):
                        path["directory"] = str((REPOSITORY / ".crossbar" / path["directory"]).resolve())
        if not self._as_shipped:
            router, exchange, feed = config["workers"]
            feed["components"] = [*exchange["components"], *feed["components"]]
            config["workers"] = [router, feed]
        change_config(config)
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "config.yaml").write_text(yaml.safe_dump(config))
