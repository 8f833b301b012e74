"""Plays a recording to whoever watches: when each recorded frame is due. Reads the file it is given as it goes, so that a
long recording costs no memory; keeps no clock.

Payloads are the recorded text; only from the second round of a loop on are ids and times moved on (``rounds``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from components.core.recording import RecordedFrame
from components.simulator.rounds import Rounds
from components.simulator.symbol import Frame

MAX_FRAMES_PER_CALL = 50_000
"""More than this are not handed out at once, however fast the recording is played; the rest follows next time."""


class RecordingPlayer:
    """A ``FrameSource`` that starts when the first stream is watched, so that its listener misses nothing."""

    def __init__(
        self,
        open_recording: Callable[[], Iterator[RecordedFrame]],
        *,
        speed: float,
        loop: bool,
        settle_ms: int | None = 0,
        frames_per_call: int = MAX_FRAMES_PER_CALL,
    ) -> None:
        """Play what ``open_recording`` yields at ``speed`` times the recorded pace; with ``loop``, over and over.

        In later rounds ids and times go on where the round before ended. A ``speed`` of ``inf`` is as fast as ``advance`` is
        called. It starts when ``settle_ms`` have passed without another stream being watched, since who subscribes to many does
        so in several messages; with ``None`` at once, whoever watches.
        """
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
        self._rounds = Rounds()
        self._settle_ms = settle_ms
        self._frames_per_call = frames_per_call
        self._watches = 0
        self._settled_watches = 0
        self._settling_since_ms = 0
        self.ended = False
        self.played = 0
        """Frames that were due so far, watched or not."""
        self.time_s: float | None = None
        """The recorded time of the last of them."""

    @property
    def started(self) -> bool:
        """Whether it has begun to play."""
        return self._started

    def watch(self, stream: str) -> None:
        """Begin to hand out a stream's frames; one the recording does not hold stays silent."""
        self._watched.add(stream)
        self._watches += 1

    def unwatch(self, stream: str) -> None:
        """Pass over a stream's frames from here on."""
        self._watched.discard(stream)

    def advance(self, now_ms: int) -> list[Frame]:
        """Return the watched frames that are due by ``now_ms``, in the recorded order.

        Raises:
            RecordingError: the recording turns out to be malformed.
        """
        frames: list[Frame] = []
        if self.ended or not (self._started or self._may_start(now_ms)):
            return frames
        if not self._started:
            self._started = True
            self._rewind(now_ms)
        for _ in range(self._frames_per_call):
            frame = self._next
            if frame is None:
                break
            due_ms = self._started_ms + max(0.0, frame.time_s - self._first_s) * 1000 / self._speed
            if due_ms > now_ms:
                break
            payload = self._rounds.payload(frame) if self._loop else frame.payload
            if frame.stream in self._watched:
                frames.append((frame.stream, payload))
            self.played += 1
            self.time_s = frame.time_s
            self._step(due_ms)
        return frames

    def _may_start(self, now_ms: int) -> bool:
        if self._settle_ms is None:
            return True
        if self._watches != self._settled_watches:
            self._settled_watches, self._settling_since_ms = self._watches, now_ms
        return bool(self._watched) and now_ms - self._settling_since_ms >= self._settle_ms

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
            self._rounds.next_round()
            # One millisecond between rounds: a recording of one instant must not spin.
            self._rewind(due_ms + 1)
        else:
            self.ended = True
