"""Plays a recording to whoever watches: when each recorded frame is due; never alters a payload. Reads the file it is
given as it goes, so that a long recording costs no memory; keeps no clock.

A looping recording repeats its trade and update ids and its times: they are the recorded ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from components.core.recording import RecordedFrame
from components.simulator.symbol import Frame

MAX_FRAMES_PER_CALL = 50_000
"""More than this are not handed out at once, however fast the recording is played; the rest follows next time."""


class RecordingPlayer:
    """A ``FrameSource`` that starts when the first stream is watched, so that its listener misses nothing."""

    def __init__(self, open_recording: Callable[[], Iterator[RecordedFrame]], *, speed: float, loop: bool) -> None:
        """Play what ``open_recording`` yields at ``speed`` times the recorded pace; with ``loop``, over and over."""
        if speed <= 0:
            raise ValueError(f"speed must be > 0, was {speed}")
        self._open = open_recording
        self._speed = speed
        self._loop = loop
        self._watched: set[str] = set()
        self._frames: Iterator[RecordedFrame] | None = None
        self._next: RecordedFrame | None = None
        self._first_s = 0.0
        self._started_ms = 0.0
        self._started = False
        self.ended = False

    def watch(self, stream: str) -> None:
        """Begin to hand out a stream's frames; one the recording does not hold stays silent."""
        self._watched.add(stream)

    def unwatch(self, stream: str) -> None:
        """Pass over a stream's frames from here on."""
        self._watched.discard(stream)

    def advance(self, now_ms: int) -> list[Frame]:
        """Return the watched frames that are due by ``now_ms``, in the recorded order.

        Raises:
            RecordingError: the recording turns out to be malformed.
        """
        frames: list[Frame] = []
        if self.ended or not (self._started or self._watched):
            return frames
        if not self._started:
            self._started = True
            self._rewind(now_ms)
        for _ in range(MAX_FRAMES_PER_CALL):
            frame = self._next
            if frame is None:
                break
            due_ms = self._started_ms + max(0.0, frame.time_s - self._first_s) * 1000 / self._speed
            if due_ms > now_ms:
                break
            if frame.stream in self._watched:
                frames.append((frame.stream, frame.payload))
            self._step(due_ms)
        return frames

    def _rewind(self, now_ms: float) -> None:
        frames = self._open()
        first = next(frames, None)
        if first is None:
            self._next, self.ended = None, True
            return
        self._first_s, self._started_ms = first.time_s, now_ms
        self._next, self._frames = first, frames

    def _step(self, due_ms: float) -> None:
        self._next = next(self._frames, None) if self._frames else None
        if self._next is not None:
            return
        if self._loop:
            # One millisecond between rounds: a recording of one instant must not spin.
            self._rewind(due_ms + 1)
        else:
            self.ended = True
