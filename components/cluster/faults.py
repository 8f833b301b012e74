"""Faults of a cluster, by name; each leaves the cluster whole: what supervises the parts starts them anew."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from components.cluster.topology import Cluster, ClusterError, Part
from components.core.faults import Fault as Name

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

    shown_as: str = ""
    """The name that it has on the dashboard (``components.core.faults``)."""


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
    cluster.wait_until_can_lead(feed)
    return feed.name


def _hand_over(cluster: Cluster) -> str:
    feed = _leader(cluster)
    feed.terminate()
    code = feed.wait(20)
    if code:
        raise ClusterError(f"{feed.name} was asked to end and ended with {code}; its last words: {feed.last_words()}")
    feed.start()
    cluster.wait_until_can_lead(feed)
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

    def gateway(name: str, shown_as: Name, make: Callable[[Cluster, int], str]) -> Fault:
        number = next(turn) % gateways
        return Fault(name, lambda cluster: make(cluster, number), shown_as.value)

    def of(name: str, shown_as: Name, make: Callable[[Cluster], str]) -> Callable[[], Fault]:
        return lambda: Fault(name, make, shown_as.value)

    kinds = [
        of("kill the leading feed", Name.FEED_DOWN, _kill_leader),
        of("restart Redis", Name.BUS_AWAY, lambda cluster: _restart_redis(cluster, RESTART_AFTER_S)),
        of("hand the lead over", Name.FEED_TOOK_OVER, _hand_over),
        of("stop the leading feed", Name.FEED_DOWN, lambda cluster: _pause(_leader(cluster))),
        of("stop Redis", Name.BUS_AWAY, lambda cluster: _pause(cluster.redis)),
    ]
    return {
        "kill a gateway": lambda: gateway("kill a gateway", Name.GATEWAY_DOWN, _kill_gateway),
        "drain a gateway": lambda: gateway("drain a gateway", Name.NODE_DRAINING, _drain_gateway),
        "stop a gateway": lambda: gateway(
            "stop a gateway", Name.GATEWAY_DOWN, lambda cluster, number: _pause(cluster.gateways[number])
        ),
    } | {kind().name: kind for kind in kinds}


def long_faults() -> dict[str, Callable[[], Fault]]:
    """Return further kinds, by name, each of which takes most of a minute."""
    name = "take Redis away"
    return {name: lambda: Fault(name, lambda cluster: _restart_redis(cluster, AWAY_S), Name.BUS_AWAY.value)}


IN_TURN = ("kill a gateway", "kill the leading feed", "restart Redis", "drain a gateway")
"""What a cluster is put through first of all."""
