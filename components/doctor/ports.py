"""Ports: free, or held by a node that runs, or by something else."""

from __future__ import annotations

import errno
import http.client
import json
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from components.core.leading_feed import NO_FEED_WRITES, NO_FEED_YET
from components.doctor.findings import Finding, fail, ok, warn
from components.doctor.node_setup import Setup

READYZ_TIMEOUT_S = 2.0
NODES_OWN = ("crosstick", "crossbar")
"""How the names of a node's processes begin."""

NO_PRICES = (
    "nobody has new prices: start a feed, or see what the feeds' logs and their /readyz say; "
    "a bus that is full refuses what they write (see redis and kafka here)"
)


@dataclass(frozen=True, slots=True)
class Port:
    """What was seen of one."""

    where: str
    bind_error: int = 0
    """``errno`` of an attempt to bind it; 0: it is free."""
    holder: str = ""
    """Name and id of the process that listens, as far as this user may know."""
    readiness: dict[str, Any] | None = None
    """What ``/readyz`` answers there, if a node does."""
    is_simulator: bool = False
    is_asked: bool = False
    """Whether a node answers ``/readyz`` there."""
    is_own: bool = False
    """Whether who holds it is a process of this directory's node."""


def judge_ports(ports: Sequence[Port]) -> list[Finding]:
    """Return what is said of ports, which belong together: a node that runs holds them all."""
    runs = any(port.readiness is not None for port in ports)
    return [_judged(port, runs=runs) for port in ports]


def _judged(port: Port, *, runs: bool) -> Finding:
    if port.readiness is not None:
        return _judge_node(port)
    if port.bind_error == 0:
        if runs and not port.is_simulator:
            return warn(
                f"{port.where} is free, while a node runs on others", "does the node run with this configuration?"
            )
        return ok(f"{port.where} is free")
    if port.bind_error == errno.EACCES:
        return fail(f"{port.where} may not be listened on by this user", "a port above 1023, or CAP_NET_BIND_SERVICE")
    if port.bind_error == errno.EADDRNOTAVAIL:
        return fail(f"{port.where}: this machine has no such address", "correct the endpoint's interface")
    if port.bind_error != errno.EADDRINUSE:
        return fail(f"{port.where}: {errno.errorcode.get(port.bind_error, port.bind_error)}", "correct the endpoint")
    if runs:
        return ok(f"{port.where} is held by {port.holder or 'another process'}, and a node runs")
    if port.is_own and port.is_asked:
        # Where it answers at another port, it is not taken for hung.
        text = f"this directory's node runs ({port.holder} has {port.where}), and does not answer"
        return fail(
            text, "see its log; if it is stopped, kill -CONT lets it go on; if it hangs, end it and start it again"
        )
    if port.is_own:
        return ok(f"{port.where} is held by {port.holder}, of this directory's node")
    other = "set CROSSTICK_SIMULATOR_PORT" if port.is_simulator else "correct the endpoint's port"
    return fail(f"{port.where} is held by {port.holder or 'another process'}", f"end it, or {other}")


def _judge_node(port: Port) -> Finding:
    answer = port.readiness or {}
    node = f"a node runs on {port.where}"
    if not answer.get("ready"):
        because = answer.get("because", ["it does not say why"])
        return fail(
            f"{node} and is not ready: {'; '.join(because)}", NO_PRICES if _lacks_feed(because) else "see its log"
        )
    if degraded := answer.get("degraded"):
        text = f"{node}, ready but degraded: {'; '.join(degraded)}"
        return fail(text, NO_PRICES) if _lacks_feed(degraded) else warn(text, "see its log")
    return ok(f"{node} and is ready")


def _lacks_feed(lines: Sequence[str]) -> bool:
    return any(line.startswith((NO_FEED_WRITES, NO_FEED_YET)) for line in lines)


def look(setup: Setup) -> list[Finding]:
    """Look at each port that the configuration names."""
    ports = []
    if setup.node is not None:
        for endpoint in setup.node.endpoints:
            error = _bind_error(endpoint.interface, endpoint.port)
            readiness = None
            if error == errno.EADDRINUSE and endpoint.answers_readyz:
                readiness = _readiness(endpoint.host, endpoint.port, secure=endpoint.tls is not None)
            holder, is_own = _holder(endpoint.port, setup.cbdir) if error else ("", False)
            ports.append(Port(str(endpoint), error, holder, readiness, is_asked=endpoint.answers_readyz, is_own=is_own))
    simulator = setup.settings.simulator if setup.settings is not None else None
    if simulator is not None:
        error = _bind_error(simulator.host, simulator.port)
        where = f"{simulator.host}, port {simulator.port} (the simulated exchange)"
        holder, is_own = _holder(simulator.port, setup.cbdir) if error else ("", False)
        ports.append(Port(where, error, holder, is_simulator=True, is_own=is_own))
    return judge_ports(ports)


def _bind_error(interface: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in interface else socket.AF_INET
    with socket.socket(family) as probe:
        # As servers do: a port whose last connections are still in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((interface, port))
        except socket.gaierror:
            return errno.EADDRNOTAVAIL
        except OSError as error:
            return error.errno or errno.EINVAL
    return 0


def _holder(port: int, cbdir: Path) -> tuple[str, bool]:
    """Return who listens on a port, as far as this user may know, and whether that is of the node in ``cbdir``."""
    try:
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port and one.pid is not None:
                # No more of its command line: that may have a secret.
                process = psutil.Process(one.pid)
                name = process.name()
                return f"{name} (process {one.pid})", name.startswith(NODES_OWN) and _works_in(process, cbdir)
    except psutil.Error:
        # Of others' processes not every system tells everybody.
        return "", False
    return "", False


def _works_in(process: psutil.Process, cbdir: Path) -> bool:
    """Tell whether a process works in a node directory, as all workers of its node do."""
    try:
        return Path(process.cwd()).samefile(cbdir)
    except (psutil.Error, OSError):
        return False


def _readiness(host: str, port: int, *, secure: bool) -> dict[str, Any] | None:
    connection: http.client.HTTPConnection
    if secure:
        context = ssl.create_default_context()
        # It is this machine; whether clients accept the certificate is the check of certificates' business.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=READYZ_TIMEOUT_S, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=READYZ_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        answer = json.loads(connection.getresponse().read(65_536))
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return answer if isinstance(answer, dict) and "ready" in answer else None
