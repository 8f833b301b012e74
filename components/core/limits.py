"""What the clients of a realm may do at most: values of a gatekeeper's configuration, by role and tier. Pure.

Precedence: a limit in the token's tier, else in its role, else the realm's, else the default.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=1, le=10**9)]
Bytes = Annotated[int, Meta(ge=1024, le=2**24)]
PerSecond = Annotated[float, Meta(gt=0, le=1e9)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
SecondsOrNone = Annotated[float, Meta(ge=0, le=86_400)]


Refusal = tuple[str, float]
"""The name and the value of the limit that forbids something."""


class InvalidLimits(ValueError):
    """A limit is unknown or has an impossible value; the text is one line for the operator."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits of a session. ``None``, in the configuration ``null``, means no limit; the names are those clients are told."""

    max_sessions: Count | None = 10_000
    """Of all of the role or tier for which it is given; the realm's own bounds all together."""

    max_sessions_per_authid: Count | None = 100
    max_sessions_per_address: Count | None = 1_000
    """By the client's address, an IPv6 one by its /64."""

    max_subscriptions: Count | None = 5_000
    max_registrations: Count | None = 100
    messages_per_s: PerSecond | None = 200.0
    """What a client sends, frames that carry no message of their own included; more at once as ``messages_burst`` says."""

    messages_burst: Count = 10_000
    """Enough to subscribe to everything after a reconnect."""

    publishes_per_s: PerSecond | None = 1_000.0
    publishes_burst: Count = 5_000
    calls_per_s: PerSecond | None = 20.0
    calls_burst: Count = 100
    max_concurrent_calls: Count | None = 20
    """Calls of a session that have not been answered."""

    max_message_bytes: Bytes = 65_536
    """Of one message that a client sends, decompressed; each connection may have one that is not complete in memory."""

    message_timeout: Seconds = 10.0
    """From the first byte of a message to its last."""

    refusals_per_s: PerSecond = 5.0
    """A session that is refused more often than that, ``refusals_burst`` times at once, is closed."""

    refusals_burst: Count = 100
    queue_bytes: Bytes | None = None
    """Bound of the outbox of a session that does not read; ``None``: what the realm's fan-out says (``max_bytes``)."""

    stall_timeout: Seconds | None = None
    """How long a session may stay blocked; ``None``: what the realm's fan-out says."""


LIMIT_NAMES = (
    *("max_sessions", "max_sessions_per_authid", "max_sessions_per_address"),
    *("max_subscriptions", "max_registrations", "max_concurrent_calls"),
    *("messages_per_s", "publishes_per_s", "calls_per_s"),
)
"""The limits by which something is refused; those of sizes and times end a connection instead."""


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
            InvalidLimits: a key is unknown or a value impossible.
        """
        rest = dict(_mapping(values, "limits"))
        roles = _mapping(rest.pop("roles", {}), "limits.roles")
        tiers = _mapping(rest.pop("tiers", {}), "limits.tiers")
        for name in roles:
            if role_names is not None and name not in role_names:
                raise InvalidLimits(
                    f"limits.roles has an unknown role {name!r}; known are {', '.join(sorted(role_names))}"
                )
        timeout = _checked(
            {"t": rest.pop("authenticate_timeout", 5.0)}, dict[str, Seconds], "limits.authenticate_timeout"
        )
        grace = _checked({"t": rest.pop("expiry_grace", 5.0)}, dict[str, SecondsOrNone], "limits.expiry_grace")
        base = _limits(rest, "limits")
        for kind, overrides in (("roles", roles), ("tiers", tiers)):
            for name, override in overrides.items():
                where = f"limits.{kind}.{name}"
                _limits(_mapping(override, where), where)
        return cls(base, roles, tiers, timeout["t"], grace["t"])

    def of(self, role: str | None, tier: str | None) -> Limits:
        """Return the limits of a session."""
        key = (role if role in self._roles else None, tier if tier in self._tiers else None)
        limits = self._known.get(key)
        if limits is None:
            values = msgspec.structs.asdict(self.base)
            values.update(self._roles.get(key[0] or "", {}))
            values.update(self._tiers.get(key[1] or "", {}))
            limits = self._known[key] = _limits(values, "limits")
        return limits

    def group_of(self, role: str | None, tier: str | None) -> tuple[str, str] | None:
        """Return the role or tier whose own ``max_sessions`` bounds a session, beside the realm's; ``None`` if no such."""
        for kind, name, overrides in (("tier", tier, self._tiers), ("role", role, self._roles)):
            if name is not None and "max_sessions" in overrides.get(name, {}):
                return kind, name
        return None


def _limits(values: Mapping[str, Any], where: str) -> Limits:
    unknown = [name for name in values if name not in Limits.__struct_fields__]
    if unknown:
        known = ", ".join(Limits.__struct_fields__)
        raise InvalidLimits(f"{where} has an unknown key {unknown[0]!r}; known are {known}")
    for name, value in values.items():
        # One by one, so that the line says which value it was.
        _checked({name: value}, Limits, f"{where}.{name}", value)
    limits: Limits = msgspec.convert(dict(values), Limits)
    return limits


def _checked(value: object, kind: Any, where: str, shown: object = None) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        rule = str(error).split(" - at ")[0]
        if shown is None and isinstance(value, dict):
            shown = next(iter(value.values()))
        raise InvalidLimits(f"{where}: {rule[0].lower()}{rule[1:]}, was {shown!r}") from None


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise InvalidLimits(f"{where} must be a mapping, was {value!r}")
    return value
