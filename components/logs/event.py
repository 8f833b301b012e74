"""A Twisted log event as a line: text or JSON. Takes events, returns texts; keeps nothing."""

from __future__ import annotations

import os
import time
from typing import Any

from twisted.logger import LogLevel, formatEvent

from components.core.log_line import event_fields, is_own, json_log_line
from components.core.log_text import log_text

Event = dict[str, Any]

LEVELS = ("critical", "error", "warn", "info", "debug", "trace")
"""As Crossbar's ``--loglevel``, the gravest first."""

MAX_LINE_CHARS = 500
MAX_TRACEBACK_CHARS = 6000

_WORKER_ENDED = "Node worker {worker.id} ended"
"""The one line of Crossbar's at level info that is wanted."""

_ORDINARY = {
    "Controller received SIGINT [signal={signal}]: shutting down node [shutdown_was_clean={shutdown_was_clean}] ..",
    "Native worker received SIGTERM - shutting down ..",
}
"""Of which Crossbar warns though somebody has asked for it; by their formats."""

_PRINTED = "{log_io}"
"""The format of what a program prints where standard output is logged, as it is in Crossbar's controller."""

_TRACEBACK = "Traceback (most recent call last):"


def is_logged(event: Event, level: str) -> bool:
    """Tell whether an event is as grave as ``level``."""
    name = _level(event).name
    return name in LEVELS and LEVELS.index(name) <= LEVELS.index(level)


def _level(event: Event) -> Any:
    """Return how grave an event is, whatever Crossbar takes it for."""
    if event.get("log_format") in _ORDINARY and not is_own(str(event.get("log_namespace", ""))):
        return LogLevel.info
    return event.get("log_level", LogLevel.info)


def is_printed(event: Event) -> bool:
    """Tell whether an event is a text that the program has printed, such as why Crossbar's command does not start a node."""
    return event.get("log_format") == _PRINTED and bool(str(event.get("log_io", "")).strip())


def is_chatter(event: Event, level: str) -> bool:
    """Tell whether an event is a library's of its ordinary doings, which a log at ``level`` can do without.

    Crossbar alone says some two hundred such lines while a node starts.
    """
    if _level(event) > LogLevel.info or level in ("debug", "trace"):
        return False
    namespace = str(event.get("log_namespace", ""))
    if (event.get("log_format") or "").startswith(_WORKER_ENDED):
        return False
    return not is_own(namespace)


def text_line(event: Event) -> str:
    """Return an event's text, which has several lines where there is a traceback."""
    text = formatEvent(event)
    failure = event.get("log_failure")
    if failure is None:
        return log_text(text, MAX_TRACEBACK_CHARS if "tb" in event else MAX_LINE_CHARS)
    return log_text(f"{text[:MAX_LINE_CHARS]}\n{failure.getTraceback()}", MAX_TRACEBACK_CHARS)


def json_line(event: Event, worker: str, pid: int | None = None) -> str:
    """Return an event as one JSON object; a traceback is a field of it, wherever the event has it."""
    message, failure = formatEvent(event), event.get("log_failure")
    traceback = "" if failure is None else failure.getTraceback()
    begin = message.find(_TRACEBACK)
    if begin >= 0:
        # Crossbar's own lines have it in their text.
        message, traceback = message[:begin].rstrip(), traceback or message[begin:]
    return json_log_line(
        time_s=event.get("log_time") or time.time(),
        level=event.get("log_level", LogLevel.info).name,
        worker=worker,
        pid=os.getpid() if pid is None else pid,
        namespace=event.get("log_namespace") or "",
        message=message,
        traceback=traceback,
        fields=event_fields(event),
    )
