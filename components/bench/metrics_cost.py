"""``crosstick bench metrics``: what measuring costs a worker: the fan-out with it and without, one after the other many times.

In CPU time, user's and system's, so that what else the machine does matters little. Every connection writes to one Unix socket,
whose other end a process empties: a write to a client's TCP connection takes longer, which would make the share smaller.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from twisted.internet.task import Clock

from components.bench.machine import machine
from components.bench.processes import cores
from components.core.batch import Batch
from components.core.fault_log import FaultLog
from components.core.faults import CONDITIONS
from components.core.histogram import Histogram
from components.core.outbox import Condenser, ConflatingOutbox
from components.core.outbox_settings import OutboxSettings
from components.core.payload import EncodedPayload
from components.core.tick_age import BOUNDS_S, trade_time_ms
from components.loop_lag import INTERVAL_S, LoopLag
from components.router.engine.encodings import WEBSOCKET
from components.router.engine.events import Encoding
from components.router.engine.fanout import FanOut, MadeMs, no_time
from components.router.engine.groups import Subscriber

MAX_SHARE = 0.02
"""Of the fan-out's CPU time."""

TOPICS = 100
EVENTS_PER_BATCH = 20
BATCHES_PER_FLUSH = 10
"""What comes together in the 2 ms for which events are gathered, at the rates of the fan-out's benchmark."""

EVENTS_PER_FLUSH = EVENTS_PER_BATCH * BATCHES_PER_FLUSH

FLUSHES = 10
"""Of one measurement: some milliseconds, after which the other's turn comes."""


DRAIN = "import os\nwhile os.read(0, 1 << 20): pass"


class _Connection:
    """Writes to a socket."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self.encoding: Encoding = WEBSOCKET["json", False]
        self._write = write

    def write(self, block: bytes) -> None:
        self._write(block)

    def write_each(self, frames: Iterable[bytes]) -> None:
        pass

    def give_up(self) -> None:
        raise AssertionError("nothing goes wrong here")


def run_metrics_cost(clients: int, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Return ``{"machine": …, "fanout": …, "per_second": …, "target": …}``.

    ``fanout`` has medians over the rounds: ``cpu_ns_per_event`` ``without`` and ``with`` measuring, and ``added``, what that
    adds in a round; ``spread`` has its quartiles. On a busy machine these are far apart; so ``cpu_us_per_flush`` is what is
    measured for one flush, by itself, and ``share`` that of what the flush takes. ``per_second`` is what is done at times of
    its own, as a share of a core.
    """
    near, far = socket.socketpair()
    with near, subprocess.Popen([sys.executable, "-c", DRAIN], stdin=far.fileno()) as drain:
        far.close()
        try:
            figures = _rounds(clients, rounds, near.sendall)
        finally:
            drain.kill()
    shares = [after / before - 1 for before, after in zip(figures[False], figures[True], strict=True)]
    low, added, high = statistics.quantiles(shares, n=4)
    say(f"{rounds} rounds: with measuring {added:.2%} more CPU time (quartiles {low:.2%} … {high:.2%})")
    looks, own_us = _loop_looks(), _own_us()
    without = statistics.median(figures[False])
    share = own_us * 1000 / (without * clients * EVENTS_PER_FLUSH)
    return {
        "machine": machine(["crosstick"], cores()),
        "fanout": {
            "clients": clients,
            "topics": TOPICS,
            "events_per_flush": EVENTS_PER_FLUSH,
            "rounds": rounds,
            "cpu_ns_per_event": {
                "without": without,
                "with": statistics.median(figures[True]),
            },
            "added": added,
            "spread": [low, high],
            "cpu_us_per_flush": own_us,
            "share": share,
        },
        "per_second": {"event_loop_lag": looks, "fault_log": _fault_log()},
        "target": {"share": MAX_SHARE, "met": share + looks < MAX_SHARE},
    }


def _rounds(clients: int, rounds: int, write: Callable[[bytes], object]) -> dict[bool, list[float]]:
    """Return the CPU time for each delivered event, ns, of each round, by whether it was measured."""
    topics = [f"market.S{number}USDT" for number in range(TOPICS)]
    fanout = FanOut(
        Clock(),
        lambda topic: [(int(topic[8:-4]) + 1, False)],
        lambda subscriber, overflow: None,
        lambda: Condenser(OutboxSettings()),
        window_s=0,
    )
    for _ in range(clients):
        subscriber = Subscriber(_Connection(write), ConflatingOutbox(OutboxSettings()))
        for number in range(TOPICS):
            fanout.subscribed(subscriber, number + 1, False)
    now_ms = int(time.time() * 1000)
    batches = [_batch(topics, number, now_ms) for number in range(FLUSHES * BATCHES_PER_FLUSH)]
    for measures in (False, True):
        _spread(fanout, batches, measures)
    figures: dict[bool, list[float]] = {False: [], True: []}
    for round_number in range(rounds):
        for measures in (False, True) if round_number % 2 else (True, False):
            figures[measures].append(_spread(fanout, batches, measures))
    return figures


def _batch(topics: list[str], number: int, now_ms: int) -> Batch:
    first = number * EVENTS_PER_BATCH
    return Batch(1, number, [_tick(topics, first + index, now_ms) for index in range(EVENTS_PER_BATCH)])


def _tick(topics: list[str], number: int, now_ms: int) -> tuple[str, int, bytes]:
    topic = topics[number % len(topics)]
    symbol = topic[7:]
    payload = (
        f'{{"symbol":"{symbol}","price":62520.15,"volume":5.2,"side":"buy","ts":{now_ms},"id":{number},"seq":{number}}}'
    )
    return topic, number, payload.encode()


def _spread(fanout: FanOut, batches: list[Batch], measures: bool) -> float:
    """Return the CPU time for each delivered event, ns, of what a relay does with batches."""
    delivered, began_ns = fanout.delivered, time.thread_time_ns()
    for first in range(0, len(batches), BATCHES_PER_FLUSH):
        events: list[tuple[str, EncodedPayload]] = []
        made_ms: MadeMs = no_time
        for batch in batches[first : first + BATCHES_PER_FLUSH]:
            events += [(topic, EncodedPayload(payload)) for topic, _, payload in batch.events]
            if measures:
                made_ms = partial(trade_time_ms, batch.events)
        # On a clock that stands still it is flushed at once.
        fanout.publish_batch(events, made_ms)
    return (time.thread_time_ns() - began_ns) / (fanout.delivered - delivered)


def _own_us() -> float:
    """Return what is measured of one flush takes of CPU time, µs."""
    batch = _batch([f"market.S{number}USDT" for number in range(TOPICS)], 0, int(time.time() * 1000))
    ages = Histogram(BOUNDS_S)
    flushes, took = 2_000, []
    for _ in range(20):
        began_ns = time.thread_time_ns()
        for _ in range(flushes):
            for _ in range(BATCHES_PER_FLUSH):
                asked = partial(trade_time_ms, batch.events)
            made_ms = asked()
            if made_ms is not None:
                ages.observe(max(time.time() - made_ms / 1000, 0.0), flushes)
        took.append((time.thread_time_ns() - began_ns) / flushes / 1000)
    return statistics.median(took)


def _loop_looks() -> float:
    """Return what looking at the event loop's lag takes of a core."""
    clock = Clock()
    lag = LoopLag(clock)
    lag.start()
    looks = 10_000
    began_s = time.process_time()
    for _ in range(looks):
        clock.advance(INTERVAL_S)
    return (time.process_time() - began_s) / looks / INTERVAL_S


def _fault_log() -> float:
    """Return what saying once a second how it is with every condition takes of a core."""
    log = FaultLog(lambda: 0)
    seconds = 1_000
    began_s = time.process_time()
    for _ in range(seconds):
        for fault in CONDITIONS:
            log.set(fault, False)
    return (time.process_time() - began_s) / seconds
