"""The thread in which a side of the bus reads the log: begins anew after what cannot be read, until it is to end."""

from __future__ import annotations

import threading
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger

from components.bus.kafka.connection import Contact
from components.bus.kafka.consumer import LogCut, LogUnavailable
from components.core.backoff import Backoff


class LogThread:
    """Calls what reads again and again, with waits after it has failed."""

    def __init__(
        self,
        name: str,
        reactor: IReactorFromThreads,
        contact: Contact,
        backoff: Backoff,
        log: Logger,
        read: Callable[[], None],
        on_failed: Callable[[bool], None],
    ) -> None:
        """``read`` reads until ``ending`` is set, and tells ``backoff`` when it succeeds.

        ``on_failed`` is called after it has raised, with whether that was an error of its own and not of the brokers: it may be
        in the midst of a record then. Both in the thread.
        """
        self._name = name
        self._reactor = reactor
        self._contact = contact
        self._backoff = backoff
        self._log = log
        self._read = read
        self._on_failed = on_failed
        self.ending = threading.Event()
        """Set when the thread is to end."""

        self.ended: Deferred[None] = Deferred()
        """Fires in the reactor when the thread is about to end."""

    def start(self) -> None:
        """Read until ``end``."""
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def end(self) -> Deferred[None]:
        """Read no more; fires ``ended``."""
        self.ending.set()
        return self.ended

    def _run(self) -> None:
        try:
            while not self.ending.is_set():
                try:
                    self._read()
                except (LogUnavailable, LogCut) as error:
                    self._contact.failed(str(error))
                    self._on_failed(False)
                except Exception:
                    self._log.failure("reading Kafka's log met an error of its own, and begins anew")
                    self._contact.failed("an error of the bus itself, see the node's log")
                    self._on_failed(True)
                else:
                    continue
                self.ending.wait(self._backoff.next_delay_s())
        finally:
            self._reactor.callFromThread(self.ended.callback, None)
