"""Takes messages from the reactor's thread and writes them in one of its own: a slow disk holds up nobody.

What waits is bounded. Where the disk does not keep up messages are dropped, counted, and the recording says so in their place.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from components.core.recording import dropped_line, recording_line
from components.recorder.files import RecordingFiles

MAX_WAITING_BYTES = 64 * 2**20
"""Of messages that wait for the disk. More are dropped."""

WRITE_AFTER_S = 1.0
"""What came is written after so long at most: so much is lost with a process that is killed."""

WRITE_BYTES = 2**20
"""Or when it is so much, before compression."""

_MESSAGE_OVERHEAD_BYTES = 100
"""Roughly what a message takes in memory besides its own length."""


class RecordingWriter:
    """One thread's work, from ``start`` to ``close``."""

    def __init__(
        self,
        files: RecordingFiles,
        on_failed: Callable[[Exception], None],
        max_waiting_bytes: int = MAX_WAITING_BYTES,
    ) -> None:
        """Write into ``files``; ``on_failed`` is called once, in the writer's thread, when the disk takes no more."""
        self.messages = 0
        """Written, or about to be."""
        self.dropped = 0
        """Not written, since too much was waiting, or since the disk took no more."""
        self.files = files
        self._on_failed = on_failed
        self._max_waiting_bytes = max_waiting_bytes
        self._waiting: deque[tuple[float, Sequence[bytes], int]] = deque()
        self._waiting_bytes = 0
        self._in_hand = 0
        """Messages that the thread has taken and not written."""
        self._untold = 0
        self._newest_s = 0.0
        self._ends = False
        self._failed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def take(self, time_s: float, messages: Sequence[bytes]) -> None:
        """Have messages written that came at ``time_s``, seconds since 1970; never blocks for the disk."""
        size = _size(messages)
        with self._changed:
            self._newest_s = time_s
            if self._failed or self._waiting_bytes + size > self._max_waiting_bytes:
                self.dropped += len(messages)
                self._untold += len(messages)
                return
            self.messages += len(messages)
            self._tell_dropped()
            self._waiting.append((time_s, messages, 0))
            self._waiting_bytes += size
            self._changed.notify()

    def close(self) -> None:
        """Write what waits, and return when it is on the disk."""
        with self._changed:
            self._tell_dropped()
            self._ends = True
            self._changed.notify()
        self._thread.join()

    def _tell_dropped(self) -> None:
        if self._untold:
            self._waiting.append((self._newest_s, (), self._untold))
            self._untold = 0

    # In the thread

    def _run(self) -> None:
        try:
            while self._write_some():
                pass
            self.files.close()
        except Exception as error:
            with self._changed:
                self._failed = True
                lost = self._in_hand + sum(len(messages) for _, messages, _ in self._waiting)
                self.dropped += lost
                self.messages -= lost
                self._waiting.clear()
            self._on_failed(error)

    def _write_some(self) -> bool:
        """Write what comes within ``WRITE_AFTER_S``; return whether more may come."""
        lines: list[bytes] = []
        size = 0
        began_s = 0.0
        deadline_s: float | None = None
        while size < WRITE_BYTES and (taken := self._next(deadline_s)) is not None:
            time_s, messages, dropped = taken
            if self.files.is_due(time_s, began_s if lines else None):
                self._write(lines, began_s, len(messages))
                self.files.close()
                lines, size = [], 0
            if not lines:
                began_s, deadline_s = time_s, time.monotonic() + WRITE_AFTER_S
            made = [recording_line(time_s, message) for message in messages]
            if dropped:
                made.append(dropped_line(time_s, dropped))
            lines += made
            size += sum(map(len, made))
        self._write(lines, began_s, 0)
        with self._changed:
            return not self._ends or bool(self._waiting)

    def _write(self, lines: Sequence[bytes], began_s: float, in_hand: int) -> None:
        """Write lines, after which ``in_hand`` messages are still to be written of those that were taken."""
        if lines:
            self.files.write(b"".join(lines), began_s)
        self._in_hand = in_hand

    def _next(self, deadline_s: float | None) -> tuple[float, Sequence[bytes], int] | None:
        """Return what was taken next; ``None`` at the deadline or the end."""
        with self._changed:
            while not self._waiting and not self._ends:
                left_s = None if deadline_s is None else deadline_s - time.monotonic()
                if left_s is not None and left_s <= 0:
                    return None
                self._changed.wait(left_s)
            if not self._waiting or (deadline_s is not None and time.monotonic() >= deadline_s):
                return None
            taken = self._waiting.popleft()
            self._waiting_bytes -= _size(taken[1])
            self._in_hand += len(taken[1])
            return taken


def _size(messages: Sequence[bytes]) -> int:
    return sum(map(len, messages)) + _MESSAGE_OVERHEAD_BYTES * len(messages)
