"""Recordings on the disk: one file after the other, each of complete gzip members, so that it can be read whenever its writer
is killed. Knows the format's lines from ``core.recording``; keeps no clock and starts no thread.

What is written in one go is a member of its own, and what a full disk leaves of one is cut off again.
"""

from __future__ import annotations

import os
import zlib
from datetime import UTC, datetime
from pathlib import Path

MAX_NAMES_PER_SECOND = 1000
"""Files that begin in the same second get a number."""

_GZIP = 31


class RecordingFiles:
    """The files of one recorder, in one directory."""

    def __init__(self, directory: Path, *, rotate_after_s: float, max_file_bytes: int) -> None:
        """Write into ``directory``: another file after ``rotate_after_s`` or when one has ``max_file_bytes``."""
        self.directory = directory
        self.written_bytes = 0
        """Compressed, of all files."""
        self.files = 0
        """Begun so far."""
        self.path: Path | None = None
        """The newest file."""
        self._rotate_after_s = rotate_after_s
        self._max_file_bytes = max_file_bytes
        self._file: int | None = None
        self._began_s = 0.0
        self._file_bytes = 0

    def is_due(self, time_s: float, unwritten_s: float | None) -> bool:
        """Tell whether what came at ``time_s`` belongs into another file than what came before.

        ``unwritten_s`` is when the first came of what is not written yet, ``None`` where there is none.
        """
        began_s = unwritten_s if self._file is None else self._began_s
        return began_s is not None and time_s - began_s >= self._rotate_after_s

    def write(self, lines: bytes, began_s: float) -> None:
        """Add lines, of which the first came at ``began_s``, seconds since 1970.

        Raises:
            OSError: they cannot be written; what was written before is complete.
        """
        if self._file is None:
            self._open(began_s)
        compressor = zlib.compressobj(wbits=_GZIP)
        self._append(compressor.compress(lines) + compressor.flush())
        if self._file_bytes >= self._max_file_bytes:
            self.close()

    def close(self) -> None:
        """Let the disk have the file; the next lines begin another one.

        Raises:
            OSError: the disk did not take it.
        """
        file, self._file = self._file, None
        if file is not None:
            try:
                os.fsync(file)
            finally:
                os.close(file)

    def _open(self, began_s: float) -> None:
        stem = datetime.fromtimestamp(began_s, UTC).strftime("%Y%m%dT%H%M%SZ")
        for number in range(1, MAX_NAMES_PER_SECOND + 1):
            path = self.directory / (f"{stem}.jsonl.gz" if number == 1 else f"{stem}-{number}.jsonl.gz")
            try:
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            except FileExistsError:
                continue
            self.path = path
            self.files += 1
            self._began_s, self._file_bytes = began_s, 0
            return
        raise FileExistsError(f"{self.directory} has {MAX_NAMES_PER_SECOND} files that begin at {stem}")

    def _append(self, member: bytes) -> None:
        if self._file is None:
            raise AssertionError("no file is open")
        left = memoryview(member)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            os.ftruncate(self._file, self._file_bytes)
            raise
        self._file_bytes += len(member)
        self.written_bytes += len(member)
