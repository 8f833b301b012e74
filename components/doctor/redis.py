"""The Redis of ``CROSSTICK_BUS``: reachable, recent enough, the master, quick, and set so that it keeps what it is given."""

from __future__ import annotations

import re
import socket
import ssl
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import hiredis

from components.bus.redis.eviction import KEEPS_ALL
from components.core.redis_address import RedisAddress, parse_redis_url
from components.doctor.findings import Finding, fail, ok, warn
from components.doctor.node_setup import Setup

LEAST_VERSION = (6, 2)
SLOW_S = 0.02
SKEW_S = 1.0
"""How far the clocks of nodes may be apart at most, and Redis' is the one that batches are stamped by."""

FULL = 0.8
TIMEOUT_S = 2.0
PINGS = 5


@dataclass(frozen=True, slots=True)
class Seen:
    """What a Redis says of itself; what it does not say is missing from ``info``."""

    info: Mapping[str, str]
    round_trip_s: float
    clock_ahead_s: float | None
    """``None``: it does not say."""


def judge(address: str, seen: Seen) -> list[Finding]:
    """Return what is to be said of a Redis that answers."""
    info = seen.info
    return [
        _version(address, info),
        _role(info),
        _eviction(info),
        *_memory(info),
        *_persistence(info),
        _latency(seen.round_trip_s),
        *_clock(seen.clock_ahead_s),
    ]


def _version(address: str, info: Mapping[str, str]) -> Finding:
    text = info.get("redis_version", "")
    found = tuple(int(part) for part in re.findall(r"\d+", text)[:2])
    server = "Valkey " + info["valkey_version"] if "valkey_version" in info else f"Redis {text}"
    if not found:
        return warn(f"{address} answers, and does not say which version it is", "let its user ask INFO (ACL: +info)")
    if found < LEAST_VERSION:
        return fail(f"{address} is {server}, which lacks commands that the bus needs", "Redis 6.2 or later, or Valkey")
    return ok(f"{address} is {server}")


def _role(info: Mapping[str, str]) -> Finding:
    role = info.get("role", "")
    if role == "master":
        return ok("it is the master")
    if not role:
        return warn("it does not say whether it is the master", "let its user ask INFO (ACL: +info)")
    hint = "name the master, or let Sentinels say which it is: CROSSTICK_BUS=redis+sentinel://…"
    return fail(f"it is a {role}, and refuses what feeds write", hint)


def _eviction(info: Mapping[str, str]) -> Finding:
    policy = info.get("maxmemory_policy", "")
    if policy in ("", KEEPS_ALL):
        return ok(f"maxmemory-policy is {policy or 'not said'}")
    hint = f"CONFIG SET maxmemory-policy {KEEPS_ALL}, and the same in redis.conf"
    return warn(f"maxmemory-policy is {policy}: short of memory it throws away the lead or the newest prices", hint)


def _memory(info: Mapping[str, str]) -> list[Finding]:
    most, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if most == 0:
        return []
    text = f"{used / 1e6:.1f} of {most / 1e6:.1f} MB are used"
    # By what Redis itself goes: buffers of replicas and of the append-only file do not count.
    counted = used - int(info.get("mem_not_counted_for_evict", 0))
    # One that may throw away any key makes room for what is written, mostly.
    if counted > most and not info.get("maxmemory_policy", KEEPS_ALL).startswith("allkeys-"):
        hint = "CONFIG SET maxmemory to more, and the same in redis.conf; or take from it what others keep there"
        return [fail(f"{text}: it refuses what feeds write, and nobody has new prices", hint)]
    return [warn(text, "give it more: without memory it refuses writes")] if used > FULL * most else [ok(text)]


def _persistence(info: Mapping[str, str]) -> list[Finding]:
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        hint = "see its log; with stop-writes-on-bgsave-error it refuses writes until that is mended"
        return [fail("its last snapshot to disk failed", hint)]
    if "aof_enabled" not in info:
        return []
    return [ok("appendonly is on" if info["aof_enabled"] == "1" else "appendonly is off, and need not be on")]


def _latency(round_trip_s: float) -> Finding:
    text = f"it answers within {round_trip_s * 1000:.1f} ms"
    if round_trip_s > SLOW_S:
        return warn(text, "every batch goes there and back: let it be near, and not busy (SLOWLOG GET)")
    return ok(text)


def _clock(ahead_s: float | None) -> list[Finding]:
    if ahead_s is None:
        return []
    text = f"its clock is {abs(ahead_s):.2f} s {'ahead of' if ahead_s > 0 else 'behind'} this machine's"
    return [warn(text, "let NTP set both clocks")] if abs(ahead_s) > SKEW_S else [ok(text)]


def look(setup: Setup) -> list[Finding]:
    """Ask the Redis of the bus, if that is one."""
    if setup.settings is None or setup.settings.bus.kind != "redis":
        return []
    address = parse_redis_url(setup.settings.bus.url)
    try:
        seen = _seen(address)
    except _Refused as error:
        return [fail(f"Redis at {address}: {error}", "see user, password and rights in CROSSTICK_BUS (ACL GETUSER)")]
    except (OSError, hiredis.HiredisError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return [
            fail(f"Redis at {address} cannot be reached: {reason}", "does it run, and does a firewall let it answer?")
        ]
    return judge(f"Redis at {address}", seen)


class _Refused(Exception):
    """It answered with an error."""


class _Connection:
    """One command after the other, each within ``TIMEOUT_S``."""

    def __init__(self, host: str, port: int, *, tls: bool) -> None:
        self._socket: socket.socket = socket.create_connection((host, port), TIMEOUT_S)
        if tls:
            self._socket = ssl.create_default_context().wrap_socket(self._socket, server_hostname=host)
        self._reader = hiredis.Reader()

    def command(self, *words: Any) -> Any:
        self._socket.sendall(hiredis.pack_command(words))
        while (answer := self._reader.gets()) is False:
            data = self._socket.recv(65_536)
            if not data:
                raise ConnectionResetError("it closed the connection")
            self._reader.feed(data)
        if isinstance(answer, hiredis.ReplyError):
            # What does not know a command quotes what came with it, and that may be a password.
            text = str(answer).partition(", with args beginning with")[0]
            if words[0] == "AUTH":
                text = text.replace(words[-1], "…")
            raise _Refused(text[:200])
        return answer

    def close(self) -> None:
        self._socket.close()


def _seen(address: RedisAddress) -> Seen:
    host, port = address.hosts[0] if address.service is None else _master(address)
    connection = _Connection(host, port, tls=address.tls)
    try:
        if address.password is not None:
            user = [] if address.username is None else [address.username]
            connection.command("AUTH", *user, address.password)
        if address.database:
            connection.command("SELECT", address.database)
        trips, ahead_s = [], None
        for _ in range(PINGS):
            begun_s = time.monotonic()
            connection.command("PING")
            trips.append(time.monotonic() - begun_s)
        try:
            info = _info(connection.command("INFO"))
            seconds, micros = map(int, connection.command("TIME"))
            ahead_s = seconds + micros / 1e6 - time.time()
        except _Refused:
            # A user who may not ask that may do the bus' work nevertheless.
            info = {}
        return Seen(info, statistics.median(trips), ahead_s)
    finally:
        connection.close()


def _info(text: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.decode(errors="replace").splitlines())
    return {name: value.strip() for name, colon, value in pairs if colon}


def _master(address: RedisAddress) -> tuple[str, int]:
    """Return where the Sentinels say that the server is.

    Raises:
        OSError: none of them knows, or can be asked.
    """
    reasons = []
    for host, port in address.hosts:
        try:
            connection = _Connection(host, port, tls=address.tls)
        except OSError as error:
            reasons.append(f"Sentinel {host}:{port}: {error.strerror or error}")
            continue
        try:
            found = _ask_sentinel(connection, address)
        except (OSError, _Refused) as error:
            reasons.append(f"Sentinel {host}:{port}: {error}")
            continue
        finally:
            connection.close()
        if found is not None:
            return found[0].decode(), int(found[1])
        reasons.append(f"Sentinel {host}:{port} knows no service {address.service}")
    raise ConnectionError("; ".join(reasons))


def _ask_sentinel(connection: _Connection, address: RedisAddress) -> Any:
    question = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", address.service)
    try:
        return connection.command(*question)
    except _Refused as error:
        if not str(error).startswith("NOAUTH") or address.password is None:
            raise
    connection.command("AUTH", address.password)
    return connection.command(*question)
