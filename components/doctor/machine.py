"""The machine: open files, accept queues, ports of outgoing connections, memory, cores, disk."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Sequence
from pathlib import Path

import psutil

from components.doctor.findings import Finding, fail, ok, warn
from components.doctor.node_file import Endpoint, NodeFile, RouterWorker
from components.doctor.node_setup import Setup
from components.router.fanout_settings import FanOutSettings
from components.router.listeners.open_files import too_few
from components.router.listeners.settings import ListenerSettings, parse_listeners

MB = 1_000_000
CONTROLLER_MB = 150
WORKER_MB = 150
"""Of each, before its clients."""

CONNECTION_KB = 25
LEAST_FREE_MB = 100
LITTLE_FREE_MB = 1000
FEW_PORTS = 5000


# Open files


def judge_open_files(hard_limit: int, connections: int) -> Finding:
    """Return whether a worker may have as many files open as its listeners' ``max_connections`` need."""
    problem = too_few(hard_limit, connections)
    if problem:
        return warn(problem, "LimitNOFILE= of its systemd unit, --ulimit nofile= of Docker, or lower max_connections")
    shown = "no limit" if hard_limit == resource.RLIM_INFINITY else f"{hard_limit:,}"
    return ok(f"open files: {shown}, for {connections:,} connections")


def look_at_open_files(setup: Setup) -> list[Finding]:
    """Look at this process's limit, which a node started like it would have."""
    if setup.node is None:
        return []
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return [judge_open_files(hard, max(map(_connections, setup.node.routers), default=0))]


def _connections(router: RouterWorker) -> int:
    settings: dict[str, ListenerSettings] = {}
    for component in router.of_class("Listeners"):
        try:
            settings |= parse_listeners(component.extra)
        except ValueError:
            # Said by the check of components.
            continue
    return sum(settings.get(each.transport, ListenerSettings()).max_connections for each in router.endpoints)


# The kernel's queues and ports


def judge_backlog(somaxconn: int, endpoints: Sequence[Endpoint]) -> Finding:
    """Return whether the kernel lets as many connections wait as the endpoints ask for."""
    most = max((each.backlog for each in endpoints), default=0)
    if most > somaxconn:
        hint = f"sysctl net.core.somaxconn={most}, and in /etc/sysctl.d: else clients that all come back at once are dropped"
        return warn(f"backlog is {most} and the kernel lets {somaxconn} connections wait", hint)
    return ok(f"accept queues: {most} of at most {somaxconn}")


def look_at_backlog(setup: Setup) -> list[Finding]:
    """Look at ``somaxconn``."""
    somaxconn = _number(Path("/proc/sys/net/core/somaxconn"))
    return [] if somaxconn is None or setup.node is None else [judge_backlog(somaxconn, setup.node.endpoints)]


def judge_ephemeral(first: int, last: int, listening: Sequence[int]) -> list[Finding]:
    """Return whether outgoing connections may take a port that a node wants to listen on, or be too many."""
    findings = []
    taken = sorted({port for port in listening if first <= port <= last})
    if taken:
        hint = f"sysctl net.ipv4.ip_local_reserved_ports={','.join(map(str, taken))}, or take ports below {first}"
        text = f"port {taken[0]} is among those of outgoing connections ({first} to {last}), and may be taken"
        findings.append(warn(text, hint))
    if last - first + 1 < FEW_PORTS:
        hint = "sysctl net.ipv4.ip_local_port_range='32768 60999': a balancer on this machine needs one for each client"
        findings.append(warn(f"only {last - first + 1} ports for outgoing connections", hint))
    return findings or [ok(f"outgoing connections have ports {first} to {last}, none that is listened on")]


def look_at_ephemeral(setup: Setup) -> list[Finding]:
    """Look at the range of ephemeral ports."""
    try:
        first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    except (OSError, ValueError):
        return []
    listening = [] if setup.node is None else [each.port for each in setup.node.endpoints]
    simulator = setup.settings.simulator if setup.settings is not None else None
    return judge_ephemeral(first, last, [*listening, *([simulator.port] if simulator else [])])


# Memory, cores, disk


def needed_mb(node: NodeFile) -> tuple[int, int]:
    """Return what a node takes at its start, and with all of the connections and replays that its limits allow, in MB."""
    least = CONTROLLER_MB + WORKER_MB * node.workers
    most = float(least)
    for router in node.routers:
        most += _connections(router) * CONNECTION_KB / 1000
        for component in router.of_class("Gateway"):
            try:
                most += FanOutSettings.from_extra(component.extra).replay.max_bytes / MB
            except ValueError:
                # Said by the check of components.
                continue
    return least, int(most)


def judge_memory(limit_mb: float, available_mb: float, least_mb: int, most_mb: int) -> Finding:
    """Return whether memory will do; ``limit_mb`` is the machine's or the control group's."""
    text = (
        f"{available_mb:,.0f} of {limit_mb:,.0f} MB of memory are free; the node takes {least_mb:,} to some {most_mb:,}"
    )
    if limit_mb < least_mb:
        return fail(text, "the kernel would end it: give it more (memory.max, --memory)")
    if available_mb < most_mb:
        return warn(text, "with many clients the kernel may end it: give it more, or lower max_connections and replay")
    return ok(text)


def look_at_memory(setup: Setup) -> list[Finding]:
    """Look at the machine's memory, and at what this control group may have of it."""
    if setup.node is None:
        return []
    memory = psutil.virtual_memory()
    limit, available = float(memory.total), float(memory.available)
    for group in _control_groups():
        most, used = _number(group / "memory.max"), _number(group / "memory.current")
        if most is not None and most < limit:
            limit, available = float(most), min(available, float(most - (used or 0)))
    return [judge_memory(limit / MB, available / MB, *needed_mb(setup.node))]


def judge_cores(cores: float, routers: int, workers: int) -> Finding:
    """Return whether each router worker has a core of its own."""
    text = f"cores: {cores:g}; router workers: {routers}, workers in all: {workers}"
    if cores < routers:
        return warn(text, "workers that share a core bring nothing: --workers of crosstick config, or more cores")
    return ok(text)


def look_at_cores(setup: Setup) -> list[Finding]:
    """Look at the cores that this process may use."""
    if setup.node is None:
        return []
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    for group in _control_groups():
        try:
            quota, period = (group / "cpu.max").read_text().split()
            cores = cores if quota == "max" else min(cores, int(quota) / int(period))
        except (OSError, ValueError):
            continue
    return [judge_cores(cores, len(setup.node.routers), setup.node.workers)]


def judge_disk(free_mb: float, where: str) -> Finding:
    """Return whether there is room for what a node writes: little, but revocations above all."""
    text = f"{free_mb:,.0f} MB are free on the disk of {where}"
    if free_mb < LEAST_FREE_MB:
        return fail(text, "make room: revocations and logs cannot be kept")
    return warn(text, "make room for logs") if free_mb < LITTLE_FREE_MB else ok(text)


def look_at_disk(setup: Setup) -> list[Finding]:
    """Look at the disk of the node directory."""
    return [judge_disk(shutil.disk_usage(setup.cbdir).free / MB, str(setup.cbdir))]


def _control_groups() -> list[Path]:
    """Return the folders of this process's control group (version 2) and those above it."""
    root = Path("/sys/fs/cgroup")
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    name = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "/")
    folder = root / name.lstrip("/")
    return [one for one in (folder, *folder.parents) if one.is_relative_to(root)]


def _number(path: Path) -> int | None:
    """Return the number in a file; ``None`` where there is no file, or another word such as ``max``."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
