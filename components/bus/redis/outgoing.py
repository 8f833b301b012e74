"""One lead's way to Redis: sends batches and statuses over one connection, several at once, and ends at the first trouble.

Whatever goes wrong, the answer is the same: this way ends, and the writer asks for the lead anew; then Redis says what it has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.python.failure import Failure

from components.bus.redis.link import Connection, RedisTrouble
from components.bus.redis.scripts import STATUS_KEPT_MS, TELL_STATUS, WRITE
from components.core.batch import Batch, encode_batch
from components.core.written_batches import WrittenBatches


class WriteRefused(RedisTrouble):
    """Redis has something else than the writer thought."""


class EpochTooOld(WriteRefused):
    """An epoch that began later stands: this one has to be given up."""


class Outgoing:
    """Sends what is kept, in order."""

    def __init__(
        self,
        connection: Connection,
        token: int,
        batches_in_flight: int,
        stream_batches: int,
        on_ended: Callable[[], None],
    ) -> None:
        """Send nothing before ``send_after``.

        At most ``batches_in_flight`` are under way; the stream is held to about ``stream_batches``. ``on_ended`` is called
        once, when ``trouble`` is set.
        """
        self.trouble: Exception | None = None
        self._connection = connection
        self._token = token
        self._batches_in_flight = batches_in_flight
        self._stream_batches = stream_batches
        self._on_ended = on_ended
        self._kept: WrittenBatches | None = None
        self._sent = 0
        self._in_flight = 0
        self._status_in_flight = False
        self._status_waiting: bytes | None = None

    def send_after(self, kept: WrittenBatches, number: int) -> None:
        """Send what is kept after that batch, and from here on whatever is added when told to ``send_waiting``."""
        self._kept = kept
        self._sent = number
        self.send_waiting()

    def send_waiting(self) -> None:
        """Send as much as may be under way."""
        kept = self._kept
        while (
            kept is not None
            and self._sent < kept.last
            and self._in_flight < self._batches_in_flight
            and not self.trouble
        ):
            batch = kept.get(self._sent + 1)
            self._sent = batch.number
            self._in_flight += 1
            self._run(WRITE.call(*self._arguments(batch))).addCallback(self._written, kept, batch.number).addErrback(
                self.end
            )

    def send_status(self, status: bytes) -> None:
        """Send a status; while one is under way the newest of the others waits."""
        if self._status_in_flight:
            self._status_waiting = status
        elif self.trouble is None:
            self._status_in_flight = True
            self._run(TELL_STATUS.call(self._token, status, STATUS_KEPT_MS)).addCallback(self._told).addErrback(
                self.end
            )

    def end(self, why: Failure | Exception) -> None:
        """Send nothing more; the first cause counts."""
        if self.trouble is None:
            error = why.value if isinstance(why, Failure) else why
            self.trouble = error if isinstance(error, Exception) else RuntimeError(str(error))
            self._on_ended()

    def _arguments(self, batch: Batch) -> list[Any]:
        newest = {topic: (seq, payload) for topic, seq, payload in batch.events}
        arguments = [self._token, batch.epoch, batch.number, self._stream_batches, encode_batch(batch)]
        for topic, (seq, payload) in newest.items():
            arguments += topic, b"%d %b" % (seq, payload)
        return arguments

    def _run(self, command: tuple[Any, ...]) -> Any:
        return self._connection.command(*command)

    def _written(self, answer: list[bytes], kept: WrittenBatches, number: int) -> None:
        self._in_flight -= 1
        said = answer[0]
        if said in (b"ok", b"had"):
            kept.confirm(number)
            self.send_waiting()
        elif said == b"hole":
            self.end(WriteRefused(f"Redis has lost what came after batch {answer[1].decode()}"))
        elif said == b"older":
            self.end(EpochTooOld("a later epoch than this feed's stands in Redis"))
        else:
            self.end(WriteRefused("the lead was given to another feed, or Redis has lost it"))

    def _told(self, answer: int) -> None:
        self._status_in_flight = False
        if answer != 1:
            self.end(WriteRefused("the lead was given to another feed, or Redis has lost it"))
            return
        status, self._status_waiting = self._status_waiting, None
        if status is not None:
            self.send_status(status)
