"""What clients of a whole node notice when the exchange fails: a pause, and a status that told the truth."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from components.core.faults import Fault
from components.core.remedies import REMEDIES
from components.simulator.server import SimulatedExchange
from tests.harness.client import Clients, follows, until
from tests.harness.node import Node


@pytest_twisted.ensureDeferred
async def test_a_killed_and_restarted_exchange_is_but_a_pause(
    make_node: Callable[..., Node],
    make_exchange: Callable[..., Awaitable[SimulatedExchange]],
    clients: Clients,
) -> None:
    exchange = await make_exchange(rate_per_s=500)
    port = int(exchange.url.rpartition(":")[2])
    node = make_node(CROSSTICK_EXCHANGE_URL=exchange.url)
    await deferToThread(node.start)
    client = await clients.join(node.ws_url, authid="v", ticket=node.token("v"))
    events = await client.events("market.", "prefix")
    statuses = await client.events("market.status")
    await until(reactor, lambda: len(events) > 200)
    # What its start was made of is no row of faults.
    await until(reactor, lambda: node.metrics()["crosstick_fault_active", "gateway_not_ready"] == 0)
    operator = await clients.join(
        node.ws_url, realm="ops", authid="olga", ticket=node.token("olga", role="operator", realm="ops")
    )
    assert await operator.call("node.faults") == {"active": [], "recent": [], "unanswered": []}
    assert node.metrics()["crosstick_faults_total", "gateway_not_ready"] == 0

    await exchange.stop()
    await until(reactor, lambda: any(status["state"] == "connecting" for _, status, _ in statuses))
    assert (await client.call("market.status"))["state"] == "connecting"
    # It has served, and goes on with what it has, for a minute.
    status_code, _, body = node.get("/readyz")
    said = json.loads(body)
    assert (status_code, said["ready"], said["because"]) == (200, True, [])
    assert said["degraded"][0].startswith("the feed is connecting: ")
    await until(reactor, lambda: node.metrics()["crosstick_fault_active", "exchange_unreachable"] == 1)
    active = (await operator.call("node.faults"))["active"]
    said = {fault["fault"]: (fault["help"], fault["remedy"]) for fault in active}
    assert said["exchange_unreachable"] == (
        Fault.EXCHANGE_UNREACHABLE.help,
        REMEDIES[Fault.EXCHANGE_UNREACHABLE],
    )

    before = len(events)
    await make_exchange(port=port, rate_per_s=500)
    await until(reactor, lambda: len(events) > before + 50, timeout_s=5.0)
    await until(reactor, lambda: bool(statuses) and statuses[-1][1]["state"] == "live")
    status: dict[str, Any] = await client.call("market.status")
    assert (status["state"], status["exchange"]["reconnects"]) == ("live", 1)
    await until(reactor, lambda: node.metrics()["crosstick_faults_total", "exchange_reconnected"] == 1)
    recent = (await operator.call("node.faults"))["recent"]
    assert {"exchange_unreachable", "exchange_reconnected"} <= {fault["fault"] for fault in recent}
    assert "gateway_not_ready" not in {fault["fault"] for fault in recent}
    last_seq: dict[str, int] = {}
    for topic, argument, _ in events:
        if topic != "market.status":
            assert topic not in last_seq or follows(argument, last_seq[topic]), topic
            last_seq[topic] = argument["seq"]
    assert not client.left.called


def test_a_node_ends_within_five_seconds_and_leaves_nothing_running(make_node: Callable[..., Node]) -> None:
    node = make_node(as_shipped=True)
    node.start()
    began = time.monotonic()
    node.stop()  # asserts that no process of the node is left
    assert time.monotonic() - began < 5.0


def test_the_first_log_is_clean(make_node: Callable[..., Node]) -> None:
    node = make_node(as_shipped=True)
    node.start()
    node.stop()
    suspicious = ("Traceback", "numpy", "NumPy", "Warning", "WARN", "rror:", "ailed", "nhandled")
    assert [line for line in node.log.splitlines() if any(word in line for word in suspicious)] == []


def test_a_dead_worker_ends_the_node(make_node: Callable[..., Node]) -> None:
    node = make_node(as_shipped=True)
    node.start()
    node.worker("feed").kill()
    assert node.process.wait(10) != 0


def test_a_taken_exchange_port_ends_the_node_with_one_clear_line(make_node: Callable[..., Node]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        node = make_node(CROSSTICK_SIMULATOR_PORT=str(port))
        node.spawn()
        assert node.process.wait(30) != 0
    reasons = [line for line in node.log.splitlines() if "the simulated exchange cannot start" in line]
    assert len(reasons) == 1
    assert str(port) in reasons[0]


def test_a_recording_named_in_the_environment_is_all_that_a_node_needs(
    make_node: Callable[..., Node], recordings: list[Path]
) -> None:
    node = make_node(CROSSTICK_RECORDING=str(recordings[0]), CROSSTICK_RECORDING_SPEED="100")
    node.start()
