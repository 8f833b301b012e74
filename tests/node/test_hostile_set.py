"""All attacks of ``crosstick bench hostile`` at once, a few of each kind, while honest clients follow the market."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from components.bench.hostile.attackers import Attackers, Onslaught, unexpected
from components.bench.hostile.catalogue import ATTACKS
from components.bench.systems.crosstick import create_rsa_key
from components.core.limits import RealmLimits
from tests.harness.client import Client, Clients, follows, until
from tests.harness.node import Node, component, with_limits

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
HONEST = 9
PATIENCE = 0.5
"""The timeouts of messages and requests here, as a part of what they are by default; those of joins are not shortened: this
machine may be busy."""

TOO_SLOW = "deaf to all ticks"
"""At the rate of this test it fills no buffer; ``test_slow_clients`` has it."""

ONSLAUGHT = Onslaught(
    seconds=25.0,
    intensity=0.25,
    repeat=False,
    patience=PATIENCE,
    slack_s=12.0,
    niceness=0,
    cpu_share=0.5,
    attacks=tuple(name for name in ATTACKS if name != TOO_SLOW and not name.startswith(("plain ", "sse "))),
)
PLAIN = replace(
    ONSLAUGHT,
    seconds=20.0,
    slack_s=10.0,
    intensity=0.1,
    # Who is deaf fills no buffer here either.
    attacks=tuple(name for name in ATTACKS if name.startswith(("plain ", "sse ")) and "deaf" not in name),
)
"""After it, on the same node: all at once would wait for one another rather than attack."""

MAX_GROWN_BYTES = 96 * 2**20
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


LIMITS = {"message_timeout": 10 * PATIENCE, "messages_burst": 300, "publishes_burst": 200}


def impatient(config: dict[str, Any]) -> None:
    """Give a node short timeouts, and limits that a flood reaches soon."""
    with_limits(**LIMITS)(config)
    component(config, "listeners")["extra"] = {"listeners": {"public": {"request_timeout": 10 * PATIENCE}}}
    component(config, "gateway")["extra"] = {"fanout": {"stall_timeout": 10 * PATIENCE, "send_buffer_bytes": 16_384}}


class Honest:
    """A client that follows the market, and what it missed."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.last_seq: dict[str, int] = {}
        self.holes: list[str] = []

    async def follow(self) -> None:
        for symbol in SYMBOLS:
            await self.client.subscribe(self._tick, f"market.{symbol}")

    def _tick(self, tick: dict[str, Any]) -> None:
        symbol, seq = tick["symbol"], tick["seq"]
        if symbol in self.last_seq and not follows(tick, self.last_seq[symbol]):
            self.holes.append(f"{symbol}: {seq} after {self.last_seq[symbol]}")
        self.last_seq[symbol] = seq


@pytest_twisted.ensureDeferred
async def test_attackers_of_all_kinds_at_once_cost_honest_clients_nothing_and_end_as_they_should(
    make_node: Callable[..., Node], clients: Clients, tmp_path: Path
) -> None:
    node = make_node(
        with_key=False,
        change_config=impatient,
        CROSSTICK_TOKEN_KEY_FILE=str(create_rsa_key(tmp_path)),
        CROSSTICK_RATE="60",
        CROSSTICK_SYMBOLS=",".join(SYMBOLS),
    )
    await deferToThread(node.start)
    honest = []
    for number in range(HONEST):
        authid, serializer = f"honest{number}", ("json", "msgpack", "cbor")[number % 3]
        client = await clients.join(node.ws_url, authid=authid, ticket=node.token(authid), serializer=serializer)
        honest.append(Honest(client))
        await honest[-1].follow()
    router = node.worker("router")
    before = router.memory_info().rss
    topics = [f"market.{symbol}" for symbol in SYMBOLS]
    limits = RealmLimits.from_mapping(LIMITS)
    with Attackers(ONSLAUGHT, node.port, topics, node.authority, limits, tmp_path, None) as attackers:
        report = await deferToThread(attackers.report)
    grown = router.memory_info().rss - before

    reached = {symbol: max(client.last_seq[symbol] for client in honest) for symbol in SYMBOLS}
    await until(
        reactor, lambda: all(client.last_seq[symbol] >= seq for client in honest for symbol, seq in reached.items())
    )
    assert [client.holes for client in honest] == [[]] * HONEST
    assert not any(client.client.left.called for client in honest)
    assert await deferToThread(node.ready) == (True, [])

    assert report["attackers"] >= 150
    assert unexpected(report["attacks"]) == []
    assert grown < MAX_GROWN_BYTES

    with Attackers(PLAIN, node.port, topics, node.authority, limits, tmp_path, None) as attackers:
        report_of_plain = await deferToThread(attackers.report)
    assert report_of_plain["attackers"] >= 100
    assert unexpected(report_of_plain["attacks"]) == []
    assert not any(client.client.left.called for client in honest)

    log = node.log
    assert "Traceback" not in log
    assert CONTROL.findall(log) == []
    assert "eyJ" not in log, "a token, or a part of one"
    answers: Counter[str] = Counter()
    for outcome in report["attacks"].values():
        answers.update(outcome["answers"])
    # The attackers did get in, where they have a ticket.
    assert answers["2"] > 50
