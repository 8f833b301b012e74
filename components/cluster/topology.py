"""The parts of a cluster as processes of this machine: Redis, an exchange, two feeds, gateways, a balancer.

The same topology as ``docker/compose.yaml``, with its balancer's configuration. Owns the processes, their ports and folders.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from components.free_ports import free_ports
from components.instruments import DEFAULT_SYMBOLS, INSTRUMENTS
from components.settings import MAX_RATE_PER_S
from components.tokens import TokenAuthority, TokenKeyError, load_authority

REPOSITORY = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 10.0


class ClusterError(Exception):
    """The cluster cannot be as it was asked for; the text is one line for whoever asked."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What there is."""

    gateways: int = 3
    feeds: int = 2
    symbols: int = 100
    rate_per_s: int = 2_000
    """Trades per second over these symbols. The exchange has others, too, and makes trades of them besides."""

    seed: int = 1
    drain_s: float = 3.0
    """Over how long a gateway that leaves spreads its clients."""

    port: int = 0
    """Of the balancer; 0 takes any free one."""


class Part:
    """One process with what it started."""

    def __init__(self, name: str, command: Sequence[str], directory: Path, environ: Mapping[str, str]) -> None:
        """Lay out; ``start`` runs ``command`` in ``directory``, where its output goes to ``<name>.log``."""
        self.name = name
        self._command = list(command)
        self._directory = directory
        self._environ = dict(environ)
        self._process: subprocess.Popen[bytes] | None = None
        self.log = directory / f"{name}.log"

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The process, ``None`` before the first start."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process and return at once."""
        assert not self.running  # noqa: S101 - who starts knows
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._directory,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def terminate(self) -> None:
        """Ask the process to end, and do not wait."""
        if self._process is not None and self.running:
            self._process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float) -> int:
        """Return the exit code.

        Raises:
            ClusterError: it has not ended in time.
        """
        assert self._process is not None  # noqa: S101 - who waits has started it
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ClusterError(f"{self.name} did not end within {timeout_s:g} s") from None

    def kill(self) -> None:
        """End it and all that it started with SIGKILL."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def kill_without_waiting(self) -> None:
        """Do the same from a signal handler: somebody else waits for it."""
        self._signal_all(signal.SIGKILL)

    def pause(self) -> None:
        """Stop it and all that it started, as a machine without time would."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def cpu_s(self) -> float:
        """Return the CPU time of it and of all that it started and that runs; 0 where there is no ``/proc``."""
        if self._process is None:
            return 0.0
        ticks = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            # A process may end while one looks.
            with contextlib.suppress(OSError):
                fields = path.read_text().rpartition(")")[2].split()
                if int(fields[3]) == self._process.pid:
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def last_words(self) -> str:
        """Return the last lines of its log."""
        if not self.log.exists():
            return "none"
        return " | ".join(self.log.read_text(errors="replace").strip().splitlines()[-3:]) or "none"


class Cluster:
    """All parts; a context manager that starts them, and leaves none behind."""

    def __init__(self, directory: Path, plan: Plan) -> None:
        """Lay out everything in ``directory``, an empty folder.

        Raises:
            ClusterError: a program is not installed, or the environment's token key cannot be had or cannot mint.
        """
        self.plan = plan
        self._directory = directory
        self._ports = free_ports(3 + plan.feeds + 2 * plan.gateways)
        self.redis_port, self.exchange_port, balancer_port, *rest = self._ports
        self.port = plan.port or balancer_port
        self.feed_ports, rest = rest[: plan.feeds], rest[plan.feeds :]
        self.gateway_ports, self._link_ports = rest[: plan.gateways], rest[plan.gateways :]
        self.symbols = DEFAULT_SYMBOLS[: plan.symbols]
        tokens = token_environ(os.environ)
        self.authority: TokenAuthority = token_authority(tokens, directory)
        environ = {name: value for name, value in os.environ.items() if not name.startswith("CROSSTICK_")} | {
            **tokens,
            "CROSSTICK_LINK_KEY": secrets.token_hex(32),
            "CROSSTICK_BUS": f"redis://127.0.0.1:{self.redis_port}",
            "CROSSTICK_EXCHANGE_URL": f"ws://127.0.0.1:{self.exchange_port}",
            "CROSSTICK_SYMBOLS": ",".join(self.symbols),
            "PYTHONPATH": str(REPOSITORY),
        }
        crosstick = str(Path(sys.executable).with_name("crosstick"))
        self._environ = environ
        self.redis = Part("redis", self._redis(), directory, environ)
        exchange = [
            "exchange",
            "--port",
            str(self.exchange_port),
            "--rate",
            str(self._exchange_rate_per_s()),
            "--seed",
            str(plan.seed),
        ]
        self.exchange = Part("exchange", [crosstick, *exchange], directory, environ)
        self.feeds = [
            Part(
                f"feed{number}",
                [crosstick, "feed", "--port", str(port)],
                directory,
                environ | {"CROSSTICK_FEED_NAME": f"feed{number}"},
            )
            for number, port in enumerate(self.feed_ports, start=1)
        ]
        self.gateways = [
            self._gateway(number, port, links)
            for number, (port, links) in enumerate(zip(self.gateway_ports, self._link_ports, strict=True), start=1)
        ]
        configuration = directory / "haproxy.cfg"
        nodes = [f"127.0.0.1:{port}" for port in self.gateway_ports]
        made = _output([str(REPOSITORY / "docker/balancers/haproxy-for.sh"), f"127.0.0.1:{self.port}", *nodes], environ)
        configuration.write_text(made)
        self.balancer = Part("haproxy", [program("haproxy"), "-db", "-f", str(configuration)], directory, environ)

    @property
    def parts(self) -> list[Part]:
        """All parts, in the order in which they start."""
        return [self.redis, self.exchange, *self.feeds, *self.gateways, self.balancer]

    @property
    def ports(self) -> list[int]:
        """The ports of all parts, in the same order: those of feeds and gateways answer ``/readyz`` and ``/metrics``."""
        return [self.redis_port, self.exchange_port, *self.feed_ports, *self.gateway_ports, self.port]

    @property
    def url(self) -> str:
        """Where clients go."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start all parts and wait until clients are served.

        Raises:
            ClusterError: a part does not start.
        """
        if _listens(self.port):
            raise ClusterError(f"port {self.port} is taken")
        self.redis.start()
        self._wait_for(self.redis, lambda: _listens(self.redis_port))
        self.exchange.start()
        self._wait_for(self.exchange, lambda: _listens(self.exchange_port))
        for feed in self.feeds:
            feed.start()
        for gateway in self.gateways:
            gateway.start()
        for gateway, port in zip(self.gateways, self.gateway_ports, strict=True):
            self._wait_for(gateway, lambda port=port: status(port, "/readyz")[0] == 200)  # type: ignore[misc]
        self.balancer.start()
        self._wait_for(self.balancer, lambda: status(self.port, "/")[0] == 200)

    def wait_until_ready(self, number: int) -> None:
        """Wait until a gateway, counted from 0, is ready.

        Raises:
            ClusterError: it does not become so.
        """
        self._wait_for(self.gateways[number], lambda: status(self.gateway_ports[number], "/readyz")[0] == 200)

    def wait_until_can_lead(self, feed: Part) -> None:
        """Wait until a feed leads, or could.

        Raises:
            ClusterError: it does not become so.
        """
        port = self.feed_ports[self.feeds.index(feed)]
        self._wait_for(feed, lambda: status(port, "/readyz")[0] == 200)

    def leader(self) -> int:
        """Return which feed leads, counted from 0; -1 while none does."""
        for number, port in enumerate(self.feed_ports):
            if self.feeds[number].running and status(port, "/readyz")[1].get("role") == "leading":
                return number
        return -1

    def stop(self) -> None:
        """End all parts, whatever state they are in."""
        for part in self.parts:
            part.resume()
            part.terminate()
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        for part in self.parts:
            while part.running and time.monotonic() < deadline_s:
                time.sleep(0.05)
            part.kill()

    def __enter__(self) -> Cluster:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _exchange_rate_per_s(self) -> int:
        followed = sum(one.activity for one in INSTRUMENTS if one.symbol in self.symbols)
        return min(MAX_RATE_PER_S, round(self.plan.rate_per_s * sum(one.activity for one in INSTRUMENTS) / followed))

    def _redis(self) -> list[str]:
        options = ["--bind", "127.0.0.1", "--port", str(self.redis_port), "--dir", str(self._directory)]
        return [program("redis-server", "valkey-server"), *options, "--save", "", "--maxmemory-policy", "noeviction"]

    def _gateway(self, number: int, port: int, links_port: int) -> Part:
        name = f"gateway{number}"
        directory = self._directory / name
        crosstick = str(Path(sys.executable).with_name("crosstick"))
        command = [
            crosstick,
            "config",
            "--role",
            "gateway",
            "--name",
            name,
            "--port",
            str(port),
            "--out",
            str(directory),
        ]
        command += ["--trusted-proxy", "127.0.0.1", "--drain-over", f"{self.plan.drain_s:g}"]
        command += ["--links-port", str(links_port)]
        for other, other_port in enumerate(self._link_ports, start=1):
            if other != number:
                command += ["--peer", f"gateway{other}=127.0.0.1:{other_port}"]
        _output(command, self._environ)
        start = [crosstick, "node", "--cbdir", str(directory), "--log-level", "warn"]
        return Part(name, start, directory, self._environ)

    def _wait_for(self, part: Part, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not condition():
            if not part.running:
                raise ClusterError(f"{part.name} ended while starting; its last words: {part.last_words()}")
            if time.monotonic() > deadline:
                raise ClusterError(f"{part.name} did not start within {START_TIMEOUT_S:g} s: {part.last_words()}")
            time.sleep(0.1)


def token_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what all parts are told of tokens: what ``environ`` says, with a key of the cluster's own where it names none."""
    told = {name: value for name, value in environ.items() if name.startswith("CROSSTICK_TOKEN_")}
    if path := told.get("CROSSTICK_TOKEN_KEY_FILE"):
        # The parts run elsewhere.
        told["CROSSTICK_TOKEN_KEY_FILE"] = str(Path(path).absolute())
    if not any(told.get(name) for name in ("CROSSTICK_TOKEN_KEY", "CROSSTICK_TOKEN_KEY_FILE", "CROSSTICK_TOKEN_JWKS")):
        told["CROSSTICK_TOKEN_KEY"] = secrets.token_hex(32)
    return told


def token_authority(environ: Mapping[str, str], directory: Path) -> TokenAuthority:
    """Return the authority of the key that ``environ`` names.

    Raises:
        ClusterError: it cannot be had, or cannot mint: the cluster needs tokens itself.
    """
    try:
        authority = load_authority(environ, directory)
    except TokenKeyError as error:
        raise ClusterError(str(error)) from error
    if authority.signing_key is None:
        raise ClusterError(
            "the token key of the environment cannot mint, and a cluster needs tokens of its own: name a private key or a"
            " secret by CROSSTICK_TOKEN_KEY_FILE, or leave CROSSTICK_TOKEN_KEY_FILE and CROSSTICK_TOKEN_JWKS unset"
        )
    return authority


def status(port: int, path: str) -> tuple[int, dict[str, object]]:
    """Return the answer of a part's HTTP port, its JSON where it is any; status 0 while nothing listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):
        return 0, {}
    finally:
        connection.close()
    try:
        decoded = json.loads(body)
    except ValueError:
        decoded = {}
    return answer.status, decoded if isinstance(decoded, dict) else {}


def _output(command: Sequence[str], environ: Mapping[str, str]) -> str:
    """Return what a command prints.

    Raises:
        ClusterError: it fails.
    """
    ended = subprocess.run(command, capture_output=True, text=True, env=dict(environ), check=False)
    if ended.returncode:
        raise ClusterError(f"{Path(command[0]).name} failed: {ended.stderr.strip()}")
    return ended.stdout


def program(*names: str) -> str:
    """Return the path of the first of some programs that is installed.

    Raises:
        ClusterError: none is.
    """
    for name in names:
        # Debian keeps servers where a user's shell does not look.
        found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if found is not None:
            return found
    raise ClusterError(f"{' or '.join(names)} is not installed")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
