"""A client that does not read hurts nobody, is told the truth, and is cut when it has had its time."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest_twisted
from autobahn.twisted.websocket import WebSocketClientFactory
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from components.bench.slow import run_slow
from components.bench.slow_phase import Plan
from components.bench.tick_ledger import TickLedger
from tests.harness.client import Clients, RawProtocol, until
from tests.harness.node import Node, component, with_limits

RATE_PER_S = 3000


def impatient(config: dict[str, Any]) -> None:
    """Make a node cut stalled clients after two seconds, with little room in the kernel to hide prices in."""
    component(config, "gateway")["extra"] = {"fanout": {"stall_timeout": 2, "send_buffer_bytes": 16_384}}
    with_limits(tiers={"patient": {"stall_timeout": 60}})(config)


class SlowProtocol(RawProtocol):
    """Reads only when it is told to; keeps the ticks of one symbol, numbers as text."""

    def __init__(self) -> None:
        super().__init__()
        self.ticks: list[dict[str, Any]] = []
        self.goodbye: list[Any] = []
        self.close_code: int | None = None
        self.close_reason: str | None = None

    def connectionMade(self) -> None:
        # A small window on this side too: the kernel would else take megabytes for a client that does not read.
        self.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        super().connectionMade()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        message = json.loads(payload, parse_float=str)
        if message[0] == 36:
            if message[3]["topic"] == "market.BTCUSDT":
                self.ticks.append(message[4][0])
        elif message[0] == 6:
            self.goodbye = message
        else:
            super().onMessage(payload, isBinary)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.close_code, self.close_reason = code, reason


async def pause(seconds: float) -> None:
    waited: Deferred[None] = Deferred()
    reactor.callLater(seconds, waited.callback, None)
    await waited


async def connect(node: Node, clients: Clients, authid: str, **claims: Any) -> SlowProtocol:
    factory = WebSocketClientFactory(node.ws_url, protocols=["wamp.2.json"])
    factory.protocol = SlowProtocol
    factory.setup = (node.token(authid, **claims), authid, ["market."], "prefix")
    protocol: SlowProtocol = await clients._connect(node.ws_url, factory)
    await protocol.subscribed
    return protocol


def traded(ticks: list[dict[str, Any]], after_seq: int, until_seq: int) -> Decimal:
    """Return what was traded between two ticks; fails where a trade is missing or counted twice."""
    ledger = TickLedger(after_seq)
    for tick in ticks:
        if after_seq < tick["seq"] <= until_seq:
            ledger.take(tick)
    assert ledger.last_seq == until_seq
    return ledger.volume


@pytest_twisted.ensureDeferred
async def test_a_stalled_client_is_cut_and_a_slow_one_keeps_exact_sums(
    make_node: Callable[..., Node], clients: Clients
) -> None:
    node = make_node(
        change_config=impatient, CROSSTICK_RATE=str(RATE_PER_S), CROSSTICK_SYMBOLS="BTCUSDT,ETHUSDT,SOLUSDT"
    )
    await deferToThread(node.start)
    honest = await connect(node, clients, "honest")
    slow = await connect(node, clients, "slow")
    stalled = await connect(node, clients, "stalled")
    patient = await connect(node, clients, "patient", tier="patient")
    before = node.worker("router").memory_info().rss
    stalled.transport.pauseProducing()
    patient.transport.pauseProducing()
    # The slow one reads for a moment twice a second.
    for _ in range(10):
        slow.transport.pauseProducing()
        await pause(0.45)
        slow.transport.resumeProducing()
        await pause(0.05)
    await until(reactor, lambda: "session closed: crosstick.close.stalled" in node.log)
    grown = node.worker("router").memory_info().rss - before
    reached = honest.ticks[-1]["seq"]
    await until(reactor, lambda: bool(slow.ticks) and slow.ticks[-1]["seq"] >= reached)

    # On a busy machine this process may be slow itself, and its honest client be given merged ticks now and then: what is
    # compared lies between two ticks that both got.
    common = sorted({tick["seq"] for tick in slow.ticks} & {tick["seq"] for tick in honest.ticks})
    first, last = common[0], common[-1]
    assert any("merged" in tick for tick in slow.ticks if first < tick["seq"] <= last)
    assert traded(slow.ticks, first, last) == traded(honest.ticks, first, last)
    assert slow.close_code is None
    assert honest.close_code is None
    assert grown < 8 * 2**20

    # Its tier says a minute.
    assert node.log.count("session closed: ") == 1
    patient.transport.resumeProducing()
    await until(reactor, lambda: bool(patient.ticks) and patient.ticks[-1]["seq"] >= reached)
    assert patient.close_code is None

    stalled.transport.resumeProducing()
    await until(reactor, lambda: stalled.close_code is not None)
    if stalled.goodbye:
        assert stalled.goodbye[2] == "crosstick.close.stalled"
    assert node.log.count("session closed: crosstick.close.stalled") == 1
    assert "Traceback" not in node.log


def test_stuck_clients_cost_little_and_a_slow_readers_ticks_add_up_to_what_was_published() -> None:
    plan = Plan(
        readers=6,
        stuck=2,
        topics=20,
        ticks_per_s=2_000,
        stall_timeout_s=1.5,
        send_buffer_bytes=16_384,
        warm_s=0.5,
        measured_s=4.0,
    )
    said: list[str] = []
    result = run_slow(plan, 1, said.append)
    print(*said, *result["conditions"], sep="\n")
    assert [condition for condition in result["conditions"] if not (condition["holds"] or condition["timing"])] == []
    assert result["problems"] == []
    assert result["slow"]["told_else"] == 0
    assert 0 < result["slow"]["reader_ticks"] < result["slow"]["reader_trades"]
