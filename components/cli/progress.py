"""How a long command stands: a line that changes on a terminal, a line of the log now and then anywhere else."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from types import TracebackType

import click
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar
from twisted.logger import Logger

PLAIN_INTERVAL_S = 10.0

_STANDARD_ERROR = 2
_CURSOR_ON_A_NEW_LINE = b"\r\n\x1b[?25h"


class Progress:
    """To be entered, told how things stand every second or so, and left."""

    log = Logger()

    def __init__(self, what: str, total: int | None = None) -> None:
        """``what`` is going on; with ``total`` there is a bar."""
        self._what = what
        self._next_plain_s = time.monotonic() + PLAIN_INTERVAL_S
        self._bar: Bar | None = None
        if sys.stderr.isatty():
            columns = [BarColumn(), TaskProgressColumn()] if total else []
            # Others' lines on standard error, the log's above all, appear above it.
            self._bar = Bar(
                TextColumn("{task.description}"),
                *columns,
                TextColumn("{task.fields[figures]}", markup=False),
                console=Console(stderr=True),
                redirect_stdout=False,
            )
            self._task = self._bar.add_task(what, total=total, figures="")

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, line: str) -> None:
        """Print a line on standard output; above the bar, where both are on a terminal."""
        if self._bar is not None and sys.stdout.isatty():
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            click.echo(line)

    def let_go(self) -> None:
        """Leave the terminal as it was, from a signal handler: without any lock, and without what the bar would still say."""
        if self._bar is not None:
            with suppress(OSError):
                os.write(_STANDARD_ERROR, _CURSOR_ON_A_NEW_LINE)

    def show(self, figures: str, done: int = 0) -> None:
        """Say how things stand; ``done`` of ``total`` is behind."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, figures=figures)
        elif time.monotonic() >= self._next_plain_s:
            self._next_plain_s = time.monotonic() + PLAIN_INTERVAL_S
            self.log.info("{what}: {figures}", what=self._what, figures=figures)
