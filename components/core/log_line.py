"""A line of the log as JSON: one object, the same fields in the same order, whatever was logged. Pure.

What clients have a part in is made fit as in a log for people (``log_text``): no control characters, no tokens, of bounded
length. All is ASCII, so that no terminal's or file's encoding has a say.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from components.core.log_text import clean_text

MAX_MESSAGE_CHARS = 500
MAX_TRACEBACK_CHARS = 6000
MAX_FIELD_CHARS = 300
MAX_FIELDS = 20
MAX_ITEMS = 20
"""Of a field that is a list; what is more is left out, and an item says how many."""

OWN_FIELDS = ("ts", "level", "worker", "pid", "component", "message", "traceback")
"""An event's field of such a name has a ``_`` behind it."""

_OURS = "components."
_CROSSBARS = "components.node_controller."
"""Crossbar's controller logs by the name of the class that is made of it."""


def json_log_line(
    *,
    time_s: float,
    level: str,
    worker: str,
    pid: int,
    namespace: str,
    message: str,
    traceback: str = "",
    fields: Mapping[str, Any] | None = None,
) -> str:
    """Return one line without its end; ``time_s`` is seconds since 1970, ``namespace`` the logger's."""
    line: dict[str, Any] = {
        "ts": datetime.fromtimestamp(time_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": level,
        "worker": worker,
        "pid": pid,
        "component": namespace.removeprefix(_OURS),
        "message": clean_text(message.strip(), MAX_MESSAGE_CHARS),
    }
    if traceback:
        line["traceback"] = clean_text(traceback, MAX_TRACEBACK_CHARS, keep="\n")
    for name, value in list((fields or {}).items())[:MAX_FIELDS]:
        line[f"{name}_" if name in OWN_FIELDS else name] = _plain(value)
    return json.dumps(line, separators=(",", ":"))


def is_own(namespace: str) -> bool:
    """Tell whether a logger is Crosstick's own, and no library's."""
    return namespace.startswith(_OURS) and not namespace.startswith(_CROSSBARS)


def event_fields(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event's own fields: of lines that Crosstick logs, those that its log calls name.

    Those of libraries are objects of theirs, and what clients said, and are in the message where they are wanted.
    """
    if not is_own(str(event.get("log_namespace", ""))):
        return {}
    return {
        name: value
        for name, value in event.items()
        if not name.startswith(("log_", "cb_")) and name not in ("failure", "tb")
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple | set | frozenset):
        items = [_plain(item) for item in list(value)[:MAX_ITEMS]]
        return [*items, f"… ({len(value) - MAX_ITEMS} more)"] if len(value) > MAX_ITEMS else items
    return clean_text(str(value), MAX_FIELD_CHARS)
