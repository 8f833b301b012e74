"""The load generator: compiled at first use, run on a core of its own, told what to do line by line."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from components.bench.compile import compiled
from components.bench.errors import LoadError
from components.bench.processes import pinned

SOURCES = Path(__file__).with_name("load")
FLAGS = ("-O2", "-D_GNU_SOURCE")
GRACE_S = 30.0
"""How long an answer may take beyond the time that its command takes by itself."""


def build() -> Path:
    """Return the path of the load generator, compiled now unless these very sources were compiled before.

    Raises:
        BenchError: there is no C compiler, or it fails.
    """
    return compiled("the load generator", SOURCES, "load", FLAGS)


@dataclass(frozen=True, slots=True)
class Account:
    """With what one session joins."""

    authid: str
    ticket: str


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where clients and publisher connect to, and how; what a system tells the load generator."""

    protocol: str
    """What clients speak over WebSocket: ``wamp``, ``plain`` or ``nats``."""

    port: int
    path: str
    clients: Sequence[Account]
    source: str
    """How events come in: ``bus``, ``redis``, ``rawsocket``, ``websocket`` or ``nats``."""

    source_at: Path | tuple[int, str]
    """The publisher's unix socket, or its TCP port and the WebSocket's path."""

    publisher: Account
    status: str | None = None
    """What is told to the bus every second; ``None``: nothing."""

    epoch_ms: int = 0
    patience_s: float = 10.0
    """At the end, events that have not come while nothing came for this long are missing."""

    def describe(self, topics: Sequence[tuple[str, str]], subscriptions: Sequence[Sequence[int]]) -> str:
        """Return the load generator's setup for ``topics``, which are pairs of name and symbol."""
        lines = [
            f"protocol {self.protocol}",
            f"server 127.0.0.1 {self.port} {self.path}",
            "realm market",
            f"source {self.source}",
            f"source_account {self.publisher.authid} {self.publisher.ticket}",
            f"epoch_ms {self.epoch_ms}",
            f"patience_us {self.patience_s * 1e6:.0f}",
            *(f"topic {name} {symbol}" for name, symbol in topics),
            *(
                " ".join(map(str, ("client", account.authid, account.ticket, len(chosen), *chosen)))
                for account, chosen in zip(self.clients, subscriptions, strict=True)
            ),
        ]
        if isinstance(self.source_at, Path):
            lines.append(f"source_unix {self.source_at}")
        else:
            lines.append(f"source_tcp 127.0.0.1 {self.source_at[0]} {self.source_at[1]}")
        if self.status is not None:
            lines.append(f"status {self.status}")
        return "\n".join(lines) + "\n"


class LoadGenerator:
    """A running load generator; a context manager that ends it."""

    def __init__(self, binary: Path, setup: str, directory: Path, core: int | None) -> None:
        """Start it on ``core`` (``None``: wherever the kernel likes), with its setup in a file of ``directory``."""
        path = directory / "load.setup"
        path.touch(mode=0o600)
        path.write_text(setup)
        self._process = subprocess.Popen(
            pinned([str(binary), str(path)], core), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def command(self, *words: object, takes_s: float) -> dict[str, Any]:
        """Send a command and return its answer, which is due ``GRACE_S`` after the ``takes_s`` that it takes.

        Raises:
            LoadError: it reported an error, ended, or did not answer in time.
        """
        self.send(*words)
        if not self.wait(takes_s + GRACE_S):
            raise LoadError(f"the load generator did not answer {words[0]} within {takes_s + GRACE_S:g} s")
        return self.answer()

    def send(self, *words: object) -> None:
        """Send a command; its answer is to be taken before the next one."""
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        # When it has ended, its last words are still in the other pipe.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(" ".join(map(str, words)).encode() + b"\n")
            self._process.stdin.flush()

    def wait(self, at_most_s: float) -> bool:
        """Wait for an answer; return whether there is one."""
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        # It writes whole lines only, so a readable pipe is a line (or the end).
        return bool(select.select([self._process.stdout], [], [], at_most_s)[0])

    def answer(self) -> dict[str, Any]:
        """Return the answer to the command sent, waiting for it for ever.

        Raises:
            LoadError: it reported an error, or ended.
        """
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        line = self._process.stdout.readline()
        if not line:
            raise LoadError(f"the load generator ended (exit code {self._process.wait()})")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise LoadError(answer["error"])
        return answer

    def __enter__(self) -> LoadGenerator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
