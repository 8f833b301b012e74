"""What a benchmark ran on; figures of different machines are not compared."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from components.bench.systems import SYSTEMS


def machine(systems: Iterable[str], cores: tuple[int | None, int | None]) -> dict[str, Any]:
    """Return processor, kernel, Python and the systems' versions."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    models = [line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "memory_mb": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1_000_000,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "server_core": cores[0],
        "load_core": cores[1],
        "load_average_at_start": round(os.getloadavg()[0], 2),
        "versions": {name: SYSTEMS[name].version() for name in systems},
    }
