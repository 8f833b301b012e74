"""Shows a board on a terminal until somebody has seen enough; never writes a control sequence to anything else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterable, Iterator, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.style import Style

from components.core.log_text import escaped
from components.watch.board import Board
from components.watch.messages import Message
from components.watch.screen import Screen, StyledLine

REDRAW_EVERY_S = 0.2
"""An eye sees no more, and drawing costs more than following."""

LEAST_REDRAW_S = 0.1
"""However fast keys are pressed, or the window is drawn to another size."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Drawn:
    """Lines, for rich."""

    def __init__(self, lines: Sequence[StyledLine]) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the pieces with their styles."""
        for line in self._lines:
            for text, style in line:
                # What a gateway says is shown, and never obeyed.
                yield Segment(escaped(text, len(text)), console.get_style(style) if style else Style.null())
            yield Segment.line()


class BoardFollower:
    """Keeps a board, and draws it where there is a ``Live``."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.is_live = asyncio.Event()

    def connecting(self, url: str) -> None:
        """See ``Follower``."""
        self.board.connecting(url)

    def begin(self, symbols: Iterable[str]) -> None:
        """See ``Follower``."""
        self.board.begin(symbols)

    def listed(self, symbols: Sequence[str], unknown: Sequence[str]) -> None:
        """See ``Follower``."""
        self.board.listed(symbols, unknown)

    def live(self) -> None:
        """See ``Follower``."""
        self.board.live()
        self.is_live.set()

    def lost(self, reason: str, retry_in_s: float, now_s: float) -> None:
        """See ``Follower``."""
        self.board.lost(reason, retry_in_s, now_s)

    def answered(self, pong: Message, asked_s: float, now_s: float) -> None:
        """See ``Follower``."""
        self.board.answered(pong, asked_s, now_s)

    def received(self, frame: str | bytes, messages: Sequence[Message], now_s: float) -> None:
        """See ``Follower``."""
        for message in messages:
            self.board.take(message, now_s)

    def resume_from(self) -> tuple[int, dict[str, int]]:
        """See ``Follower``."""
        return self.board.resume_from()


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[asyncio.Event]:
    """Have an event that SIGINT, SIGTERM and SIGHUP set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


async def show(console: Console, board: Board, screen: Screen, stop: asyncio.Event) -> None:
    """Draw the board until ``stop`` is set or q is pressed; s takes the next order."""
    loop = asyncio.get_running_loop()
    redraw = asyncio.Event()

    def pressed(key: str) -> None:
        if key in "qQ":
            stop.set()
        elif key in "sS":
            screen.take_next_sort()
        redraw.set()

    loop.add_signal_handler(signal.SIGWINCH, redraw.set)
    try:
        with (
            _keys(pressed),
            Live(
                console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
            ) as live,
        ):
            while not stop.is_set():
                now_s = loop.time()
                board.sample(now_s)
                size = console.size
                live.update(Drawn(screen.lines(board, now_s, size.width, size.height)), refresh=True)
                redraw.clear()
                await _first_of(stop, timeout_s=LEAST_REDRAW_S)
                await _first_of(stop, redraw, timeout_s=REDRAW_EVERY_S - LEAST_REDRAW_S)
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)


async def _first_of(*events: asyncio.Event, timeout_s: float) -> None:
    """Return when one of them is set, or the time is over."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


@contextlib.contextmanager
def _keys(pressed: Callable[[str], None]) -> Iterator[None]:
    """Hand on each key that is pressed, where somebody can press any."""
    descriptor = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
    if descriptor is None:
        yield
        return
    loop = asyncio.get_running_loop()
    before = termios.tcgetattr(descriptor)

    def read() -> None:
        data = os.read(descriptor, 64)
        if not data:
            loop.remove_reader(descriptor)
        for key in data.decode(errors="ignore"):
            pressed(key)

    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, read)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
