"""A session's way out: knows when its connection is blocked, and gives it up when it stays so for too long.

The transport's buffer has two marks, Twisted's: above 64 KiB it tells its producer to pause, empty again it tells it to go
on. In between nothing but replies is written; events wait in the outbox. Owns that switch and the stall timer; knows nothing
of Crossbar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from components.core.closing import CloseReason
from components.core.outbox import ConflatingOutbox, OutboxCounters
from components.core.outbox_settings import OutboxSettings
from components.router.engine.events import Encoding
from components.router.engine.fanout import FanOut
from components.router.engine.groups import Subscriber


@implementer(IPushProducer)
class Outlet:
    """One per connection, from its opening to its loss."""

    def __init__(
        self,
        clock: Any,
        queue: OutboxSettings,
        counters: OutboxCounters,
        encoding: Encoding,
        write: Callable[[bytes], None],
        write_message: Callable[[bytes], None],
        give_up: Callable[[CloseReason | None], None],
    ) -> None:
        """Send by ``write`` (frames) or ``write_message`` (messages without a frame).

        ``give_up`` closes the connection with a reason, or drops it without one.
        """
        self.encoding = encoding
        self.blocked = False
        self.subscriber: Subscriber | None = None
        self._clock = clock
        self.queue = queue
        """The limits of what waits; those of the session from its join on."""
        self._counters = counters
        self._write = write
        self._write_message = write_message
        self._give_up = give_up
        self._fanout: FanOut | None = None
        self._stall: Any = None
        self._piled_bytes = 0
        self._blocked_at_s = 0.0
        self.times_blocked = 0
        """How often the connection has taken no more bytes."""
        self._closed = False
        self._parting: CloseReason | None = None
        """Why the connection is to be closed as soon as nothing waits for it."""
        self.when_free: Callable[[], None] = _no_one
        """Called when the connection takes bytes again, and what waited for it has been written."""

        self.given_up = False
        """Whether the connection is being closed from here: what is sent besides the reason reaches nobody."""

    def attach(self, fanout: FanOut) -> Subscriber:
        """Become a subscriber of a realm's fan-out; return it."""
        if self.subscriber is None:
            self._fanout = fanout
            self.subscriber = Subscriber(self, ConflatingOutbox(self.queue, self._counters))
            self.subscriber.blocked = self.blocked
        return self.subscriber

    def catch_up(self) -> None:
        """Send the events that wait, before something else is sent."""
        if self._fanout is not None and self.subscriber is not None:
            self._fanout.catch_up(self.subscriber)

    def cut(self, reason: CloseReason) -> None:
        """Close the connection, and say why."""
        self._cut(reason)

    def part(self, reason: CloseReason) -> None:
        """Close the connection, and say why, as soon as what waits for it has been sent."""
        self._parting = reason
        self._part_if_flushed()

    def _part_if_flushed(self) -> None:
        if self._parting is None or self.blocked:
            return
        self.catch_up()
        # That may have filled the connection's buffer: then the rest is waited for, too.
        if not self.blocked:
            self._cut(self._parting)

    def close(self) -> None:
        """Send nothing more: the connection closes, or is gone."""
        self._closed = True
        self._cancel_stall()
        if self._fanout is not None and self.subscriber is not None:
            self._fanout.left(self.subscriber)

    def let_go(self) -> None:
        """Hold the connection no more: it is gone, and is freed with the last that mentions it."""
        self.close()
        self._write = self._write_message = self._give_up = _nothing
        self.when_free = _no_one
        self.subscriber = self._fanout = None

    @property
    def blocked_s(self) -> float:
        """For how long the connection has taken no bytes; 0 for one that takes them."""
        return max(0.0, self._clock.seconds() - self._blocked_at_s) if self.blocked else 0.0

    def waiting(self) -> tuple[int, int]:
        """Return how many bytes and events wait to be written; see ``Subscriber.waiting``."""
        return (0, 0) if self.subscriber is None else self.subscriber.waiting()

    # What the fan-out asks

    def write(self, block: bytes) -> None:
        """Send joined frames."""
        if self._closed:
            return
        if self.blocked:
            self._write(block)
            self.piled(len(block))
        else:
            self._write(block)

    def write_each(self, frames: Iterable[bytes]) -> None:
        """Send messages that the connection frames by itself."""
        for frame in frames:
            if not self._closed:
                self._write_message(frame)

    def piled(self, size: int) -> None:
        """Take note of bytes handed to the transport while it was blocked."""
        self._piled_bytes += size
        if self._piled_bytes > self.queue.max_bytes:
            self._cut(CloseReason.TOO_MANY_BYTES)

    # What the transport tells

    def pauseProducing(self) -> None:
        """Be told that the transport's buffer is full."""
        if self.blocked or self._closed:
            return
        self.blocked = True
        self.times_blocked += 1
        self._blocked_at_s = self._clock.seconds()
        self._piled_bytes = 0
        self._stall = self._clock.callLater(self.queue.stall_timeout_s, self._stalled)
        if self._fanout is not None and self.subscriber is not None:
            self._fanout.blocked(self.subscriber)

    def resumeProducing(self) -> None:
        """Be told that the transport's buffer is empty."""
        self.blocked = False
        self._cancel_stall()
        if self._fanout is not None and self.subscriber is not None and not self._closed:
            self._fanout.unblocked(self.subscriber)
        self._part_if_flushed()
        if not self.blocked and not self._closed:
            self.when_free()

    def stopProducing(self) -> None:
        """Be told that the connection is lost."""
        self.close()

    def _stalled(self) -> None:
        self._stall = None
        self._cut(CloseReason.STALLED)

    def give_up(self) -> None:
        """Drop the connection: it could not be written to."""
        self._cut(None)

    def _cut(self, reason: CloseReason | None) -> None:
        if not self._closed:
            self.close()
            self._give_up(reason)
            self.given_up = True

    def _cancel_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None


def _no_one() -> None:
    """Tell nobody: who would be told has gone."""


def _nothing(_: Any) -> None:
    """Do what is left to do for a connection that is gone."""
