"""One file of a replay, recording or dump: its frames within a span of time and of some symbols, and how far it is read."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from math import inf
from pathlib import Path

from components.core.line_file import DamagedFile, LineFile
from components.core.recording import Findings, RecordedFrame, RecordingError, read_recorded_lines
from components.core.trade_dumps import RowReader, TradeDump, dump_named, is_header

RECORDING_SUFFIXES = (".jsonl", ".jsonl.gz")
FRAMES_LOOKED_AT = 2000
"""Of a recording, to tell which streams are in it: it may be larger than anybody wants to wait for."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is played of what there is."""

    from_s: float = -inf
    """Seconds since 1970, included."""

    to_s: float = inf
    """Seconds since 1970, excluded. A file is read no further than to the first frame from then."""

    symbols: frozenset[str] = frozenset()
    """Upper case; empty: all."""

    def has_symbol(self, stream: str) -> bool:
        """Tell whether a stream is of one of the symbols; those of the whole market are of all."""
        return not self.symbols or stream.startswith("!") or stream.partition("@")[0].upper() in self.symbols

    def names(self, stream: str) -> bool:
        """Tell whether a stream is of one of the symbols, and not of the whole market."""
        return not stream.startswith("!") and self.has_symbol(stream)


class ReplayFile:
    """A file that can be read any number of times, once at a time."""

    def __init__(self, path: Path) -> None:
        """Find out what a file is, by its name, and when it begins.

        Raises:
            RecordingError: it is neither recording nor dump, or its beginning is damaged.
            OSError: it cannot be read.
        """
        self.path = path
        self.dump: TradeDump | None = dump_named(path.name)
        if self.dump is None and not path.name.endswith(RECORDING_SUFFIXES):
            raise RecordingError(
                f"{path}:1: neither a recording (….jsonl, ….jsonl.gz) nor a dump by its name (SYMBOL-trades-DATE.zip, "
                "SYMBOL-aggTrades-DATE.zip, or .csv)"
            )
        self.findings = Findings()
        self.size_bytes = path.stat().st_size
        self._open: LineFile | None = None
        self._read_whole = False
        self.streams: set[str] = set()
        """Of a dump its one, of a recording those of its beginning."""
        self.first_s: float | None = None
        """When it begins; ``None`` for a file without frames."""
        with closing(self._frames()) as frames:
            for frame in islice(frames, 1 if self.dump else FRAMES_LOOKED_AT):
                if self.first_s is None:
                    self.first_s = frame.time_s
                self.streams.add(frame.stream)
        self.findings, self._read_whole = Findings(), False

    @property
    def position_bytes(self) -> int:
        """How far it has been read, of ``size_bytes``."""
        if self._open is not None:
            return self._open.position_bytes
        return self.size_bytes if self._read_whole else 0

    def frames(self, selection: Selection) -> Iterator[RecordedFrame]:
        """Yield the frames that are selected, from the file's beginning; ``findings`` are of this reading.

        Raises:
            RecordingError: the file is damaged; the text begins with file and line.
            OSError: it cannot be read.
        """
        self.findings = Findings()
        if self.dump is not None and not selection.has_symbol(self.dump.stream):
            self._read_whole = True
            return
        from_s, to_s, all_symbols = selection.from_s, selection.to_s, not selection.symbols
        with closing(self._frames()) as frames:
            for frame in frames:
                time_s = frame.time_s
                if time_s >= to_s:
                    break
                if time_s >= from_s and (all_symbols or selection.has_symbol(frame.stream)):
                    yield frame

    def has_any(self, selection: Selection) -> bool:
        """Tell whether there is a frame of the symbols that are selected; a recording is read until there is one.

        Raises:
            RecordingError: the file is damaged; the text begins with file and line.
            OSError: it cannot be read.
        """
        if not selection.symbols:
            return bool(self.streams)
        if any(selection.names(stream) for stream in self.streams):
            return True
        if self.dump is not None:
            return False
        try:
            with closing(self._frames()) as frames:
                return any(selection.names(frame.stream) for frame in frames)
        finally:
            self.findings, self._read_whole = Findings(), False

    def _frames(self) -> Generator[RecordedFrame, None, None]:
        try:
            file = LineFile(self.path)
        except DamagedFile as error:
            raise RecordingError(str(error)) from error
        self._open = file
        try:
            yield from read_recorded_lines(file, self.findings) if self.dump is None else _rows(file, self.dump)
        finally:
            file.close()
            self._open, self._read_whole = None, True


def _rows(file: LineFile, dump: TradeDump) -> Iterator[RecordedFrame]:
    frame_of = RowReader(dump).frame
    try:
        for row in file:
            try:
                yield frame_of(row)
            except ValueError as error:
                if not row.strip() or (file.line == 1 and is_header(row)):
                    continue
                raise RecordingError(f"{file.path}:{file.line}: {error}") from error
    except DamagedFile as error:
        raise RecordingError(str(error)) from error
    if file.ended_early:
        raise RecordingError(f"{file.path}:{file.line + 1}: the file ends too early")
