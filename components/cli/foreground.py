"""The reactor of a command: one signal ends it in order, the next one at once.

Reactors take every signal for a wish to stop, and complain of the second one; that is the one by which somebody wants no more
waiting.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

import click
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger

SIGNALS = (signal.SIGINT, signal.SIGTERM)

STILL_AFTER_S = 1.0
"""Who waits so long for the end is told of the way to have it at once."""

_STANDARD_ERROR = 2


async def _nothing() -> None:
    pass


class Foreground:
    """One run of the reactor, in a process that does nothing else: the signals stay as ``run`` sets them."""

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        end: Callable[[], Awaitable[None]] = _nothing,
        *,
        let_go: Callable[[], None] = lambda: None,
        left: str = "",
    ) -> None:
        """``end`` ends in order.

        What ends at once calls ``let_go`` from a signal handler, and says in what state it has ``left`` things.
        """
        self.interrupted = False
        """Whether a signal has come."""
        self._reactor = reactor
        self._end = end
        self._let_go = let_go
        self._left = left
        self._problem: str | None = None
        self._runs = False
        self._stops = False

    def stop(self, problem: str | None = None) -> None:
        """End in order, for a problem perhaps; what is ending goes on doing so."""
        self._problem = self._problem or problem
        self._stops = True
        if self._runs:
            # It may be stopping, or have stopped.
            with suppress(ReactorNotRunning):
                self._reactor.stop()

    def stop_after(self, wait_s: float, problem: str) -> None:
        """Have it end for a problem if it still runs then."""
        self._reactor.callLater(wait_s, self.stop, problem)

    def run(self, begin: Callable[[], Awaitable[None]]) -> str | None:
        """Run until somebody calls ``stop`` or a signal comes; return the first problem.

        A ``click.ClickException`` of ``begin``'s is one; anything else that it or ``end`` raises is one and logged.
        """
        for number in SIGNALS:
            # A shell has it ignored where it puts a process into the background: there Ctrl-C is for another one.
            if number != signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)
        self._reactor.callWhenRunning(self._when_running, begin)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._before_shutdown)
        self._reactor.run(installSignalHandlers=False)
        return self._problem

    def _when_running(self, begin: Callable[[], Awaitable[None]]) -> None:
        self._runs = True
        if self._stops:
            self._reactor.stop()
        else:
            ensureDeferred(self._watched(begin))

    def _before_shutdown(self) -> Deferred[None]:
        return ensureDeferred(self._watched(self._end))

    async def _watched(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except click.ClickException as error:
            self.stop(error.message)
        except Exception as error:
            self.log.failure("the command cannot go on")
            self.stop(f"the command cannot go on: {error}")

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.interrupted:
            self._end_at_once(number)
        self.interrupted = True
        self._reactor.callFromThread(self._end_for_signal)

    def _end_for_signal(self) -> None:
        self._reactor.callLater(
            STILL_AFTER_S, self.log.info, "ending takes its time; another Ctrl-C or SIGTERM ends at once"
        )
        self.stop()

    def _end_at_once(self, number: int) -> NoReturn:
        # Whatever is locked, or hangs: nothing is waited for.
        self._let_go()
        name = signal.Signals(number).name
        with suppress(OSError):
            os.write(_STANDARD_ERROR, f"Ended at once, by another signal ({name}){self._left}.\n".encode())
        os._exit(128 + number)


def one_answer(
    foreground: Foreground, connect: Callable[[], Awaitable[Any]], answers: list[Any], url: str, within_s: float
) -> Any:
    """Run until the client that ``connect`` connects stops ``foreground``; return the first of the ``answers`` that it took.

    Raises:
        click.ClickException: there is none, and why.
        click.Abort: a signal came before there was one.
    """

    async def begin() -> None:
        try:
            await connect()
        except Exception as error:
            raise click.ClickException(f"no answer from {url}: {error}") from error

    foreground.stop_after(within_s, f"no answer from {url} within {within_s:g} s")
    problem = foreground.run(begin)
    if answers:
        return answers[0]
    if foreground.interrupted:
        raise click.Abort
    raise click.ClickException(problem or f"no answer from {url}")
