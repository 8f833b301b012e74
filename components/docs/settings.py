"""The tables of settings in ``.crossbar/config.yaml``: limits, fan-out, listeners, drain."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from components.core.limits import Limits, RealmOnly
from components.core.outbox_settings import Policy
from components.core.replay import ReplaySettings
from components.docs.pages import table
from components.docs.source import described, fields
from components.router.drain.settings import DrainSettings
from components.router.fanout_settings import KEYS, FanOutSettings
from components.router.listeners.settings import ListenerSettings

_REASON = 10**9
_HEAD = ["name", "default", "may be", "meaning"]


def limits() -> str:
    """Return a session's limits."""
    return _of_struct(Limits)


def realm_limits() -> str:
    """Return what is given for a realm alone."""
    return _of_struct(RealmOnly)


def replay() -> str:
    """Return the bounds of what is kept for clients that come back."""
    return _of_struct(ReplaySettings)


def listeners() -> str:
    """Return a listener's settings."""
    return _of_struct(ListenerSettings)


def drain() -> str:
    """Return how a node leaves."""
    return _of_struct(DrainSettings)


def fanout() -> str:
    """Return the fan-out's settings."""
    defaults = FanOutSettings()
    values: dict[str, object] = {
        "window_ms": defaults.window_s * 1000,
        "hold_ms": defaults.hold.hold_s * 1000,
        "send_buffer_bytes": defaults.send_buffer_bytes,
        "rates": [rate.name for rate in defaults.rates],
        "snapshot_max_age": defaults.snapshot_max_age_s,
        "max_bytes": defaults.outbox.max_bytes,
        "stall_timeout": defaults.outbox.stall_timeout_s,
    }
    rows = [[f"`{name}`", f"`{_value(values[name])}`" if name in values else "", text] for name, text in KEYS.items()]
    return table(["name", "default", "meaning"], rows)


def outbox_policies() -> str:
    """Return what may become of events that have to wait: a list, since these are no names of settings."""
    rows = described([policy.name for policy in Policy], fields(Policy), "components.core.outbox_settings.Policy")
    return "".join(f"- `{Policy[name].value}`: {text}\n" for name, text in rows)


def _of_struct(struct: type[msgspec.Struct]) -> str:
    hints = get_type_hints(struct, include_extras=True)
    docs = described(list(struct.__struct_fields__), fields(struct), f"{struct.__module__}.{struct.__name__}")
    defaults = struct()
    return table(
        _HEAD,
        [[f"`{name}`", f"`{_value(getattr(defaults, name))}`", _allowed(hints[name]), text] for name, text in docs],
    )


def _value(value: object) -> str:
    """Return a value as it stands in YAML."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:g}" if value < 1e6 else f"{value:.0f}"
    if isinstance(value, str):
        return f'"{value}"' if value.replace(".", "").isdigit() else value
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_value, value))}]"
    return str(value)


def _allowed(hint: object) -> str:
    return " or ".join(_kinds(hint))


def _kinds(hint: Any) -> Iterator[str]:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        for kind in get_args(hint):
            yield from _kinds(kind)
    elif origin is Literal:
        yield from (f"`{_value(value)}`" for value in get_args(hint))
    elif origin is Annotated:
        kind, *notes = get_args(hint)
        number = "a whole number" if kind is int else "a number"
        yield f"{number} {' '.join(_bounds(note) for note in notes if isinstance(note, Meta))}"
    elif origin is tuple:
        yield "a list"
    else:
        yield {type(None): "`null`", bool: "`true` or `false`"}[hint]


def _bounds(meta: Meta) -> str:
    least = f"above {meta.gt:,}" if meta.gt is not None else f"from {meta.ge:,}"
    # What is only there so that no number is beyond all reason says nothing to who reads.
    return least if meta.le is None or meta.le >= _REASON else f"{least} to {meta.le:,.0f}"
