"""What is wrong with a worker has its name a look later, and no longer than it is."""

from __future__ import annotations

import json
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.logger import Logger, formatEvent

from components.bus import ReaderFigures
from components.core.closing import CloseReason
from components.core.fault_log import FaultLog
from components.core.faults import Fault
from components.core.leading_feed import LeadingFeed
from components.core.market import Market
from components.core.replay import ReplaySettings, TickHistory
from components.router import runtime
from components.router.fault_watch import EXPIRES_SOON_S, LINK_PATIENCE_LOOKS, MANY_REFUSALS, START_LOOKS, FaultWatch
from components.router.runtime import LinkCounters, Runtime
from components.tokens.keys import KeyStatus

NOW_S = 1_700_000_000.0


class Bus:
    """A reader that has the troubles which the test gives it."""

    def __init__(self) -> None:
        self.figures = ReaderFigures()
        self.trouble: list[str] = []
        self.warning: list[str] = []
        self.short: list[str] = []

    def troubles(self) -> list[str]:
        return self.trouble

    def warnings(self) -> list[str]:
        return self.warning

    def shortage(self) -> list[str]:
        return self.short


class Worker:
    """A worker with nothing wrong."""

    def __init__(self, *, starting: bool = False) -> None:
        self.now_s = NOW_S
        self.keys = KeyStatus("a file", 1, 0.0, "")
        self.because: list[str] = []
        self.market = Market(lambda: self.now_s, lambda: self.now_s)
        source = SimpleNamespace(status=lambda: self.keys)
        environment: Any = SimpleNamespace(authority=SimpleNamespace(source=source))
        self.runtime = Runtime(
            environment,
            lambda: self.because,
            TickHistory(ReplaySettings(), lambda: self.now_s),
            market=self.market,
            faults=FaultLog(lambda: int(self.now_s * 1000), starting=starting),
        )
        self.bus = Bus()
        bus: Any = self.bus
        self.runtime.bus = bus
        certificates = SimpleNamespace(stale=False, not_after_s=NOW_S + 2 * EXPIRES_SOON_S)
        self.listener: Any = SimpleNamespace(
            name="public",
            certificates=certificates,
            refused=Counter(),
            http_policy=SimpleNamespace(refused=Counter()),
            log_refusals=lambda: None,
        )
        self.watch = FaultWatch(
            "market", self.runtime, LeadingFeed(), lambda: [self.listener], lambda: self.now_s, lambda: self.now_s
        )
        self.status: dict[str, Any] = {
            "feed": "one",
            "epoch": 7,
            "state": "live",
            "symbols": ["A", "B"],
            "stale": [],
            "exchange": {"reconnects": 0, "last_error": ""},
            "counters": {"gaps": 0, "missed_trades": 0},
        }
        self.hear()

    def hear(self) -> None:
        self.market.take_status(json.dumps(self.status).encode())

    def active(self) -> dict[str, str]:
        """Look, and return what is wrong with its details."""
        self.watch.look()
        return {entry.fault.value: entry.detail for entry in self.runtime.faults.active()}

    def happened(self) -> dict[str, tuple[int, str]]:
        """Look, and return which moments have happened, how often and with which detail."""
        self.watch.look()
        return {
            entry.fault.value: (entry.count, entry.detail)
            for entry in self.runtime.faults.recent()
            if entry.until_ms is not None
        }


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    seats: Any = SimpleNamespace(refused=Counter())
    monkeypatch.setattr(runtime, "_gatekeepers", {"market": seats})
    monkeypatch.setattr(runtime, "_drains", False)
    return Worker()


def test_with_a_worker_that_has_nothing_nothing_is_wrong(worker: Worker) -> None:
    assert worker.active() == {}
    assert worker.happened() == {}


def starting(worker: Worker) -> Worker:
    """Return another worker at such a node, which starts: its bus and its gateway are not there yet."""
    other = Worker(starting=True)
    other.bus.trouble, other.because = ["not connected yet"], ["no feed has reported"]
    return other


def test_an_ordinary_start_leaves_no_faults(worker: Worker) -> None:
    worker = starting(worker)
    assert worker.active() == {"gateway_not_ready": "no feed has reported", "bus_away": "not connected yet"}
    worker.bus.trouble = []
    worker.bus.figures.reconnects = 1
    for _ in range(START_LOOKS - 2):
        worker.now_s += 1
        worker.hear()
        assert worker.active() == {"gateway_not_ready": "no feed has reported"}
        assert worker.runtime.faults.recent() == worker.runtime.faults.active()
    worker.because = []
    worker.bus.warning = ["it may evict"]
    assert worker.active() == {"bus_at_risk": "it may evict"}
    assert worker.happened() == {}
    assert worker.runtime.faults.counts == {Fault.BUS_AT_RISK: 1}
    # From there on what is wrong is told.
    worker.because = ["no feed has reported"]
    assert "gateway_not_ready" in worker.active()
    worker.because = []
    assert worker.happened() == {"gateway_not_ready": (1, "no feed has reported")}


def test_a_start_that_takes_too_long_shows_what_it_waited_for(worker: Worker) -> None:
    worker = starting(worker)
    began_ms = int(worker.now_s * 1000)
    for _ in range(START_LOOKS - 1):
        worker.watch.look()
        worker.hear()
        worker.now_s += 1
        worker.bus.trouble = []
    assert [entry.fault.value for entry in worker.runtime.faults.recent()] == ["gateway_not_ready"]
    assert worker.happened() == {"bus_away": (1, "not connected yet")}
    assert {entry.fault.value: entry.since_ms for entry in worker.runtime.faults.recent()} == {
        "gateway_not_ready": began_ms,
        "bus_away": began_ms,
    }


def test_what_nobody_gets_any_more_is_told_of_a_start_as_well(worker: Worker) -> None:
    worker = starting(worker)
    worker.watch.look()
    worker.status["counters"] = {"missed_trades": 40}
    worker.hear()
    worker.because = worker.bus.trouble = []
    assert worker.happened() == {"trades_missed": (40, "")}


def test_a_bus_that_is_away_and_comes_back(worker: Worker) -> None:
    worker.bus.trouble = ["Redis cannot be reached"]
    worker.bus.warning = ["it may evict"]
    assert worker.active() == {"bus_away": "Redis cannot be reached", "bus_at_risk": "it may evict"}
    worker.bus.trouble, worker.bus.warning = [], []
    worker.bus.figures.reconnects += 1
    worker.bus.figures.missed_batches += 3
    assert worker.active() == {}
    assert worker.happened()["bus_returned"] == (1, "")
    assert worker.happened()["batches_missed"] == (3, "3 batches")


def test_a_bus_that_was_away_between_two_looks_is_told_all_the_same(worker: Worker) -> None:
    worker.bus.figures.reconnects += 2
    assert worker.happened() == {"bus_returned": (2, "")}


def test_a_feed_that_is_not_heard_is_lost_but_not_before_it_was_heard(worker: Worker) -> None:
    worker.now_s += 6
    assert worker.active() == {"feed_lost": "none heard for 6 s"}
    worker.bus.short = ["the bus is full"]
    assert worker.active() == {"feed_lost": "none heard for 6 s; the bus is full"}
    worker.hear()
    assert worker.active() == {}
    worker.market = worker.runtime.market = Market(lambda: worker.now_s, lambda: worker.now_s)
    assert worker.active() == {}


def test_an_exchange_that_cannot_be_reached_and_symbols_that_are_silent(worker: Worker) -> None:
    worker.status |= {"state": "connecting", "exchange": {"last_error": "refused", "reconnects": 0}}
    worker.hear()
    assert worker.active() == {"exchange_unreachable": "connecting: refused"}
    worker.status |= {"state": "live", "stale": ["B"]}
    worker.hear()
    assert worker.active() == {"symbols_stale": "1 of 2"}


def test_what_feeds_did_is_told(worker: Worker) -> None:
    worker.watch.look()
    worker.status |= {"exchange": {"reconnects": 1}, "counters": {"missed_trades": 40, "gaps": 1}}
    worker.hear()
    assert worker.happened() == {"exchange_reconnected": (1, ""), "trades_missed": (40, "")}
    worker.status |= {"feed": "two", "epoch": 9}
    worker.hear()
    happened = worker.happened()
    assert happened["feed_took_over"] == (1, "two leads, one did")
    assert happened["epoch_began"] == (1, "9 after 7")


def test_a_node_that_drains_or_is_not_ready_says_so(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_drains", True)
    worker.because = ["one", "two"]
    assert worker.active() == {"gateway_not_ready": "one; two", "node_draining": ""}


def test_a_realm_that_is_closed_and_keys_that_cannot_be_read(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_gatekeepers", {})
    worker.keys = KeyStatus("a file", 1, 50.0, "no such file")
    active = worker.active()
    assert active["realm_closed"].startswith("realm market ")
    assert active["keys_stale"] == "no such file"
    worker.keys = KeyStatus("a file", 0, None, "")
    assert worker.active()["keys_stale"] == "there are none"


def test_a_link_that_is_down_for_a_moment_is_none(worker: Worker) -> None:
    worker.runtime.links = {"a": LinkCounters(up=True), "b": LinkCounters(), "c": LinkCounters()}
    for _ in range(LINK_PATIENCE_LOOKS - 1):
        assert worker.active() == {}
    worker.runtime.links["b"].up = True
    assert worker.active() == {"link_down": "c"}
    worker.runtime.links["b"].up = False
    assert worker.active() == {"link_down": "c"}
    worker.runtime.links["c"].up = True
    assert worker.active() == {}


def test_a_certificate_that_cannot_be_used_or_expires(worker: Worker) -> None:
    worker.listener.certificates.stale = True
    worker.listener.certificates.not_after_s = NOW_S + EXPIRES_SOON_S - 1
    assert worker.active() == {"certificate_stale": "public", "certificate_expires": "public"}
    worker.listener.certificates = None
    assert worker.active() == {}


def test_clients_that_are_closed_vanish_or_are_refused(worker: Worker) -> None:
    worker.runtime.disconnects.update({CloseReason.STALLED: 2, CloseReason.TOO_MANY_BYTES: 1, CloseReason.DRAINING: 9})
    worker.runtime.ping_failures = 4
    worker.listener.refused["max_connections"] = MANY_REFUSALS - 1
    happened = worker.happened()
    assert happened == {
        "clients_cut": (3, "2 by crosstick.close.stalled, 1 by crosstick.close.too_many_bytes"),
        "clients_vanished": (4, ""),
    }
    worker.listener.refused["max_connections"] += 40
    worker.runtime.refused_tickets["revoked"] += MANY_REFUSALS - 40
    told = f"{MANY_REFUSALS} in a second: 60 by ticket (revoked), 40 by max_connections"
    assert worker.happened()["clients_refused"] == (MANY_REFUSALS, told)


def test_sessions_that_a_realm_has_no_room_for_are_logged_and_counted_at_the_end(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(FaultWatch, "log", Logger(observer=lambda event: lines.append(formatEvent(event))))
    refused = runtime.gatekeepers()["market"].refused
    # What a session may not do is no line: clients would write the log.
    refused["calls_per_s"] += 500
    worker.watch.look()
    assert lines == []
    for _ in range(20):
        refused["max_sessions_per_authid"] += 10
        worker.watch.look()
        worker.now_s += 1
    refused["max_sessions"] += 1
    for _ in range(200):
        worker.watch.look()
        worker.now_s += 1
    assert lines == [
        "realm market has refused sessions since its start: 10 by max_sessions_per_authid",
        (
            "realm market refuses none for now; it has refused sessions since its start: "
            "200 by max_sessions_per_authid, 1 by max_sessions"
        ),
    ]
