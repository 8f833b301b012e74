"""Starts the attackers' process, and says which connections ended as they should not have."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from components.bench.errors import BenchError
from components.bench.hostile.attack import OVER
from components.bench.hostile.catalogue import ATTACKS
from components.bench.hostile.tickets import AUTHID, SESSION_S, forgeries, public_pem
from components.bench.processes import pinned
from components.core.limits import RealmLimits
from components.tokens import TokenAuthority

VIEWERS = 64
SERVICE = "hostile-service"
TICKETS_LAST_S = 3600
GRACE_S = 30.0
NO_MATTER = frozenset({"http 429", "http 503", OVER})


@dataclass(frozen=True, slots=True)
class Onslaught:
    """How many attack, for how long, and with how much of the machine."""

    seconds: float
    intensity: float = 1.0
    """How many attackers there are of each kind, as a part of ``Attack.at_once``; at least one."""

    repeat: bool = True
    """Whether an attacker whose connection has ended comes again."""

    patience: float = 1.0
    """The node's timeouts, as a part of what they are by default."""

    slack_s: float = 8.0
    """How much later than at its time the gateway may end a connection: the machine has other work."""

    niceness: int = 10
    """The load generator may run on the same core, and what it measures is not to be its own waiting."""

    cpu_share: float = 0.3
    """Of one core, that the attackers use together at most."""

    bytes_per_s: float = 8e6
    connections_per_s: float = 150.0
    """Of all together, at most."""

    attacks: tuple[str, ...] = tuple(ATTACKS)


class Attackers:
    """A running attack; a context manager that ends it."""

    def __init__(
        self,
        onslaught: Onslaught,
        port: int,
        topics: Sequence[str],
        authority: TokenAuthority,
        limits: RealmLimits,
        directory: Path,
        core: int | None,
    ) -> None:
        """Start it on ``core``, with its setup, which has tickets, in a file of ``directory``; ``limits`` are the realm's."""
        self._onslaught = onslaught
        path = directory / "attack.setup"
        path.touch(mode=0o600)
        path.write_text(json.dumps(_setup(onslaught, port, topics, authority, limits)))
        command = [sys.executable, "-m", "components.bench.hostile.process", str(path)]
        self._process = subprocess.Popen(
            pinned(command, core), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def report(self) -> dict[str, Any]:
        """Wait for the attack's end; return what became of it.

        Raises:
            BenchError: it failed, or did not end in time.
        """
        try:
            answer, errors = self._process.communicate(timeout=self._onslaught.seconds + GRACE_S)
        except subprocess.TimeoutExpired as error:
            raise BenchError("the attack did not end in time") from error
        if self._process.returncode:
            raise BenchError(f"the attack failed: {(errors.strip().splitlines() or ['without a word'])[-1]}")
        report: dict[str, Any] = json.loads(answer)
        return report

    def __enter__(self) -> Attackers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def unexpected(attacks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line for each ending that an attack may not have, and for each attack that never came about.

    Any may be refused for its address, before the upgrade, or be cut short by the attack's end; some must have come further.
    """
    found = []
    for name, outcome in attacks.items():
        if outcome["endings"].keys() <= NO_MATTER:
            found.append(f"{name}: never came about")
        found += [
            f"{name}: {count} × {ending}"
            for ending, count in outcome["endings"].items()
            if ending not in ATTACKS[name].allowed | NO_MATTER
        ]
    return found


def _setup(
    onslaught: Onslaught, port: int, topics: Sequence[str], authority: TokenAuthority, limits: RealmLimits
) -> dict[str, Any]:
    now_s = int(time.time())

    def account(sub: str, role: str = "viewer", ttl_s: int = TICKETS_LAST_S) -> tuple[str, str]:
        return sub, authority.mint(sub=sub, role=role, realm="market", now_s=now_s, ttl_s=ttl_s)

    known = public_pem(authority)
    assert authority.signing_key is not None  # noqa: S101 - it has a public key
    bad = forgeries(authority.signing_key.sign, authority.rules.audience, known, now_s)
    return {
        "port": port,
        "path": "/ws",
        "topics": list(topics),
        "accounts": [account(f"attacker{number}") for number in range(VIEWERS)],
        "service": account(SERVICE, "service"),
        "tickets": {
            "replayed": account("replayed"),
            "runs out": account("runs-out", ttl_s=SESSION_S),
            **{name: (AUTHID, ticket) for name, ticket in bad.items()},
        },
        "limits": {role: msgspec.structs.asdict(limits.of(role, None)) for role in ("viewer", "service")},
        "seconds": onslaught.seconds,
        "intensity": onslaught.intensity,
        "repeat": onslaught.repeat,
        "patience": onslaught.patience,
        "slack_s": onslaught.slack_s,
        "niceness": onslaught.niceness,
        "cpu_share": onslaught.cpu_share,
        "bytes_per_s": onslaught.bytes_per_s,
        "connections_per_s": onslaught.connections_per_s,
        "attacks": onslaught.attacks,
    }
