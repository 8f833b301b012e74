"""Faults of a cluster, by name; each leaves the cluster whole: what supervises the parts starts them anew."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from components.cluster.topology import Cluster, ClusterError, Part

RESTART_AFTER_S = 2.0
"""As a supervisor would."""

AWAY_S = 45.0
"""Longer than a standby keeps trades, and less than what a leader has room for."""

PAUSE_S = 4.0
"""Longer than a feed's lease, and than clients' patience."""

LEAD_TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens."""

    name: str
    make: Callable[[Cluster], str]
    """Makes it, in a thread of its own, and returns which part it was; the cluster is whole when it returns."""


def _kill_gateway(cluster: Cluster, number: int) -> str:
    gateway = cluster.gateways[number]
    gateway.kill()
    time.sleep(RESTART_AFTER_S)
    gateway.start()
    cluster.wait_until_ready(number)
    return gateway.name


def _drain_gateway(cluster: Cluster, number: int) -> str:
    gateway = cluster.gateways[number]
    gateway.terminate()
    code = gateway.wait(cluster.plan.drain_s + 30)
    if code:
        raise ClusterError(f"{gateway.name} was drained and ended with {code}; its last words: {gateway.last_words()}")
    gateway.start()
    cluster.wait_until_ready(number)
    return gateway.name


def _leader(cluster: Cluster) -> Part:
    deadline_s = time.monotonic() + LEAD_TIMEOUT_S
    while (number := cluster.leader()) < 0:
        if time.monotonic() > deadline_s:
            raise ClusterError(f"no feed leads within {LEAD_TIMEOUT_S:g} s")
        time.sleep(0.05)
    return cluster.feeds[number]


def _kill_leader(cluster: Cluster) -> str:
    feed = _leader(cluster)
    feed.kill()
    time.sleep(RESTART_AFTER_S)
    feed.start()
    return feed.name


def _hand_over(cluster: Cluster) -> str:
    feed = _leader(cluster)
    feed.terminate()
    code = feed.wait(20)
    if code:
        raise ClusterError(f"{feed.name} was asked to end and ended with {code}; its last words: {feed.last_words()}")
    feed.start()
    return feed.name


def _restart_redis(cluster: Cluster, after_s: float) -> str:
    cluster.redis.kill()
    time.sleep(after_s)
    cluster.redis.start()
    return f"empty, after {after_s:g} s"


def _pause(part: Part) -> str:
    part.pause()
    time.sleep(PAUSE_S)
    part.resume()
    return part.name


def faults(generator: random.Random, gateways: int) -> dict[str, Callable[[], Fault]]:
    """Return what makes each kind of fault, by name; gateways take turns, since one that came back last has no clients."""
    turn = itertools.count(generator.randrange(gateways))

    def gateway(name: str, make: Callable[[Cluster, int], str]) -> Fault:
        number = next(turn) % gateways
        return Fault(name, lambda cluster: make(cluster, number))

    return {
        "kill a gateway": lambda: gateway("kill a gateway", _kill_gateway),
        "kill the leading feed": lambda: Fault("kill the leading feed", _kill_leader),
        "restart Redis": lambda: Fault("restart Redis", lambda cluster: _restart_redis(cluster, RESTART_AFTER_S)),
        "drain a gateway": lambda: gateway("drain a gateway", _drain_gateway),
        "hand the lead over": lambda: Fault("hand the lead over", _hand_over),
        "stop the leading feed": lambda: Fault("stop the leading feed", lambda cluster: _pause(_leader(cluster))),
        "stop Redis": lambda: Fault("stop Redis", lambda cluster: _pause(cluster.redis)),
        "stop a gateway": lambda: gateway("stop a gateway", lambda cluster, number: _pause(cluster.gateways[number])),
    }


def long_faults() -> dict[str, Callable[[], Fault]]:
    """Return further kinds, by name, each of which takes most of a minute."""
    return {"take Redis away": lambda: Fault("take Redis away", lambda cluster: _restart_redis(cluster, AWAY_S))}


IN_TURN = ("kill a gateway", "kill the leading feed", "restart Redis", "drain a gateway")
"""What a cluster is put through first of all."""
