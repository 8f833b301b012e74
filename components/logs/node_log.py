"""A node's log as JSON, as its controller prints it; ``crosstick node`` and ``crosstick run`` have it.

Of the seam, with ``components.node_controller``: workers of Crossbar hand the controller events, which it prints. Those that
``SafeLog`` has made lines of are printed as they are; the few from before that, and the controller's own, are made lines here.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import txaio
from twisted.logger import formatEvent

from components.logs.event import Event, is_chatter, is_logged, json_line
from components.logs.safe_log import MADE

_SYSTEM = re.compile(r"(\S+)\s+(\d+)")
"""What Crossbar says of whose an event is: the kind of worker and its process id."""


class NodeLog:
    """An observer that prints each event as a line of JSON."""

    def __init__(self, print_line: Callable[[str], None], worker_of: Callable[[int], str | None]) -> None:
        """``worker_of`` returns the id of the worker with a process id."""
        self._print_line = print_line
        self._worker_of = worker_of

    def __call__(self, event: Event) -> None:
        """Print an event, if it is grave enough."""
        wanted = txaio.get_global_log_level()
        if not is_logged(event, wanted):
            return
        if event.get(MADE) is True:
            self._print_line(formatEvent(event))
            return
        namespace = event.get("cb_namespace") or event.get("log_namespace") or ""
        event = {**event, "log_namespace": namespace}
        if is_chatter(event, wanted) or not (formatEvent(event).strip() or "log_failure" in event):
            return
        of = _SYSTEM.fullmatch(event.get("log_system") or "")
        if of is None:
            self._print_line(json_line(event, "controller"))
            return
        pid = int(of[2])
        worker = self._worker_of(pid) or of[1].lower()
        self._print_line(json_line(event, worker, pid))
