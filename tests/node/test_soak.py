"""Life with a bad exchange: cuts, gaps and malformed frames, one after the other, for as long as is asked.

The suite runs it for a few seconds; ``make soak`` for 30 minutes.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_twisted
from autobahn.wamp.types import SubscribeOptions
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from components.simulator.faults import Fault, FaultKind
from components.simulator.faults import MalformedFrame as Malformed
from components.simulator.protocol import ConnectionRules
from components.simulator.server import SimulatedExchange
from tests.harness.client import Clients, follows, until
from tests.harness.node import Node

FAULT_INTERVAL_S = 1.5
LIFE_S = 12.0
"""How long the exchange's 24 hours last here."""

MAX_GROWTH_BYTES = 8 * 2**20
WARM_UP_S = 60.0


def some_fault(chance: random.Random) -> Fault:
    symbol = chance.choice(["BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT"])
    return chance.choice(
        [
            Fault(FaultKind.CUT),
            Fault(FaultKind.SHUTDOWN, seconds=0.3),
            Fault(FaultKind.DOWN, seconds=1.0),
            Fault(FaultKind.SILENT, symbol=symbol, seconds=2.0),
            Fault(FaultKind.GAP, symbol=symbol, count=chance.randint(1, 20)),
            Fault(FaultKind.DUPLICATE, symbol=symbol, count=chance.randint(1, 20)),
            *(Fault(FaultKind.MALFORMED, count=20, variant=variant) for variant in Malformed),
        ]
    )


async def pause(seconds: float) -> None:
    waited: Deferred[None] = Deferred()
    reactor.callLater(seconds, waited.callback, None)
    await waited


@pytest_twisted.ensureDeferred
async def test_a_bad_exchange_does_the_node_no_harm(
    make_node: Callable[..., Node],
    make_exchange: Callable[..., Awaitable[SimulatedExchange]],
    clients: Clients,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    duration_s = 60.0 * request.config.getoption("--soak-minutes")
    rules = ConnectionRules(max_life_s=LIFE_S, attempts_per_window=10**6)
    exchange = await make_exchange(rate_per_s=1000, rules=rules)
    node = make_node(CROSSTICK_EXCHANGE_URL=exchange.url, as_shipped=True)
    await deferToThread(node.start)
    client = await clients.join(node.ws_url, authid="v", ticket=node.token("v", ttl_s=86_400))
    last_seq: dict[str, int] = {}
    holes: list[tuple[str, int, int]] = []
    events = 0

    def take(argument: dict[str, Any], details: Any) -> None:
        nonlocal events
        if details.topic == "market.status":
            return
        events += 1
        last = last_seq.get(details.topic)
        if last is not None and not follows(argument, last):
            holes.append((details.topic, last, argument["seq"]))
        last_seq[details.topic] = argument["seq"]

    await client.subscribe(take, "market.", options=SubscribeOptions(match="prefix", details_arg="details"))
    chance = random.Random(7)
    memory: dict[str, list[int]] = {"router": [], "feed": []}
    began_s = reactor.seconds()
    # However short the run: these two are what is asked for in the end.
    first = [Fault(FaultKind.MALFORMED, count=20), Fault(FaultKind.CUT)]
    while first or reactor.seconds() - began_s < duration_s:
        await exchange.inject(first.pop(0) if first else some_fault(chance))
        await pause(FAULT_INTERVAL_S)
        if reactor.seconds() - began_s > min(WARM_UP_S, duration_s / 2):
            for worker, sizes in memory.items():
                sizes.append(node.worker(worker).memory_info().rss)
    await exchange.inject(Fault(FaultKind.RESUME))
    before = events
    await until(reactor, lambda: events > before + 100)

    status = await client.call("market.status")
    third = max(1, len(memory["router"]) // 3)
    growth = {
        worker: statistics.median(sizes[-third:]) - statistics.median(sizes[:third]) for worker, sizes in memory.items()
    }
    with capsys.disabled():
        print(f"\nsoak: {duration_s:g} s, {events} events, {exchange.counters.faults} faults, memory growth {growth}")
        print(f"soak: {status['exchange']}, {status['counters']}")
    assert holes == []
    assert not client.left.called
    assert status["exchange"]["reconnects"] > 0
    assert status["counters"]["malformed"] > 0
    assert all(grown < MAX_GROWTH_BYTES for grown in growth.values()), growth
    assert [line for line in node.log.splitlines() if "Traceback" in line or "nhandled" in line] == []
