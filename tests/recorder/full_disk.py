"""Records on a disk that is soon full, in a process of its own: the limit that stands for the disk is the whole process's.

Prints what came of it as JSON: ``{"errors":[text,…],"messages":n,"dropped":n}``.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
from pathlib import Path

from components.recorder.files import RecordingFiles
from components.recorder.writer import WRITE_BYTES, RecordingWriter

MAX_FILE_BYTES = 4096
"""A write that goes past is cut off there."""

TOLD_WITHIN_S = 30.0


def main() -> None:
    """Give the writer what fits, then what does not, each so much that it is written by itself; and then some."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_FILE_BYTES, MAX_FILE_BYTES))
    errors: list[str] = []
    told = threading.Event()

    def failed(error: Exception) -> None:
        errors.append(str(error))
        told.set()

    writer = RecordingWriter(RecordingFiles(Path(sys.argv[1]), rotate_after_s=3600, max_file_bytes=2**30), failed)
    writer.start()
    # What is alike takes a thousandth, and what is not half of it.
    for digits in ("0" * WRITE_BYTES, os.urandom(WRITE_BYTES // 2).hex()):
        writer.take(1_800_000_000.25, [b'{"stream":"a@trade","data":"%b"}' % digits.encode()])
    if not told.wait(TOLD_WITHIN_S):
        sys.exit("the disk took it all")
    writer.take(1_800_000_000.25, [b'{"stream":"a@trade","data":"late"}'])
    writer.close()
    print(json.dumps({"errors": errors, "messages": writer.messages, "dropped": writer.dropped}))


if __name__ == "__main__":
    main()
