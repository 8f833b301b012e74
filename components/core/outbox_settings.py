"""How much may wait for a session that does not read, and by which rule.

Pure values, checked when they are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from math import isfinite


class InvalidOutboxSettings(ValueError):
    """Limits of a queue that cannot be; the text is one line for the operator."""


class Policy(Enum):
    """What becomes of events that have to wait."""

    CONFLATE = "conflate"
    """One event per topic waits: trades are merged with exact figures, best prices keep the newest, each says ``merged``."""

    DROP_OLDEST = "drop_oldest"
    """The newest ``depth`` events per topic wait; the next one that is sent says how many were ``dropped``."""

    DISCONNECT = "disconnect"
    """None waits: the session is closed (``crosstick.close.queue_full``)."""


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """The policy of one topic prefix.

    Raises:
        InvalidOutboxSettings: ``depth`` without ``drop_oldest``, the other way round, or not above 0.
    """

    policy: Policy = Policy.CONFLATE
    depth: int | None = None
    """Events per key under ``drop_oldest``; ``None`` with the other policies."""

    def __post_init__(self) -> None:
        if self.policy is not Policy.DROP_OLDEST:
            if self.depth is not None:
                raise InvalidOutboxSettings(f"depth belongs to drop_oldest, policy was {self.policy.value!r}")
        elif self.depth is None:
            raise InvalidOutboxSettings("drop_oldest needs a depth, had none")
        elif not _is_whole(self.depth) or self.depth <= 0:
            raise InvalidOutboxSettings(f"depth must be a whole number > 0, was {self.depth!r}")


_UNNAMED = QueuePolicy()


@dataclass(frozen=True, slots=True)
class OutboxSettings:
    """Limits of every session's outbox in a realm.

    Raises:
        InvalidOutboxSettings: a value is impossible.
    """

    max_bytes: int = 1_000_000
    """Bound of one session's outbox, payloads, topics and overhead together. It costs up to that per blocked session."""

    stall_timeout_s: float = 10.0
    """A session that stays blocked longer is closed."""

    policies: tuple[tuple[str, QueuePolicy], ...] = ()
    """``(topic prefix, policy)``, kept with the longest prefix first; ``""`` is a prefix of every topic."""

    def __post_init__(self) -> None:
        if not _is_whole(self.max_bytes) or self.max_bytes <= 0:
            raise InvalidOutboxSettings(f"max_bytes must be a whole number > 0, was {self.max_bytes!r}")
        timeout = self.stall_timeout_s
        if not isinstance(timeout, int | float) or isinstance(timeout, bool) or not (isfinite(timeout) and timeout > 0):
            raise InvalidOutboxSettings(f"stall_timeout must be a number of seconds > 0, was {timeout!r}")
        object.__setattr__(self, "policies", tuple(sorted(self.policies, key=lambda item: -len(item[0]))))

    @classmethod
    def from_mapping(cls, values: object) -> OutboxSettings:
        """Return the settings in a mapping such as YAML gives; what is left out has its default.

        Keys: ``max_bytes``, ``stall_timeout`` (s), ``policies`` (topic prefix → ``{"policy": …, "depth": …}``).

        Raises:
            InvalidOutboxSettings: a key is unknown or a value impossible.
        """
        given = _known(values, "outbox", ("max_bytes", "stall_timeout", "policies"))
        policies = given.get("policies", {})
        if not isinstance(policies, Mapping) or not all(isinstance(prefix, str) for prefix in policies):
            raise InvalidOutboxSettings(f"policies must map topic prefixes to policies, was {policies!r}")
        return cls(
            given.get("max_bytes", cls().max_bytes),  # type: ignore[arg-type]
            given.get("stall_timeout", cls().stall_timeout_s),  # type: ignore[arg-type]
            tuple((prefix, _policy(prefix, value)) for prefix, value in policies.items()),
        )

    def policy_for(self, topic: str) -> QueuePolicy:
        """Return the policy of the longest prefix that the topic begins with."""
        for prefix, policy in self.policies:
            if topic.startswith(prefix):
                return policy
        return _UNNAMED


def _policy(prefix: str, value: object) -> QueuePolicy:
    given = _known(value, f"policies[{prefix!r}]", ("policy", "depth"))
    name = given.get("policy")
    try:
        policy = Policy(name)
    except ValueError:
        raise InvalidOutboxSettings(
            f"policies[{prefix!r}]: policy must be conflate, drop_oldest or disconnect, was {name!r}"
        ) from None
    try:
        return QueuePolicy(policy, given.get("depth"))  # type: ignore[arg-type]
    except InvalidOutboxSettings as error:
        raise InvalidOutboxSettings(f"policies[{prefix!r}]: {error}") from None


def _known(value: object, where: str, names: tuple[str, ...]) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise InvalidOutboxSettings(f"{where} must be a mapping, was {value!r}")
    unknown = [key for key in value if key not in names]
    if unknown:
        raise InvalidOutboxSettings(f"{where} has an unknown key {unknown[0]!r}; known are {', '.join(names)}")
    return value


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
