"""What a node is to be: its role, workers, ports and peers, and which of these go together. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from components.settings import why_one_worker_only

MAX_WORKERS = 64
MAX_DRAIN_S = 3600
LOOPBACK = "127.0.0.1"

UNNAMED = "node"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")
_SERVICE = re.compile(r"[A-Za-z0-9_-]{1,128}")
_PEER = re.compile(
    r"(?P<name>[^=]+)=(?P<tls>tls://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):(?P<first>\d{1,5})(-(?P<last>\d{1,5}))?"
)


class ImpossiblePlan(ValueError):
    """The node cannot be like this; the text is one line for the operator."""


@dataclass(frozen=True, slots=True)
class PeerNode:
    """Another node: each of its router workers listens for links on a port of its own, one after the other."""

    name: str
    host: str
    ports: range
    tls: bool = False

    def workers(self) -> dict[str, int]:
        """Return the ports of its workers by the names that these have."""
        return {worker_name(self.name, index, len(self.ports)): port for index, port in enumerate(self.ports)}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """What a node is to be; what is left out is as in the repository's own configuration."""

    role: Literal["all", "gateway"] = "all"
    """``gateway``: neither feed nor simulated exchange."""

    workers: int = 1
    """Router workers, which share the public port."""

    port: int | None = None
    interface: str | None = None
    tls: tuple[str, str] | None = None
    """Files of key and certificate, for the public port and for links."""

    allow_plaintext: bool = False
    """Whether a balancer before the public port takes care of TLS."""

    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks of balancers, which are believed where a client is."""

    drain_over_s: float | None = None
    """Over how long the node's clients are told to go when it leaves."""

    management_port: int | None = None
    """The first worker's port for ``/metrics``, ``/healthz`` and ``/readyz`` on the loopback; the next ones follow."""

    bridge: str | None = None
    """The service whose signed HTTP requests are taken."""

    bridge_calls: tuple[str, ...] = ()
    """Globs of other services' names, whose procedures these may call."""

    name: str | None = None
    """The node's, for operators and its peers; ``None``: these call it ``node``, and those by host and process."""

    peers: tuple[PeerNode, ...] = ()
    links_port: int | None = None
    """The first worker's port for other nodes' links; the next ones follow."""

    links_interface: str = LOOPBACK
    links_ca: str | None = None
    """File with the authorities that peers' certificates are of; ``None``: the system's."""

    links_plaintext: bool = False
    """Whether the network that links go over is private."""

    @property
    def is_linked(self) -> bool:
        """Tell whether there are other routers."""
        return self.workers > 1 or self.links_port is not None

    def worker_name(self, index: int) -> str:
        """Return the name of a router worker among its peers; ``index`` is from 0."""
        return worker_name(self.name or UNNAMED, index, self.workers)

    def check(self, environ: Mapping[str, str], public_port: int) -> None:
        """See to it that a node can be like this, with this environment and this port.

        Raises:
            ImpossiblePlan: it cannot.
        """
        self._check_bus(environ)
        self._check_names()
        if self.drain_over_s is not None and not 0 <= self.drain_over_s <= MAX_DRAIN_S:
            raise ImpossiblePlan(f"--drain-over must be 0 to {MAX_DRAIN_S} s, was {self.drain_over_s:g}")
        if self.bridge is not None and not _SERVICE.fullmatch(self.bridge):
            raise ImpossiblePlan(f"--http-bridge must be up to 128 letters, digits, - and _, was {self.bridge!r}")
        if self.bridge_calls and self.bridge is None:
            raise ImpossiblePlan("--http-bridge-calls needs --http-bridge")
        self._check_ports(public_port)
        self._check_privacy()

    def _check_bus(self, environ: Mapping[str, str]) -> None:
        if not 1 <= self.workers <= MAX_WORKERS:
            raise ImpossiblePlan(f"--workers must be 1 to {MAX_WORKERS}, was {self.workers}")
        because = why_one_worker_only(environ)
        if because is not None and self.workers > 1:
            raise ImpossiblePlan(f"--workers {self.workers}: {because}")
        if because is not None and self.role == "gateway":
            bus = environ.get("CROSSTICK_BUS", "wamp").partition("://")[0]
            raise ImpossiblePlan(
                "--role gateway: a node without feed needs a bus that it reads, CROSSTICK_BUS=redis://… or kafka://…,"
                f" was {bus!r}"
            )

    def _check_names(self) -> None:
        for option, name in (("--name", self.name or UNNAMED), *(("--peer", peer.name) for peer in self.peers)):
            if not _NAME.fullmatch(name):
                raise ImpossiblePlan(f"{option} must be up to 60 letters, digits, dots, - and _, was {name!r}")
        if self.peers and self.links_port is None:
            raise ImpossiblePlan("--peer needs --links-port: peers fetch there what this node's services offer")
        names = [self.worker_name(index) for index in range(self.workers)]
        for peer in self.peers:
            names += peer.workers()
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ImpossiblePlan(f"--peer and --name must differ, {twice[0]!r} is there twice")

    def _check_ports(self, public_port: int) -> None:
        taken: dict[int, str] = {}
        for option, first, number in (
            ("--port", public_port, 1),
            ("--management-port", self.management_port, self.workers),
            ("--links-port", self.links_port, self.workers),
        ):
            for port in range(first, first + number) if first is not None else ():
                if not 1 <= port <= 65_535:
                    raise ImpossiblePlan(f"{option}: ports must be 1 to 65535, would have {port}")
                if port in taken:
                    raise ImpossiblePlan(f"{option}: port {port} is {taken[port]}'s already")
                taken[port] = option

    def _check_privacy(self) -> None:
        for proxy in self.trusted_proxies:
            try:
                ipaddress.ip_network(proxy)
            except ValueError:
                raise ImpossiblePlan(f"--trusted-proxy must be an address or a network, was {proxy!r}") from None
        if self.interface is not None and not (self.tls or self.allow_plaintext or _is_loopback(self.interface)):
            raise ImpossiblePlan(
                f"--interface {self.interface}: tickets and prices would go without TLS: give --tls-key and --tls-certificate,"
                " or --allow-plaintext if a balancer before it terminates TLS"
            )
        if self.links_port is not None and not (self.tls or self.links_plaintext or _is_loopback(self.links_interface)):
            raise ImpossiblePlan(
                f"--links-interface {self.links_interface}: links would go without TLS: give --tls-key and --tls-certificate,"
                " or --links-plaintext if the network is private"
            )


def worker_name(node: str, index: int, workers: int) -> str:
    """Return the name of a node's router worker; ``index`` is from 0."""
    return node if workers == 1 else f"{node}-{index + 1}"


def read_peer(text: str) -> PeerNode:
    """Return what ``NAME=[tls://]host:port[-last port]`` says.

    Raises:
        ImpossiblePlan: it is something else.
    """
    found = _PEER.fullmatch(text)
    if found is None:
        raise ImpossiblePlan(f"--peer must be NAME=host:port, or NAME=tls://host:first-last, was {text!r}")
    first = int(found["first"])
    last = int(found["last"] or first)
    if not 1 <= first <= last <= 65_535 or last - first >= MAX_WORKERS:
        raise ImpossiblePlan(
            f"--peer {found['name']}: ports must be 1 to 65535 and at most {MAX_WORKERS}, was {text!r}"
        )
    return PeerNode(found["name"], found["host"].strip("[]"), range(first, last + 1), found["tls"] is not None)


def _is_loopback(interface: str) -> bool:
    try:
        return interface == "localhost" or ipaddress.ip_address(interface).is_loopback
    except ValueError:
        return False
