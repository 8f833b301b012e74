"""The log of a command that is a process of its own: to standard error, text or JSON, with the bounds of ``SafeLog``."""

from __future__ import annotations

import sys
from typing import Any

import txaio
from twisted.logger import FileLogObserver, formatTime, globalLogBeginner

from components.logs.event import Event, is_chatter
from components.logs.safe_log import MADE, SafeLog
from components.settings import LOG_JSON

LEVEL = "info"


class _StandardError:
    """Standard error as it is at the time: what shows a progress bar there puts itself before it."""

    def write(self, text: str) -> None:
        sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def begin_log(clock: Any, worker: str, form: str) -> None:
    """Log from here on; ``clock`` is the reactor, ``worker`` the command's name, ``form`` as ``Settings.log``."""
    # Only then does it know which framework's loggers it makes.
    txaio.use_twisted()
    txaio.set_global_log_level(LEVEL)
    observer: Any = FileLogObserver(_StandardError(), _line)  # type: ignore[arg-type]  # it writes and flushes, no more
    safe = SafeLog(observer, clock, worker if form == LOG_JSON else None)

    def observe(event: Event) -> None:
        if not is_chatter(event, LEVEL):
            safe(event)

    observers: Any = [observe]
    globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False)


def _line(event: Event) -> str:
    if event.get(MADE):
        return f"{event['line']}\n"
    return f"{formatTime(event.get('log_time'))} [{event.get('log_namespace', '')}] {event['line']}\n"
