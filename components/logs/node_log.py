"""A node's log as its controller prints it, as JSON or as text; ``crosstick node`` and ``crosstick run`` have it.

Of the seam, with ``components.node_controller``: workers of Crossbar hand the controller events, which it prints. Those that
``SafeLog`` has made lines of are printed as they are; the few from before that, and the controller's own, are made lines here.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import txaio
from twisted.logger import formatEvent

from components.logs.event import Event, is_chatter, is_logged, is_printed, json_line
from components.logs.safe_log import MADE

_SYSTEM = re.compile(r"(\S+)\s+(\d+)")
"""What Crossbar says of whose an event is: the kind of worker and its process id."""


_HEADING = "REMAINING LOG BUFFER AFTER EXIT FOR PID {pid}:"
"""Of what a worker that has ended wrote and did not end with a separator, in the lines behind it."""


class WithoutEmptyHeading:
    """An observer that hands on to another one all but a heading of Crossbar's under which there is nothing.

    A worker's first words end with a line end behind the separator, which is all that is left of one that has logged nothing.
    """

    def __init__(self, observer: Callable[[Event], None]) -> None:
        self._observer = observer
        self._heading: Event | None = None

    def __call__(self, event: Event) -> None:
        """Hand on an event, and before it the heading that it is under."""
        if event.get("log_format") == _HEADING:
            self._heading = event
            return
        if self._heading is not None:
            if event.get("log_namespace") != self._heading.get("log_namespace"):
                self._heading = None
            elif formatEvent(event).strip():
                heading, self._heading = self._heading, None
                self._observer(heading)
        self._observer(event)


class NodeText:
    """An observer that hands on to Crossbar's, which print text, what ``NodeLog`` would print."""

    def __init__(self, observer: Callable[[Event], None]) -> None:
        self._observer = observer

    def __call__(self, event: Event) -> None:
        """Print an event, if it is grave enough, and not what Crossbar does whenever it starts or ends."""
        if is_wanted(event):
            self._observer(event)


def is_wanted(event: Event) -> bool:
    """Tell whether an event of a node's controller, or of a worker's that it has read, is to be printed."""
    if is_printed(event):
        return True
    wanted = txaio.get_global_log_level()
    namespace = event.get("cb_namespace") or event.get("log_namespace") or ""
    if not is_logged(event, wanted) or is_chatter({**event, "log_namespace": namespace}, wanted):
        return False
    return bool(formatEvent(event).strip()) or "log_failure" in event


class NodeLog:
    """An observer that prints each event as a line of JSON."""

    def __init__(self, print_line: Callable[[str], None], worker_of: Callable[[int], str | None]) -> None:
        """``worker_of`` returns the id of the worker with a process id."""
        self._print_line = print_line
        self._worker_of = worker_of

    def __call__(self, event: Event) -> None:
        """Print an event, if it is grave enough."""
        if event.get(MADE) is True:
            if is_logged(event, txaio.get_global_log_level()):
                self._print_line(formatEvent(event))
            return
        if not is_wanted(event):
            return
        event = {**event, "log_namespace": event.get("cb_namespace") or event.get("log_namespace") or ""}
        of = _SYSTEM.fullmatch(event.get("log_system") or "")
        if of is None:
            self._print_line(json_line(event, "controller"))
            return
        pid = int(of[2])
        worker = self._worker_of(pid) or of[1].lower()
        self._print_line(json_line(event, worker, pid))
