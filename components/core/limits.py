"""What the clients of a realm may do at most: values of a gatekeeper's configuration, by role and tier. Pure.

Precedence: a limit in the token's tier, else in its role, else the realm's, else the default.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from components.core.entries import InvalidEntry, checked, mapping

Count = Annotated[int, Meta(ge=1, le=10**9)]
Bytes = Annotated[int, Meta(ge=1024, le=2**24)]
PerSecond = Annotated[float, Meta(gt=0, le=1e9)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
SecondsOrNone = Annotated[float, Meta(ge=0, le=86_400)]


Refusal = tuple[str, float]
"""The name and the value of the limit that forbids something."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits of a session. ``None``, in the configuration ``null``, means no limit; the names are those clients are told."""

    max_sessions: Count | None = 10_000
    """Of the realm; given for a role or tier, of that one besides."""

    max_sessions_per_authid: Count | None = 100
    """Of one ``sub``."""

    max_sessions_per_address: Count | None = 1_000
    """Of one client address, an IPv6 one by its /64."""

    max_subscriptions: Count | None = 5_000
    """Of one session, as is all that follows."""

    max_pattern_subscriptions: Count | None = 50
    """Prefixes and wildcards among them: each is looked at for every topic."""

    max_registrations: Count | None = 100
    """Procedures that a service has registered."""

    messages_per_s: PerSecond | None = 200.0
    """All that a client sends, pings and the frames of a long message included; more at once as ``messages_burst`` says."""

    messages_burst: Count = 2_000
    """So many at once; enough to subscribe to a thousand symbols and more after a reconnect."""

    publishes_per_s: PerSecond | None = 1_000.0
    """Publications, after ``publishes_burst`` at once."""

    publishes_burst: Count = 5_000
    """So many at once."""

    calls_per_s: PerSecond | None = 20.0
    """Calls, after ``calls_burst`` at once; over HTTP requests, of one ``sub``."""

    calls_burst: Count = 100
    """So many at once."""

    max_concurrent_calls: Count | None = 20
    """Calls that have not been answered."""

    max_message_bytes: Bytes = 65_536
    """Of one message that a client sends, decompressed; each connection may have one that is not complete in memory."""

    message_timeout: Seconds = 10.0
    """Seconds from a message's first byte to its last."""

    refusals_per_s: PerSecond = 5.0
    """Who is refused more often than that, after ``refusals_burst`` at once, is closed."""

    refusals_burst: Count = 100
    """So many at once."""

    queue_bytes: Bytes | None = None
    """Bound of the outbox of a session that does not read; ``null``: the fan-out's ``max_bytes``."""

    stall_timeout: Seconds | None = None
    """Seconds that a session may stay blocked; ``null``: the fan-out's ``stall_timeout``."""


SESSION_LIMITS = ("max_sessions", "max_sessions_per_authid", "max_sessions_per_address")
"""Those by which a join is refused."""

LIMIT_NAMES = (
    *SESSION_LIMITS,
    *("max_subscriptions", "max_pattern_subscriptions", "max_registrations", "max_concurrent_calls"),
    *("messages_per_s", "publishes_per_s", "calls_per_s", "max_message_bytes"),
)
"""The limits by which something is refused; the times end a connection instead, as does a message that is too long."""


class RealmOnly(msgspec.Struct, frozen=True):
    """What is given for a realm, and not for a role or tier."""

    authenticate_timeout: Seconds = 5.0
    """Seconds from HELLO to the join."""

    expiry_grace: SecondsOrNone = 5.0
    """Seconds that a session outlives its token: a renewal on its way is to arrive, and clocks differ."""


class RealmLimits:
    """The limits of a realm's sessions, and what comes before there is one."""

    def __init__(
        self,
        base: Limits,
        roles: Mapping[str, Mapping[str, Any]],
        tiers: Mapping[str, Mapping[str, Any]],
        authenticate_timeout_s: float,
        expiry_grace_s: float,
    ) -> None:
        self.base = base
        self.authenticate_timeout_s = authenticate_timeout_s
        """From HELLO to the join."""
        self.expiry_grace_s = expiry_grace_s
        """How long a session outlives its token: a renewal on its way is to arrive, and clocks differ."""
        self._roles = roles
        self._tiers = tiers
        self._known: dict[tuple[str | None, str | None], Limits] = {}

    @classmethod
    def from_mapping(cls, values: object, role_names: Collection[str] | None = None) -> RealmLimits:
        """Return the limits that a mapping such as YAML gives; what is left out has its default.

        Keys: the names of ``Limits``, ``authenticate_timeout`` and ``expiry_grace`` (s), and ``roles`` and ``tiers``, which map
        names to limits that differ. Only roles of ``role_names`` can be given, where that is.

        Raises:
            InvalidEntry: a key is unknown or a value impossible.
        """
        rest = dict(mapping(values, "limits"))
        roles = mapping(rest.pop("roles", {}), "limits.roles")
        tiers = mapping(rest.pop("tiers", {}), "limits.tiers")
        for name in roles:
            if role_names is not None and name not in role_names:
                raise InvalidEntry(
                    f"limits.roles has an unknown role {name!r}; known are {', '.join(sorted(role_names))}"
                )
        realm_only = checked(
            {name: rest.pop(name) for name in RealmOnly.__struct_fields__ if name in rest}, RealmOnly, "limits"
        )
        base = checked(rest, Limits, "limits")
        for kind, overrides in (("roles", roles), ("tiers", tiers)):
            for name, override in overrides.items():
                where = f"limits.{kind}.{name}"
                checked(mapping(override, where), Limits, where)
        return cls(base, roles, tiers, realm_only.authenticate_timeout, realm_only.expiry_grace)

    def of(self, role: str | None, tier: str | None) -> Limits:
        """Return the limits of a session."""
        key = (role if role in self._roles else None, tier if tier in self._tiers else None)
        limits = self._known.get(key)
        if limits is None:
            values = msgspec.structs.asdict(self.base)
            values.update(self._roles.get(key[0] or "", {}))
            values.update(self._tiers.get(key[1] or "", {}))
            limits = self._known[key] = msgspec.convert(values, Limits)
        return limits

    def group_of(self, role: str | None, tier: str | None) -> tuple[str, str] | None:
        """Return the role or tier whose own ``max_sessions`` bounds a session, beside the realm's; ``None`` if no such."""
        for kind, name, overrides in (("tier", tier, self._tiers), ("role", role, self._roles)):
            if name is not None and "max_sessions" in overrides.get(name, {}):
                return kind, name
        return None
