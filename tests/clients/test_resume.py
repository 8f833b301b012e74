"""Resuming at a real node that keeps few ticks: `market.replay`, what the clients make of it, and what is counted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from components.free_ports import free_port
from tests.clients.command import WATCH
from tests.clients.line import Line
from tests.clients.test_watch import LANGUAGES, Run, ticks_of
from tests.harness.client import Clients, until
from tests.harness.node import Node, component

KEPT = 20


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Return a node that keeps few ticks of each symbol."""

    def keep_few(config: dict[str, Any]) -> None:
        component(config, "gateway")["extra"] = {"fanout": {"replay": {"max_events_per_symbol": KEPT}}}

    environ = {"CROSSTICK_SIMULATOR_PORT": str(free_port()), "CROSSTICK_RATE": "5000"}
    node = Node(tmp_path_factory.mktemp("forgetful"), environ, change_config=keep_few)
    node.start()
    yield node
    node.stop()


@LANGUAGES
@pytest_twisted.ensureDeferred
async def test_what_the_gateway_has_forgotten_is_a_gap_of_just_that_and_the_rest_is_replayed(
    forgetful: Node, clients: Clients, run: Run, language: str
) -> None:
    line = Line(reactor, forgetful.port)
    try:
        command = run([*WATCH[language], "BTCUSDT"], url=line.ws_url, token=forgetful.token("alice"))
        await command.until(lambda: "live" in command.said and len(ticks_of(command)) >= 3)
        await line.cut()
        await command.until(lambda: "lost: " in command.said)
        before = len(ticks_of(command))
        last = ticks_of(command)[-1]["seq"]
        beside = await clients.join(forgetful.ws_url, authid="bob", ticket=forgetful.token("bob"))
        seen = await beside.events("market.BTCUSDT")
        await until(reactor, lambda: bool(seen) and seen[-1][1]["seq"] > last + 2 * KEPT)
        line.mend()
        await command.until(lambda: len(ticks_of(command)) >= before + 2 * KEPT)
    finally:
        await line.cut()
    numbers = [tick["seq"] for tick in ticks_of(command)]
    [(first, end)] = re.findall(r"^gap: BTCUSDT (\d+) to (\d+) of epoch \d+: gone$", command.said, re.MULTILINE)
    assert int(first) == last + 1
    assert int(end) >= last + KEPT
    assert numbers[:before] == list(range(numbers[0], last + 1))
    assert numbers[before:] == list(range(int(end) + 1, int(end) + 1 + len(numbers) - before))
    # The first answer is a full ring: the gap is not a tick longer than it has to be.
    [replayed, *_] = re.findall(
        rf"^replayed: (\d+) ticks of BTCUSDT after {last} up to (\d+)$", command.said, re.MULTILINE
    )
    assert (int(replayed[0]), int(replayed[1])) == (KEPT, int(end) + KEPT)


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
async def test_a_replay_has_the_very_ticks_of_the_stream(forgetful: Node, clients: Clients, serializer: str) -> None:
    ticket = forgetful.token("v")
    client = await clients.join(forgetful.ws_url, authid="v", ticket=ticket, serializer=serializer)
    received = await client.events("market.BTCUSDT")
    await until(reactor, lambda: len(received) > 5)
    epoch = (await client.call("market.status"))["epoch"]
    asked = received[-3][1]["seq"]
    replay = await client.call("market.replay", "BTCUSDT", epoch, asked)
    assert list(replay) == ["epoch", "symbol", "after_seq", "to_seq", "events", "missing", "more"]
    assert (replay["epoch"], replay["symbol"], replay["after_seq"]) == (epoch, "BTCUSDT", asked)
    assert (replay["missing"], replay["more"]) == ([], False)
    await until(reactor, lambda: received[-1][1]["seq"] >= replay["to_seq"])
    live = {tick["seq"]: tick for _, tick, _ in received}
    assert replay["events"] == [live[seq] for seq in range(asked + 1, replay["to_seq"] + 1)]


@pytest_twisted.ensureDeferred
async def test_replays_are_refused_and_counted_by_the_rules(forgetful: Node, clients: Clients) -> None:
    client = await clients.join(forgetful.ws_url, authid="v", ticket=forgetful.token("v", symbols=["BTC*"]))
    epoch = (await client.call("market.status"))["epoch"]
    before = forgetful.metrics()
    gone = await client.call("market.replay", "BTCUSDT", epoch, 0)
    assert gone["missing"] == [[1, gone["to_seq"] - KEPT]]
    other = await client.call("market.replay", "BTCUSDT", epoch - 1, 5)
    assert other == {
        "epoch": epoch,
        "symbol": "BTCUSDT",
        "after_seq": 5,
        "to_seq": 5,
        "events": [],
        "missing": [],
        "more": False,
    }
    invalid, unknown = "wamp.error.invalid_argument", "crosstick.error.unknown_symbol"
    assert await client.refusal(client.call("market.replay", "BTCUSDT", epoch, gone["to_seq"] + 10**6)) == invalid
    assert await client.refusal(client.call("market.replay", "ETHUSDT", epoch, 0)) == unknown
    assert await client.refusal(client.call("market.replay", "NOPE", epoch, 0)) == unknown
    await until(reactor, lambda: forgetful.metrics()["crosstick_replays_total",] > before["crosstick_replays_total",])
    after = forgetful.metrics()
    grown = {name: after[f"crosstick_{name}",] - before[f"crosstick_{name}",] for name in COUNTERS}
    assert grown == {"replays_total": 2, "replayed_events_total": KEPT, "replay_missing_total": gone["to_seq"] - KEPT}
    assert after["crosstick_replay_bytes",] > 0


COUNTERS = ("replays_total", "replayed_events_total", "replay_missing_total")


@pytest_twisted.ensureDeferred
async def test_who_comes_back_is_counted(forgetful: Node, clients: Clients) -> None:
    before = forgetful.metrics()
    for attempt, ticket in ((0, forgetful.token("v")), (2, forgetful.token("v")), (3, "nonsense"), ("x", "nonsense")):
        peer = await clients.peer(forgetful.ws_url)
        extra = {"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": "v", "authextra": {"attempt": attempt}}
        peer.say(1, "market", extra)
        await peer.hear(4)
        peer.say(5, ticket, {})
        await peer.hear(3 if ticket == "nonsense" else 2)
    name = "crosstick_reconnect_attempts_total"
    await until(reactor, lambda: forgetful.metrics()[name,] > before[name,])
    after = forgetful.metrics()
    assert after[name,] - before[name,] == 2
    assert after["crosstick_resumed_joins_total",] - before["crosstick_resumed_joins_total",] == 1
