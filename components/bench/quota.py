"""A share of a core for each of some processes, by the kernel's control groups: as if each had a slower core of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from components.bench.errors import BenchError

PERIOD_US = 10_000
_ROOT = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def quota(pids: Sequence[int], share: float) -> Iterator[None]:
    """Give each process at most ``share`` of a core, with all threads that it has; they must end within the block.

    Raises:
        BenchError: this user may not, or there are no such groups.
    """
    second = "cpu" in _read(_ROOT / "cgroup.controllers").split()
    groups = [(_ROOT if second else _ROOT / "cpu") / f"crosstick-bench-{os.getpid()}-{pid}" for pid in pids]
    budget_us = int(share * PERIOD_US)
    made: list[Path] = []
    try:
        try:
            for pid, group in zip(pids, groups, strict=True):
                group.mkdir()
                made.append(group)
                if second:
                    (group / "cpu.max").write_text(f"{budget_us} {PERIOD_US}")
                else:
                    (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
                    (group / "cpu.cfs_quota_us").write_text(str(budget_us))
                (group / "cgroup.procs").write_text(str(pid))
        except OSError as error:
            raise BenchError(f"processes cannot be given a share of a core: {error}") from error
        yield
    finally:
        for group in made:
            # Not empty while a process has not ended; the next start of the machine forgets it.
            with contextlib.suppress(OSError):
                group.rmdir()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
