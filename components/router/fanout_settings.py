"""How a realm's fan-out is set up: the ``fanout`` entry of the gateway component's ``extra`` in the node's configuration."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from components.core.entries import InvalidEntry, checked, mapping
from components.core.outbox_settings import InvalidOutboxSettings, OutboxSettings
from components.core.rates import DEFAULT_RATES, InvalidRates, Rate, parse_rates
from components.core.replay import ReplaySettings
from components.router.engine.blocked import HoldLimits
from components.router.engine.fanout import DEFAULT_WINDOW_S

MIN_SEND_BUFFER_BYTES = 4096

KEYS = {
    "window_ms": "Events are gathered for so long under load; a lone one is not delayed. 0 to 100; 0 writes each at once, at "
    "many times the cost.",
    "hold_ms": "A blocked session's events wait so long before they are merged. 0 to 10,000; 0: at once.",
    "send_buffer_bytes": "`SO_SNDBUF` of each TCP connection: what the kernel may hide, and with it how old prices may be that "
    "a slow client reads. From 4,096; `null` leaves it to the system.",
    "rates": "At which ticks may be subscribed to: `every_<N>ms` or `every_<N>s` from 10 ms to an hour; `[]` for none. One "
    "costs something per trade while somebody is, and nothing while nobody is.",
    "snapshot_max_age": "Seconds; `get_retained` brings no older event. `null`: no limit.",
    "max_bytes": "Bound of one session's outbox, and of what is held before: payloads, topics and overhead together.",
    "stall_timeout": "Seconds after which a session that stays blocked is closed.",
    "policies": "By topic prefix, of which the longest wins, `{policy: …}`, and with `drop_oldest` a `depth`. What none names "
    "is `conflate`.",
    "replay": "What is kept for clients that come back; the oldest goes first.",
}
"""What may be set, and what it means, in Markdown: the reference is made of it."""


class FanOutSettingsError(ValueError):
    """An entry is unknown or impossible; the text is one line for the operator."""


@dataclass(frozen=True, slots=True)
class FanOutSettings:
    """Settings of one realm's fan-out and of the connections of its worker."""

    window_s: float = DEFAULT_WINDOW_S
    """How long events are gathered under load. 0 writes each at once, at many times the cost."""

    hold: HoldLimits = field(default_factory=HoldLimits)
    """How long and how much is kept for blocked sessions before it is merged; as many bytes as an outbox may have."""

    send_buffer_bytes: int | None = 262_144
    """SO_SNDBUF of each TCP connection; more hides more stale prices in the kernel. ``None`` leaves it to the system."""

    rates: tuple[Rate, ...] = DEFAULT_RATES
    """At which ticks may be subscribed to. One costs something per trade while somebody is, and nothing while nobody is."""

    snapshot_max_age_s: float | None = 3600.0
    """A subscription with ``get_retained`` is given no event that came longer ago; ``None`` means no limit."""

    outbox: OutboxSettings = field(default_factory=OutboxSettings)

    replay: ReplaySettings = field(default_factory=ReplaySettings)
    """What is kept for clients that come back."""

    @classmethod
    def from_extra(cls, extra: Mapping[str, Any]) -> FanOutSettings:
        """Return the settings in a component's ``extra``; what is left out has its default.

        Keys of ``fanout``: ``window_ms`` (0 to 100), ``hold_ms`` (0 to 10,000), ``send_buffer_bytes`` (at least 4,096, or
        null), ``rates`` (names such as ``every_100ms``; may be empty), ``snapshot_max_age`` (s, above 0, or null), ``replay``
        (``ReplaySettings``), and the outbox's ``max_bytes``, which bounds what is held besides, ``stall_timeout`` and
        ``policies``.

        Raises:
            FanOutSettingsError: a key is unknown or a value impossible.
        """
        # Crossbar adds the folder of its configuration.
        given = {name: value for name, value in (extra or {}).items() if name != "cbdir"}
        values = _known(given, "extra", ("fanout",)).get("fanout") or {}
        if not isinstance(values, Mapping):
            raise FanOutSettingsError(f"fanout must be a mapping, was {values!r}")
        _known(values, "fanout", KEYS)
        rest = dict(values)
        window_s = _from_ms(rest.pop("window_ms", None), "window_ms", 100, cls().window_s)
        hold_s = _from_ms(rest.pop("hold_ms", None), "hold_ms", 10_000, cls().hold.hold_s)
        send_buffer_bytes = rest.pop("send_buffer_bytes", cls().send_buffer_bytes)
        if send_buffer_bytes is not None and (
            not isinstance(send_buffer_bytes, int)
            or isinstance(send_buffer_bytes, bool)
            or send_buffer_bytes < MIN_SEND_BUFFER_BYTES
        ):
            raise FanOutSettingsError(
                f"send_buffer_bytes must be null or a whole number >= {MIN_SEND_BUFFER_BYTES}, was {send_buffer_bytes!r}"
            )
        max_age = rest.pop("snapshot_max_age", cls().snapshot_max_age_s)
        if max_age is not None and (
            not isinstance(max_age, int | float) or isinstance(max_age, bool) or not (isfinite(max_age) and max_age > 0)
        ):
            raise FanOutSettingsError(f"snapshot_max_age must be null or a number of seconds > 0, was {max_age!r}")
        try:
            replay = checked(mapping(rest.pop("replay", None) or {}, "replay"), ReplaySettings, "replay")
            rates = parse_rates(rest.pop("rates")) if "rates" in rest else DEFAULT_RATES
            outbox = OutboxSettings.from_mapping(rest)
        except (InvalidEntry, InvalidRates, InvalidOutboxSettings) as error:
            raise FanOutSettingsError(str(error)) from error
        return cls(window_s, HoldLimits(hold_s, outbox.max_bytes), send_buffer_bytes, rates, max_age, outbox, replay)


def _known(values: Mapping[str, Any], where: str, names: Collection[str]) -> Mapping[str, Any]:
    unknown = [key for key in values if key not in names]
    if unknown:
        raise FanOutSettingsError(f"{where} has an unknown key {unknown[0]!r}; known are {', '.join(names)}")
    return values


def _from_ms(value: object, name: str, most: int, default_s: float) -> float:
    """Return milliseconds from 0 to ``most`` as seconds."""
    if value is None:
        return default_s
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= most:
        raise FanOutSettingsError(f"{name} must be a number from 0 to {most:,}, was {value!r}")
    return value / 1000
