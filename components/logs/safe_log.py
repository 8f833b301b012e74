"""The log of a router worker, in which clients have a part: what is logged of theirs can do no harm, and not become too much.

Of the seam: Crossbar's workers log by one observer that writes JSON for the node's controller, which prints what it is told.
``install`` puts itself before that one. Written against crossbar 26.10.1; ``tests/router/test_safe_log.py`` fails loudly when
an upgrade moves it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import LogLevel, formatEvent, globalLogPublisher
from txaio import get_global_log_level

from components.core.log_text import log_text
from components.core.token_bucket import TokenBucket

Event = dict[str, Any]
Observer = Callable[[Event], None]

MAX_LINE_CHARS = 500
MAX_TRACEBACK_CHARS = 6000
LINES_PER_S = 10.0
LINES_BURST = 100
"""Of lines that are alike: more are counted instead."""

MAX_KINDS = 500
"""Of lines whose number is counted each by itself; all others count as one kind."""

REPORT_AFTER_S = 5.0
_LEVELS = ("critical", "error", "warn", "info", "debug", "trace")
_CROSSBARS_OBSERVER = "make_JSON_observer.<locals>._make_json"


class CrossbarMoved(RuntimeError):
    """Crossbar's observer is not where it was."""


class _Kind:
    __slots__ = ("bucket", "left_out")

    def __init__(self, now_s: float) -> None:
        self.bucket = TokenBucket(LINES_PER_S, LINES_BURST, now_s)
        self.left_out = 0


class SafeLog:
    """An observer that hands another one events which say the same and can be printed."""

    def __init__(self, observer: Observer, clock: Any) -> None:
        """``clock`` has Twisted's ``seconds`` and ``callLater``."""
        self._observer = observer
        self._clock = clock
        self._kinds: dict[object, _Kind] = {}
        self._report: Any = None

    def __call__(self, event: Event) -> None:
        """Log an event, or count it."""
        level = event.get("log_level", LogLevel.info)
        if level.name not in _LEVELS or _LEVELS.index(level.name) > _LEVELS.index(get_global_log_level()):
            return
        kind = self._kind((event.get("log_namespace"), level.name, event.get("log_format")))
        if kind.bucket.take(self._clock.seconds()):
            self._log(event, level, *self._text(event))
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

    @staticmethod
    def _text(event: Event) -> tuple[str, int]:
        text = formatEvent(event)
        failure = event.get("log_failure")
        if failure is None:
            return text, MAX_TRACEBACK_CHARS if "tb" in event else MAX_LINE_CHARS
        return f"{text[:MAX_LINE_CHARS]}\n{failure.getTraceback()}", MAX_TRACEBACK_CHARS

    def _log(self, event: Event, level: Any, text: str, most_chars: int) -> None:
        self._observer(
            {
                "log_level": level,
                "log_namespace": event.get("log_namespace", ""),
                "log_time": event.get("log_time"),
                "log_format": "{line}",
                "line": log_text(text, most_chars),
            }
        )

    def _tell_left_out(self) -> None:
        self._report = None
        for key, kind in list(self._kinds.items()):
            if kind.left_out:
                namespace, _, form = key if isinstance(key, tuple) else ("", "", "of other kinds")
                text = f"{kind.left_out} more lines were left out that are like: {form}"
                kind.left_out = 0
                self._log({"log_namespace": namespace}, LogLevel.warn, text, MAX_LINE_CHARS)


def install(clock: Any) -> SafeLog:
    """Put a ``SafeLog`` before the worker's observer.

    Raises:
        CrossbarMoved: there is none.
    """
    observers: list[Any] = globalLogPublisher._observers
    for place, observer in enumerate(observers):
        if isinstance(observer, SafeLog):
            return observer
        if getattr(observer, "__qualname__", "") == _CROSSBARS_OBSERVER:
            safe = observers[place] = SafeLog(observer, clock)
            return safe
    raise CrossbarMoved("the worker does not log by Crossbar's JSON observer")
