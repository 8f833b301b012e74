"""Compiles the C parts with whatever compiler there is, once for each state of their sources."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from components.bench.errors import BenchError


def compiled(what: str, folder: Path, name: str, flags: Sequence[str]) -> Path:
    """Return the path of what the C files of ``folder`` make with ``flags``, compiled unless these very sources were before.

    ``what`` is how errors call it; its file is ``~/.cache/crosstick/<name>-<digest>``.

    Raises:
        BenchError: there is no C compiler, or it fails.
    """
    sources = sorted(folder.glob("*.c"))
    contents = [path.read_bytes() for path in (*sources, *sorted(folder.glob("*.h")))]
    digest = hashlib.sha256(b"".join([" ".join(flags).encode(), *contents])).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crosstick"
    binary = cache / f"{name}-{digest}"
    if binary.exists():
        return binary
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise BenchError(f"{what} needs a C compiler: install one (cc, gcc or clang) or name it in CC")
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = cache / f"{binary.name}.{os.getpid()}"
    command = [compiler, *flags, "-o", str(unfinished), *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{compiler} failed: {(done.stderr.strip().splitlines() or ['without a word'])[0]}")
    unfinished.rename(binary)
    return binary
