"""``crosstick bench feed``: how many exchange frames a feed takes per second and core."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from components.bench.errors import BenchError
from components.bench.machine import machine
from components.bench.processes import cores, pinned
from components.bench.targets import MIN_FEED_FRAMES_PER_CORE_S

GRACE_S = 30.0
WARM_UP_SHARE = 0.5


def run_feed(rounds: int, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Return ``{"machine": …, "feed": figures, "target": …}``: medians over the rounds, least and greatest in ``spread``.

    What is measured is the whole feed: socket, WebSocket, parsing, sequencing, batching and the batch's encoding. Only the
    way of the encoded batch over the bus is left out. ``core_cpu_us_per_frame`` is the part of parsing, sequencing and
    encoding in that.

    Raises:
        BenchError: the feed ended early, or did not take every frame.
    """
    rounds_figures = []
    for number in range(rounds):
        figures = _measure(seconds)
        rounds_figures.append(figures)
        say(f"round {number + 1}/{rounds}: {figures['frames_per_core_s']:,.0f} frames per second and core")
    names = rounds_figures[0]
    medians = {name: statistics.median(figures[name] for figures in rounds_figures) for name in names}
    spread = {
        name: [min(figures[name] for figures in rounds_figures), max(figures[name] for figures in rounds_figures)]
        for name in names
    }
    frames = medians["frames_per_core_s"]
    return {
        "machine": machine(["crosstick"], cores()),
        "feed": {**medians, "spread": spread, "rounds": rounds},
        "target": {"frames_per_core_s": MIN_FEED_FRAMES_PER_CORE_S, "met": frames >= MIN_FEED_FRAMES_PER_CORE_S},
    }


def _measure(seconds: float) -> dict[str, float]:
    server_core, load_core = cores()
    exchange = subprocess.Popen(
        pinned([sys.executable, "-m", "components.bench.firehose"], load_core), stdout=subprocess.PIPE, text=True
    )
    try:
        assert exchange.stdout is not None  # noqa: S101 - it is a pipe
        port = exchange.stdout.readline().strip()
        command = ["-m", "components.bench.feed_process", port, str(seconds * WARM_UP_SHARE), str(seconds)]
        try:
            feed = subprocess.run(
                pinned([sys.executable, *command], server_core),
                capture_output=True,
                text=True,
                timeout=seconds * (1 + WARM_UP_SHARE) + GRACE_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BenchError(f"the feed did not end within {error.timeout:g} s") from error
    finally:
        exchange.kill()
        exchange.communicate()
    if feed.returncode:
        raise BenchError(f"the feed ended: {(feed.stderr.strip().splitlines() or ['without a word'])[-1]}")
    answer = json.loads(feed.stdout)
    if answer["refused"] or not answer["frames"]:
        raise BenchError(f"of {answer['frames']:,} frames the feed refused {answer['refused']:,}")
    return {
        "frames_per_s": answer["frames"] / answer["seconds"],
        "frames_per_core_s": answer["frames"] / answer["cpu_s"],
        "cpu_us_per_frame": answer["cpu_s"] / answer["frames"] * 1e6,
        "core_cpu_us_per_frame": answer["core_cpu_s"] / answer["core_frames"] * 1e6,
        "events_per_batch": answer["events"] / answer["batches"],
    }
