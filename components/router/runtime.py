"""What the parts of one router worker share: the node's environment and how far the start got.

Crossbar makes authenticators, components and web resources on its own, each without a way to the others; they meet here.
Nobody is let in before a component has put the runtime in place.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from components.bus import BusReader
from components.core.closing import EndedBy
from components.core.fault_log import FaultLog
from components.core.market import Market
from components.core.rates import Rate
from components.core.replay import TickHistory
from components.core.seats import Seats
from components.environment import NodeEnvironment
from components.router.access.live_tokens import LiveTokens
from components.router.bridge.desk import BridgeDesk
from components.router.feed_symbols.ways import WayToFeeds
from components.router.figures import Figures
from components.router.siblings.asking import Siblings
from components.tokens import TokenAuthority


@dataclass(slots=True)
class LinkCounters:
    """How a link to another router stands, and what it has carried."""

    up: bool = False
    losses: int = 0
    """How often it was up and was lost."""

    calls: int = 0
    """Calls of this router's clients that were handed to it."""

    refused_calls: int = 0
    """Calls that were refused since as many as may be were waiting for answers."""

    events: int = 0
    """Services' events that came by it."""


@dataclass(slots=True)
class Runtime:
    """One per router worker."""

    environment: NodeEnvironment
    readiness: Callable[[], list[str]]
    """Returns why the node is not ready, one line each; empty when it is."""

    history: TickHistory
    """What clients that come back are given."""

    degraded: Callable[[], list[str]] = list
    """Returns what is wrong and does not keep clients from being served, one line each."""

    bus: BusReader | None = None
    """Brings what feeds write; ``None`` before the gateway has joined."""

    refused_tickets: Counter[str] = field(default_factory=Counter)
    """By cause. The causes are ``TokenError`` texts, a fixed few."""

    disconnects: Counter[EndedBy] = field(default_factory=Counter)
    """Connections of clients that have ended, or that the gateway has given up, by why."""

    violations: int = 0
    """WebSocket connections that were failed since what came broke WebSocket's or WAMP's rules, or was too long."""

    reconnect_attempts: int = 0
    """HELLOs of clients that say that they have been here before, or have tried to."""

    resumed_joins: int = 0
    """Joins after such a HELLO."""

    ping_failures: int = 0
    """Connections that were dropped since they did not answer a ping."""

    link_authority: TokenAuthority | None = None
    """Over the tokens of linked routers; ``None``: none may join."""

    links: dict[str, LinkCounters] = field(default_factory=dict)
    """By the peer's name in the configuration."""

    market: Market | None = None
    """What is known of the market; ``None`` before the gateway has joined."""

    way_to_feeds: WayToFeeds | None = None
    """By which operators change what feeds follow; ``None`` before the gateway has joined."""

    rates: tuple[Rate, ...] = ()
    """At which ticks can be had, beside all of them."""

    followers: Callable[[str], int] = lambda topic: 0
    """How many sessions are subscribed to a topic itself; those of patterns are not counted."""

    figures: Figures | None = None
    """What is measured; ``None`` before the gateway has joined."""

    faults: FaultLog = field(default_factory=lambda: FaultLog(lambda: int(time.time() * 1000), starting=True))
    """What is wrong with this worker, and what went wrong lately."""


_runtime: Runtime | None = None
_gatekeepers: dict[str, Seats] = {}
_live_tokens: LiveTokens | None = None
_why_tokens_wait: Callable[[], str] | None = None
_drains = False
_bridge: BridgeDesk | None = None
_siblings = Siblings()


def install(runtime: Runtime) -> None:
    """Put the worker's runtime in place."""
    global _runtime
    _runtime = runtime


def current() -> Runtime | None:
    """Return the worker's runtime, ``None`` before it is in place."""
    return _runtime


def add_gatekeeper(realm: str, seats: Seats) -> None:
    """Put a realm's limits in place.

    Raises:
        ValueError: the realm has some.
    """
    if realm in _gatekeepers:
        raise ValueError("the realm has a gatekeeper already")
    _gatekeepers[realm] = seats


def await_live_tokens(why: Callable[[], str]) -> None:
    """Put down that what is revoked is not known yet; ``why`` tells why not, in a line."""
    global _why_tokens_wait
    _why_tokens_wait = why


def install_live_tokens(tokens: LiveTokens) -> None:
    """Put in place what sessions live by, and what is revoked."""
    global _live_tokens
    _live_tokens = tokens


def live_tokens() -> LiveTokens | None:
    """Return what sessions live by, and what is revoked; ``None`` before the first gatekeeper is in place."""
    return _live_tokens


def gatekeeper(realm: str) -> Seats | None:
    """Return a realm's limits and who is in; ``None`` for a realm that nobody keeps."""
    return _gatekeepers.get(realm)


def closed_because(realm: str) -> str | None:
    """Return why a realm is closed to clients, in a line; ``None`` where it is not."""
    if realm in _gatekeepers:
        return None
    if _live_tokens is None and _why_tokens_wait is not None:
        return f"realm {realm} is closed to clients until what is revoked is known: {_why_tokens_wait()}"
    return f"realm {realm} has no gatekeeper, and is closed to clients"


def gatekeepers() -> dict[str, Seats]:
    """Return what the worker's realms have, by realm."""
    return dict(_gatekeepers)


def install_bridge(desk: BridgeDesk | None) -> None:
    """Put in place what signed HTTP requests need; ``None`` takes it away."""
    global _bridge
    _bridge = desk


def bridge() -> BridgeDesk | None:
    """Return what signed HTTP requests need; ``None`` where there is no bridge, or it has not joined."""
    return _bridge


def install_siblings(siblings: Siblings) -> None:
    """Put in place which router workers the node has."""
    global _siblings
    _siblings = siblings


def siblings() -> Siblings:
    """Return the router workers of the node; without configuration there is this one alone."""
    return _siblings


def begin_drain() -> None:
    """Put down that the worker's clients are being sent elsewhere."""
    global _drains
    _drains = True


def drains() -> bool:
    """Tell whether the worker's clients are being sent elsewhere."""
    return _drains
