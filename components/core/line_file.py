"""The lines of a file, plain, gzip or a ZIP archive of one member, read as it goes: files larger than memory work.

Knows when a file ends in the middle, which is how one looks whose writer was killed; not what is in the lines.
"""

from __future__ import annotations

import contextlib
import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

CHUNK_BYTES = 262_144
MAX_LINE_BYTES = 16 * 2**20
"""A line that is longer is damage: it is not to fill the memory."""


class DamagedFile(ValueError):
    """A file cannot be read on; the text is one line of the form ``file:line: what is wrong``."""


class LineFile:
    """One file's lines, without their ends; to be iterated once.

    By the name's suffix: ``.gz`` is gzip of any number of members, ``.zip`` an archive with one file in it.
    """

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            OSError: it cannot be opened.
            DamagedFile: it is no archive, or one of several files.
        """
        self.path = path
        self.line = 0
        """The number of the line that was returned last, from 1."""
        self.ended_early = False
        """Whether what is compressed ended in the middle; what there was of a last line is not yielded then."""
        self.unended = False
        """Whether the last line has no end, and so may be a part of one; known when it is yielded."""
        self._raw: IO[bytes] = path.open("rb")
        try:
            self.size_bytes = path.stat().st_size
            self._read = self._reader()
        except BaseException:
            self._raw.close()
            raise

    @property
    def position_bytes(self) -> int:
        """How far it has been read, of ``size_bytes``."""
        return self.size_bytes if self._raw.closed else min(self._raw.tell(), self.size_bytes)

    def close(self) -> None:
        """Close the file; to be called if it is not read to the end."""
        self._raw.close()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines.

        Raises:
            DamagedFile: what is compressed is damaged, or a line is endless.
        """
        rest = b""
        with contextlib.closing(self._raw):
            while True:
                try:
                    chunk = self._read(CHUNK_BYTES)
                except EOFError:
                    self.ended_early = True
                    return
                except (zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
                    raise DamagedFile(f"{self.path}:{self.line + 1}: damaged: {error}") from error
                if not chunk:
                    break
                lines = (rest + chunk).split(b"\n")
                rest = lines.pop()
                for line in lines:
                    self.line += 1
                    yield line
                if len(rest) > MAX_LINE_BYTES:
                    raise DamagedFile(f"{self.path}:{self.line + 1}: a line is longer than {MAX_LINE_BYTES} bytes")
            if rest:
                self.unended = True
                self.line += 1
                yield rest

    def _reader(self) -> Callable[[int], bytes]:
        name = self.path.name.lower()
        raw: Any = self._raw
        if name.endswith(".gz"):
            # `read` would lose what comes before the place where the file ends too early; `read1` returns it first.
            return gzip.GzipFile(fileobj=raw, mode="rb").read1
        if name.endswith(".zip"):
            try:
                return self._member(raw)
            except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
                raise DamagedFile(f"{self.path}:1: the archive cannot be read: {error}") from error
        return self._raw.read

    def _member(self, raw: IO[bytes]) -> Callable[[int], bytes]:
        archive = zipfile.ZipFile(raw)
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) != 1:
            raise DamagedFile(f"{self.path}:1: the archive must have one file in it, had {len(members)}")
        member = archive.open(members[0])
        # It finds its own place; that of the directory, which was read first, says nothing of how far it is.
        raw.seek(0)
        return member.read
