"""A process's log, in which others have a part: what is logged of theirs can do no harm, and not become too much.

Of the seam: Crossbar's workers log by one observer that writes JSON for the node's controller, which prints what it is told.
``install`` puts itself before that one. Written against crossbar 26.10.1; ``tests/router/test_safe_log.py`` fails loudly when
an upgrade moves it. Where the log is to be JSON the worker makes the line, and the controller prints it as it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from string import Formatter
from typing import Any

import txaio
from twisted.logger import LogLevel, globalLogPublisher

from components.core.token_bucket import TokenBucket
from components.logs.event import Event, is_chatter, is_logged, json_line, text_line
from components.settings import LOG_JSON, LOG_VARIABLE

Observer = Callable[[Event], None]

LINES_PER_S = 10.0
LINES_BURST = 100
"""Of lines that are alike: more are counted instead."""

MAX_KINDS = 500
"""Of lines whose number is counted each by itself; all others count as one kind."""

REPORT_AFTER_S = 5.0

MADE = "crosstick_line"
"""In an event: that its text is a whole line of JSON."""

_LOST = "Lost connection to component '{id}' uncleanly"
"""What a container says when its component's router has ended before it, by its format."""

_CROSSBARS_OBSERVER = "make_JSON_observer.<locals>._make_json"
_NAMESPACE = "components.logs"


class CrossbarMoved(RuntimeError):
    """Crossbar's observer is not where it was."""


class _Kind:
    __slots__ = ("bucket", "left_out")

    def __init__(self, now_s: float) -> None:
        self.bucket = TokenBucket(LINES_PER_S, LINES_BURST, now_s)
        self.left_out = 0


class SafeLog:
    """An observer that hands another one events which say the same and can be printed."""

    def __init__(self, observer: Observer, clock: Any, worker: str | None = None) -> None:
        """``clock`` has Twisted's ``seconds`` and ``callLater``; with a ``worker``'s name lines are JSON, and without what
        libraries say of their ordinary doings; else text.
        """
        self._observer = observer
        self._clock = clock
        self._worker = worker
        self._kinds: dict[object, _Kind] = {}
        self._report: Any = None
        self._expects_end = False

    def expect_end(self) -> None:
        """Take it for ordinary from here on that the router goes; may be called by a signal's handler."""
        self._expects_end = True

    def __call__(self, event: Event) -> None:
        """Log an event, or count it."""
        wanted = txaio.get_global_log_level()
        if not is_logged(event, wanted) or (self._worker is not None and is_chatter(event, wanted)):
            return
        if self._expects_end and event.get("log_format") == _LOST:
            return
        level = event.get("log_level", LogLevel.info)
        kind = self._kind((event.get("log_namespace"), level.name, event.get("log_format")))
        if kind.bucket.take(self._clock.seconds()):
            self._log(event, text_line(event) if self._worker is None else json_line(event, self._worker))
        else:
            kind.left_out += 1
            if self._report is None:
                self._report = self._clock.callLater(REPORT_AFTER_S, self._tell_left_out)

    def _kind(self, key: object) -> _Kind:
        kind = self._kinds.get(key)
        if kind is None:
            key = key if len(self._kinds) < MAX_KINDS else None
            kind = self._kinds.setdefault(key, _Kind(self._clock.seconds()))
        return kind

    def _log(self, event: Event, line: str) -> None:
        made = {
            "log_level": event.get("log_level", LogLevel.info),
            "log_namespace": event.get("log_namespace", ""),
            "log_time": event.get("log_time"),
            "log_format": "{line}",
            "line": line,
        }
        if self._worker is not None:
            made[MADE] = True
        self._observer(made)

    def _tell_left_out(self) -> None:
        self._report = None
        for key, kind in list(self._kinds.items()):
            if kind.left_out:
                namespace, _, form = key if isinstance(key, tuple) else (_NAMESPACE, "", "of other kinds")
                event = {
                    "log_level": LogLevel.warn,
                    "log_namespace": namespace,
                    "log_format": "{left_out} more lines were left out that are like: {like}",
                    "left_out": kind.left_out,
                    "like": _readable(form),
                }
                kind.left_out = 0
                self._log(event, text_line(event) if self._worker is None else json_line(event, self._worker))


def _readable(form: str | None) -> str:
    """Return what lines of a format have in common, with an ellipsis for what differs."""
    if not form:
        return "without a text"
    try:
        parts = [f"{literal}…" if field is not None else literal for literal, field, _, _ in Formatter().parse(form)]
    except ValueError:
        # No format, but a text that has braces.
        return form
    return "".join(parts)


def install(clock: Any) -> SafeLog:
    """Put a ``SafeLog`` before the worker's observer, in the form that ``CROSSTICK_LOG`` says.

    Raises:
        CrossbarMoved: there is none.
    """
    safe = install_if_crossbar_logs(clock)
    if safe is None:
        raise CrossbarMoved("the worker does not log by Crossbar's JSON observer")
    return safe


def install_if_crossbar_logs(clock: Any) -> SafeLog | None:
    """Do the same for a component that no client speaks to, and that may live without Crossbar; return ``None`` then."""
    observers: list[Any] = globalLogPublisher._observers
    for place, observer in enumerate(observers):
        if isinstance(observer, SafeLog):
            return observer
        if getattr(observer, "__qualname__", "") == _CROSSBARS_OBSERVER:
            # Whether the variable's value is a possible one is found out where settings are read, right after this.
            worker = _workers_name() if os.environ.get(LOG_VARIABLE) == LOG_JSON else None
            safe = observers[place] = SafeLog(observer, clock, worker)
            return safe
    return None


def _workers_name() -> str:
    """Return the worker's id in the node's configuration, which Crossbar gives it on its command line."""
    words = sys.argv
    return words[words.index("--worker") + 1] if "--worker" in words[:-1] else "worker"
