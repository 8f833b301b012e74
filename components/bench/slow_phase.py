"""One phase of the slow-client proof: readers under a steady load, with or without clients that read too slowly.

The readers are the load generator's. Those that read nothing, and the one that reads steadily at a part of its rate, belong to
the harness, which looks at them while the load generator publishes.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from components.bench.proof import STEP_S, Pace, Phase, Proof
from components.bench.shapes import Shape
from components.bench.slow_client import RECEIVE_BUFFER_BYTES, SlowClient
from components.bench.tick_ledger import LedgerError, TickLedger

READER_SHARE = 0.25
"""The part of its rate that the slow reader reads."""

STUCK_PORTION_BYTES = 65_536
"""What a stuck client that has been cut reads at once: in a second 50 times as much, and more than any buffers hold."""

CATCH_UP_TIMEOUT_S = 30.0
TRANSPORT_BUFFER_BYTES = 65_536
"""How much Twisted queues before it tells that a connection is blocked."""

LONGEST_TICK_BYTES = 300
"""Of a merged tick on the wire."""

STALLED_URI = "crosstick.close.stalled"
STALLED_CODE = 4001
STALLED_IN_LOG = f"session closed: {STALLED_URI}"
_TS_BASE_US = 10**12
"""What the load generator adds to the monotonic clock in a tick's ``ts``."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Who reads how, and for how long."""

    readers: int = 90
    stuck: int = 10
    topics: int = 100
    ticks_per_s: int = 5_000
    stall_timeout_s: float = 5.0
    send_buffer_bytes: int = 262_144
    warm_s: float = 1.0
    measured_s: float = 9.0
    """Of a phase; the stuck clients are cut in it."""

    @property
    def shape(self) -> Shape:
        """All clients as a shape: readers first, then the stuck ones, then the slow reader."""
        return Shape("slow", self.readers + self.stuck + 1, self.topics, self.topics)

    @property
    def pace(self) -> Pace:
        """The load on the readers."""
        return Pace(self.readers, self.ticks_per_s, self.warm_s, self.measured_s)

    @property
    def held_bytes(self) -> int:
        """What may lie between the gateway and a client that reads too slowly, at most.

        Linux doubles buffer sizes that it is asked for; what an unblocked outbox lets go is added to what is queued.
        """
        kernel = 2 * (self.send_buffer_bytes + RECEIVE_BUFFER_BYTES)
        return kernel + TRANSPORT_BUFFER_BYTES + self.topics * LONGEST_TICK_BYTES


class SlowClients:
    """The stuck clients and the slow reader of one phase."""

    def __init__(self, plan: Plan, proof: Proof, bytes_per_s: float) -> None:
        """Join them all; ``bytes_per_s`` is what a client that keeps up reads."""
        server, load, endpoints = proof.server, proof.load, proof.endpoints
        topics = plan.shape.topic_names()
        self._server = server
        self._load = load
        self._bytes_per_s = READER_SHARE * bytes_per_s
        self._logged_before = server.log_bytes()
        self._cuts_s: list[float] = []
        """After the first tick, one per cut that the log tells of."""

        self._began_s = self._looked_s = 0.0
        self._allowance = 0.0
        self._ages_s: list[float] = []
        self._problems: list[str] = []
        before = load.command("topics", takes_s=1)["topics"]
        self._before = dict(zip(plan.shape.symbols(), before, strict=True))
        self._ledgers = {symbol: TickLedger(seq) for symbol, (seq, _) in self._before.items()}
        *stuck, reading = (
            SlowClient(endpoints.port, endpoints.path, account, topics) for account in endpoints.clients[plan.readers :]
        )
        self._stuck, self._reader = stuck, reading

    def begin(self) -> None:
        """Be told that the first tick is published."""
        self._began_s = self._looked_s = time.monotonic()

    def look(self) -> None:
        """Read what is due since the last look, and see who was cut."""
        now_s = time.monotonic()
        due = (now_s - self._looked_s) * self._bytes_per_s
        self._looked_s = now_s
        self._allowance = min(self._allowance + due, 5 * STEP_S * self._bytes_per_s)
        self._allowance -= self._reader.read(int(self._allowance))
        ticks = self._take_ticks()
        if ticks:
            self._ages_s.append(now_s - (ticks[-1]["ts"] - _TS_BASE_US) / 1e6)
        self._look_for_cuts(now_s)

    def finish(self) -> Phase:
        """Let the reader catch up with what was published, and say what became of all."""
        after = dict(zip(self._before, self._load.command("topics", takes_s=1)["topics"], strict=True))
        deadline_s = time.monotonic() + CATCH_UP_TIMEOUT_S
        while time.monotonic() < deadline_s and not (
            (self._has_all(after) or self._problems or self._reader.lost) and all(client.lost for client in self._stuck)
        ):
            time.sleep(STEP_S)
            self._reader.read(2**20)
            self._take_ticks()
            self._look_for_cuts(time.monotonic())
        wrong = sum(
            ledger.last_seq != after[symbol][0]
            or ledger.volume != Decimal(after[symbol][1] - self._before[symbol][1]) / 10
            for symbol, ledger in self._ledgers.items()
        )
        endings = [_ending(client) for client in self._stuck]
        values: dict[str, float] = {
            "cut": len(self._cuts_s),
            "ended": sum(client.lost for client in self._stuck),
            "told_why": sum(ending == (STALLED_URI, STALLED_CODE, STALLED_URI) for ending in endings),
            "told_else": sum(ending not in ((STALLED_URI, STALLED_CODE, STALLED_URI), _NOTHING) for ending in endings),
            "reader_connected": not self._reader.lost,
            "reader_wrong_topics": wrong,
            "reader_ticks": sum(ledger.ticks for ledger in self._ledgers.values()),
            "reader_merged_ticks": sum(ledger.merged_ticks for ledger in self._ledgers.values()),
            "reader_trades": sum(seq - self._before[symbol][0] for symbol, (seq, _) in after.items()),
            "reader_bytes_per_s": self._bytes_per_s,
        }
        if self._cuts_s:
            values |= {"first_cut_s": self._cuts_s[0], "last_cut_s": self._cuts_s[-1]}
        if self._ages_s:
            values |= {"reader_age_s": statistics.median(self._ages_s), "reader_max_age_s": max(self._ages_s)}
        return Phase(values, self._problems)

    def close(self) -> None:
        """Drop all connections."""
        for client in (*self._stuck, self._reader):
            client.close()

    def _take_ticks(self) -> list[dict[str, Any]]:
        ticks = self._reader.ticks()
        try:
            for tick in ticks:
                self._ledgers[tick["symbol"]].take(tick)
        except LedgerError as error:
            self._problems.append(f"the slow reader: {error}")
        return ticks

    def _has_all(self, after: dict[str, Any]) -> bool:
        return all(ledger.last_seq >= after[symbol][0] for symbol, ledger in self._ledgers.items())

    def _look_for_cuts(self, now_s: float) -> None:
        cut = self._server.count_in_log(STALLED_IN_LOG, self._logged_before)
        self._cuts_s += [now_s - self._began_s] * (cut - len(self._cuts_s))
        if len(self._cuts_s) >= len(self._stuck):
            # All are cut: those that read again within a second learn why. It is looked at later, when nobody is measured, and
            # in portions, so that the load generator on the same core is not kept waiting.
            for client in self._stuck:
                client.read(STUCK_PORTION_BYTES)


def _ending(client: SlowClient) -> tuple[str | None, int | None, str | None]:
    client.ticks()
    return client.goodbye, client.close_code, client.close_reason


_NOTHING = (None, None, None)
"""What a client is told that reads again only when its connection is gone."""
