"""Many files as one stream by time, of which only those are open that overlap. Frames of a file stay in its order."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from math import inf

from components.core.recording import RecordedFrame
from components.replay.sources import ReplayFile, Selection


def merged(files: Sequence[ReplayFile], selection: Selection) -> Iterator[RecordedFrame]:
    """Yield the selected frames of all files by time; of those of one time, the earlier file's come first.

    Raises:
        RecordingError: a file is damaged.
        OSError: one cannot be read.
    """
    waiting = sorted(
        ((file.first_s, number) for number, file in enumerate(files) if file.first_s is not None), reverse=True
    )
    # Times and numbers decide the order; no two entries have the same number.
    open_files: list[tuple[float, int, RecordedFrame, Iterator[RecordedFrame]]] = []
    while waiting or open_files:
        while waiting and (not open_files or waiting[-1][0] <= open_files[0][0]):
            number = waiting.pop()[1]
            frames = files[number].frames(selection)
            first = next(frames, None)
            if first is not None:
                heapq.heappush(open_files, (first.time_s, number, first, frames))
        if not open_files:
            continue
        _, number, frame, frames = open_files[0]
        yield frame
        # Until another file's turn comes: of a heap, the next entries are its second and third.
        until_s = min(
            waiting[-1][0] if waiting else inf,
            open_files[1][0] if len(open_files) > 1 else inf,
            open_files[2][0] if len(open_files) > 2 else inf,
        )
        for frame in frames:
            if frame.time_s >= until_s:
                heapq.heapreplace(open_files, (frame.time_s, number, frame, frames))
                break
            yield frame
        else:
            heapq.heappop(open_files)
