"""A replay as the simulated exchange's source of frames: plays files once or over and over, and says when and why it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from components.core.recording import RecordingError
from components.replay.merge import merged
from components.replay.sources import ReplayFile, Selection
from components.simulator.player import RecordingPlayer
from components.simulator.symbol import Frame

FRAMES_PER_ROUND = 4000
"""At most, so that clients get them while the next ones are read."""

SETTLE_MS = 1000
"""It begins when no stream has been subscribed to for so long: a feed of many symbols subscribes in several messages."""


class Replay:
    """A ``FrameSource``."""

    def __init__(
        self,
        files: Sequence[ReplayFile],
        selection: Selection,
        on_end: Callable[[str], None],
        *,
        speed: float,
        loop: bool,
        wait: bool,
    ) -> None:
        """Play what is selected of ``files`` at ``speed`` times its pace (``inf``: as fast as clients read).

        With ``wait`` it begins when somebody has subscribed. ``on_end`` is called once, with the problem if there is one.
        """
        self.files = files
        self.sent = 0
        """Frames that somebody was subscribed to."""
        self.began_ms: int | None = None
        """When it began to play, by the exchange's clock."""
        self.now_ms = 0
        """When it was asked for frames last."""
        self._on_end = on_end
        self._ended = False
        self.player = RecordingPlayer(
            partial(merged, files, selection),
            speed=speed,
            loop=loop,
            settle_ms=SETTLE_MS if wait else None,
            frames_per_call=FRAMES_PER_ROUND,
        )

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(file.size_bytes for file in self.files)

    @property
    def position_bytes(self) -> int:
        """How far the files have been read."""
        return sum(file.position_bytes for file in self.files) if self.player.started else 0

    def watch(self, stream: str) -> None:
        """See ``FrameSource``."""
        self.player.watch(stream)

    def unwatch(self, stream: str) -> None:
        """See ``FrameSource``."""
        self.player.unwatch(stream)

    def advance(self, now_ms: int) -> list[Frame]:
        """See ``FrameSource``; a file that is damaged ends the replay."""
        if self._ended:
            return []
        self.now_ms = now_ms
        try:
            frames = self.player.advance(now_ms)
        except (RecordingError, OSError) as error:
            self._end(str(error))
            return []
        if self.began_ms is None and self.player.started:
            self.began_ms = now_ms
        self.sent += len(frames)
        if self.player.ended:
            self._end("")
        return frames

    def _end(self, problem: str) -> None:
        self._ended = True
        self._on_end(problem)
