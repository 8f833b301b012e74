"""What linked routers tell each other, and what a router makes of it: whose procedures it has, whose events it wants.

Only what services publish and register is told of, never the market: each router has that from its bus. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

from components.core.uri_rules import is_sound
from components.uris import SERVICES_PREFIX

MAX_OFFERS = 10_000
"""Procedures of one peer; what is beyond is not called from here."""

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
_Uri = Annotated[str, msgspec.Meta(max_length=200)]
_Version = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Offers(msgspec.Struct, frozen=True):
    """All procedures of services that are registered at a router."""

    node: _Text
    """Its name in the configuration."""

    instance: _Text
    """Random, of each start: who meets it again by another link sees that it is the same router."""

    version: _Version
    """How many changes there have been."""

    procedures: Annotated[tuple[_Uri, ...], msgspec.Meta(max_length=MAX_OFFERS)]


class Offered(msgspec.Struct, frozen=True):
    """One change: a procedure has come or gone."""

    version: _Version
    procedure: _Uri
    there: bool


Message = Offers | Offered


def read_offers(value: object) -> Offers:
    """Return what a peer has told. Raises ``ValueError`` when that is something else."""
    return msgspec.convert(value, Offers)


def read_offered(value: object) -> Offered:
    """Return what a peer has told. Raises ``ValueError`` when that is something else."""
    return msgspec.convert(value, Offered)


def builtins(told: Message) -> dict[str, Any]:
    """Return what is sent."""
    sent: dict[str, Any] = msgspec.to_builtins(told)
    return sent


def is_service_procedure(uri: str) -> bool:
    """Tell whether a procedure is one that is told of."""
    return uri.startswith(SERVICES_PREFIX) and is_sound(uri, "exact")


def service_prefix(uri: str) -> str | None:
    """Return ``services.quotes.`` of a subscription below it, pattern or not; ``None`` for one of something else.

    No client is granted a pattern that reaches into several services, so one subscription to this brings all that a router's
    clients want of a service, and nothing twice.
    """
    if not uri.startswith(SERVICES_PREFIX):
        return None
    name, dot, _ = uri.removeprefix(SERVICES_PREFIX).partition(".")
    return f"{SERVICES_PREFIX}{name}." if name and dot else None


@dataclass(slots=True)
class OwnOffers:
    """What is registered at this router by its own services."""

    node: str
    instance: str
    _callees: Counter[str] = field(default_factory=Counter)
    _version: int = 0

    def __contains__(self, procedure: str) -> bool:
        return procedure in self._callees

    def changed(self, procedure: str, change: int) -> Offered | None:
        """Count a callee in or out (1 or -1); return what peers are to be told."""
        before = self._callees[procedure]
        self._callees[procedure] += change
        after = self._callees[procedure]
        if after <= 0:
            del self._callees[procedure]
        if (before > 0) == (after > 0):
            return None
        self._version += 1
        return Offered(self._version, procedure, after > 0)

    def all(self) -> Offers:
        """Return what a peer that comes is told."""
        return Offers(self.node, self.instance, self._version, tuple(sorted(self._callees)[:MAX_OFFERS]))


@dataclass(slots=True)
class PeerOffers:
    """What one peer has, while the link to it is there."""

    procedures: set[str] = field(default_factory=set)
    left_out: int = 0
    """What the peer has told beyond the bound, or that is no procedure of a service."""
    _version: int | None = None
    _early: list[Offered] = field(default_factory=list)
    """What came before the whole; at most ``MAX_OFFERS``."""

    def begin(self, offers: Offers) -> set[str]:
        """Take all that there is; return it."""
        self._version = offers.version
        for procedure in offers.procedures:
            self._add(procedure)
        for offered in self._early:
            self.change(offered)
        self._early.clear()
        return set(self.procedures)

    def change(self, offered: Offered) -> str | None:
        """Take a change; return the procedure that has come or gone, ``None`` when nothing has changed."""
        if self._version is None:
            if len(self._early) < MAX_OFFERS:
                self._early.append(offered)
            else:
                self.left_out += 1
            return None
        if offered.version <= self._version:
            return None
        self._version = offered.version
        if not offered.there:
            known = offered.procedure in self.procedures
            self.procedures.discard(offered.procedure)
            return offered.procedure if known else None
        return offered.procedure if self._add(offered.procedure) else None

    def _add(self, procedure: str) -> bool:
        if not is_service_procedure(procedure) or len(self.procedures) >= MAX_OFFERS:
            self.left_out += 1
            return False
        if procedure in self.procedures:
            return False
        self.procedures.add(procedure)
        return True


@dataclass(slots=True)
class Directory:
    """Which peers have which procedures."""

    _peers: dict[str, list[str]] = field(default_factory=dict)

    def __contains__(self, procedure: str) -> bool:
        return procedure in self._peers

    def add(self, peer: str, procedure: str) -> None:
        """Take note that a peer has a procedure."""
        peers = self._peers.setdefault(procedure, [])
        if peer not in peers:
            peers.append(peer)

    def remove(self, peer: str, procedure: str) -> None:
        """Take note that it has not."""
        peers = self._peers.get(procedure, [])
        if peer in peers:
            peers.remove(peer)
        if not peers:
            self._peers.pop(procedure, None)

    def choose(self, procedure: str) -> str | None:
        """Return the peer whose turn it is to be called, ``None`` when nobody has the procedure."""
        peers = self._peers.get(procedure)
        if not peers:
            return None
        peers.append(peers.pop(0))
        return peers[-1]


@dataclass(slots=True)
class Interest:
    """Which services' events this router's clients want."""

    _subscriptions: Counter[str] = field(default_factory=Counter)

    def __contains__(self, prefix: str) -> bool:
        return prefix in self._subscriptions

    def all(self) -> Collection[str]:
        """Return the prefixes of all services that somebody follows."""
        return tuple(self._subscriptions)

    def changed(self, uri: str, change: int) -> str | None:
        """Count a subscription in or out (1 or -1); return the prefix of its service when that begins or ends to matter."""
        prefix = service_prefix(uri)
        if prefix is None:
            return None
        before = self._subscriptions[prefix]
        after = self._subscriptions[prefix] = before + change
        if after <= 0:
            del self._subscriptions[prefix]
        return prefix if (before > 0) != (after > 0) else None


def twin(instance: str, own: str, others: Mapping[str, str]) -> str | None:
    """Return who a peer is besides: ``this router itself`` or the name of another peer; ``None`` when it is only itself.

    ``others`` are the instances of the peers that are linked, by name.
    """
    if instance == own:
        return "this router itself"
    return next((name for name, known in others.items() if known == instance), None)
