"""Crosstick as the repository's configuration has it, without exchange and feed: the load generator writes to the bus."""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from components.bench.load import Account, Endpoints
from components.bench.processes import ServerProcess
from components.bench.shapes import EXTERNAL_SERVICE, Shape
from components.bench.systems.interface import http_status
from components.core.limits import RealmLimits
from components.free_ports import free_port
from components.tokens import TokenAuthority, create_development_key, load_authority, load_internal_authority

REPOSITORY = Path(__file__).resolve().parents[3]
TOKEN_TTL_S = 3600


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """What differs from the repository's configuration."""

    fanout: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the gateway's."""

    limited: bool = False
    """Whether clients have the limits that the configuration gives; else they are so high that no benchmark meets them."""

    rsa: bool = False
    """Whether tokens are signed with RS256 instead of HS256."""


class Crosstick:
    """A node of one router worker; its clients speak WAMP."""

    def __init__(
        self,
        directory: Path,
        shape: Shape,
        core: int | None,
        options: NodeOptions | None = None,
    ) -> None:
        """See ``System``."""
        options = options or NodeOptions()
        self._directory = directory
        self._shape = shape
        self._port = free_port()
        (directory / "public").mkdir()
        config = _config(self._port, options)
        (directory / "config.yaml").write_text(yaml.safe_dump(config))
        self.limits = RealmLimits.from_mapping(_gatekeeper_of_market(config)["extra"]["limits"])
        """Those of the market's clients."""

        keys = {}
        if options.rsa:
            keys["CROSSTICK_TOKEN_KEY_FILE"] = str(create_rsa_key(directory))
        else:
            create_development_key(directory)
        self._authority = load_authority(keys, directory)
        environ = {name: value for name, value in os.environ.items() if not name.startswith("CROSSTICK_")} | keys
        crossbar = str(Path(sys.executable).with_name("crossbar"))
        self._server = ServerProcess([crossbar, "start", "--cbdir", str(directory)], core, directory, environ)

    @classmethod
    def version(cls) -> str:
        """See ``System``."""
        return importlib.metadata.version("crosstick")

    @classmethod
    def takes(cls, shape: Shape) -> bool:
        """See ``System``."""
        return True

    def wait_until_listening(self) -> None:
        """See ``System``."""
        self._server.wait_until(lambda: http_status(self._port, "/healthz") == 200, "listening")

    def wait_until_ready(self) -> None:
        """See ``System``."""
        if not self._shape.external:
            self._server.wait_until(lambda: http_status(self._port, "/readyz") == 200, "ready")

    def endpoints(self) -> Endpoints:
        """See ``System``."""
        now_ms = time.time_ns() // 1_000_000
        clients = [
            Account(f"client{number:04}", _token(self._authority, f"client{number:04}", "viewer", (EXTERNAL_SERVICE,)))
            for number in range(self._shape.clients)
        ]
        if self._shape.external:
            publisher = Account(EXTERNAL_SERVICE, _token(self._authority, EXTERNAL_SERVICE, "service"))
            return Endpoints("wamp", self._port, "/ws", clients, "websocket", (self._port, "/ws"), publisher)
        return Endpoints(
            "wamp",
            self._port,
            "/ws",
            clients,
            "bus",
            self._directory / "internal.sock",
            Account("feed", _token(load_internal_authority(self._directory), "feed", "feed")),
            status=json.dumps(market_status(self._shape, now_ms), separators=(",", ":")),
            epoch_ms=now_ms,
        )

    @property
    def authority(self) -> TokenAuthority:
        """The authority whose tokens the node accepts."""
        return self._authority

    def log_bytes(self) -> int:
        """Return how much the node has logged so far."""
        return self._server.log_bytes()

    def count_in_log(self, text: str, after_bytes: int) -> int:
        """Return how often a text is in what the node logged after its first bytes."""
        return self._server.count_in_log(text, after_bytes)

    def pids(self) -> list[int]:
        """See ``System``."""
        return self._server.pids()

    def stop(self) -> None:
        """See ``System``."""
        self._server.stop()


class CrosstickPlain(Crosstick):
    """The same node; its clients speak plain JSON, and get an object per frame as WAMP's get an EVENT."""

    path = "/ws/trade"

    @classmethod
    def takes(cls, shape: Shape) -> bool:
        """See ``System``. Plain clients get the market, not what services publish."""
        return not shape.external

    def endpoints(self) -> Endpoints:
        """See ``System``."""
        return replace(super().endpoints(), protocol="plain", path=self.path)


class CrosstickPlainBatched(CrosstickPlain):
    """The same with frames that are arrays, of as many objects as there are at a time."""

    path = "/ws/trade?batched=1"


def create_rsa_key(directory: Path) -> Path:
    """Write an RSA private key (PEM, mode 0600) to a file in a directory, and return its path."""
    path = directory / "tokens.pem"
    path.touch(mode=0o600)
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def _token(authority: TokenAuthority, sub: str, role: str, services: tuple[str, ...] = ()) -> str:
    return authority.mint(
        sub=sub, role=role, realm="market", now_s=int(time.time()), ttl_s=TOKEN_TTL_S, services=services
    )


def viewer_token(authority: TokenAuthority, sub: str) -> str:
    """Return a ticket with which a client may follow everything."""
    return _token(authority, sub, "viewer")


def market_status(shape: Shape, now_ms: int) -> dict[str, Any]:
    """Return what a feed in good health tells; see ``components.feed.Feed.status``."""
    return {
        "epoch": now_ms,
        "state": "live",
        "since": now_ms,
        "exchange": {"url": "", "connections": 1, "reconnects": 0, "last_error": ""},
        "symbols": shape.symbols(),
        "stale": [],
        "counters": {},
    }


HIGH_LIMITS = (
    *("max_sessions", "max_sessions_per_authid", "max_sessions_per_address", "max_subscriptions"),
    *("messages_per_s", "messages_burst", "publishes_per_s", "publishes_burst", "calls_per_s", "calls_burst"),
)
"""Which limits a benchmark's clients must not meet. They are counted as ever."""


def _gatekeeper_of_market(config: Mapping[str, Any]) -> dict[str, Any]:
    [router] = config["workers"]
    found: dict[str, Any] = next(entry for entry in router["components"] if entry["id"] == "market-gatekeeper")
    return found


def _config(port: int, options: NodeOptions) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((REPOSITORY / ".crossbar" / "config.yaml").read_text())
    config["workers"] = [worker for worker in config["workers"] if worker["type"] == "router"]
    for worker in config["workers"]:
        worker["options"]["pythonpath"] = [str(REPOSITORY)]
        for component in worker["components"]:
            if component["id"] == "gateway":
                component.setdefault("extra", {}).setdefault("fanout", {}).update(options.fanout)
            elif component["id"] == "listeners":
                unlimited = {"max_connections_per_address": None, "connections_per_s_per_address": None}
                component["extra"] = {"listeners": {"public": {} if options.limited else unlimited}}
            elif component["id"] == "market-gatekeeper" and not options.limited:
                component["extra"] = {"limits": dict.fromkeys(HIGH_LIMITS, 1_000_000_000)}
        for transport in worker["transports"]:
            if transport["type"] == "web":
                transport["endpoint"]["port"] = port
                for path in transport["paths"].values():
                    if path["type"] == "static":
                        path["directory"] = "public"  # its files are no part of this, and need not be installed
    return config
