"""Operators change what a node's feed follows, and clients notice nothing but that."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from components.feed.choice_file import FILE_NAME
from tests.harness.client import Clients, first_answer, follows, until
from tests.harness.node import Node

CROSSTICK = str(Path(sys.executable).with_name("crosstick"))
Events = list[tuple[str, dict[str, Any], bool]]


def crosstick_symbols(node: Node, *arguments: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CROSSTICK_")}
    token = node.token("olga", "operator", realm="ops")
    return subprocess.run(
        [CROSSTICK, "symbols", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=inherited | {"CROSSTICK_URL": node.ws_url, "CROSSTICK_TOKEN": token},
        timeout=60,
    )


def unbroken(events: Events, topic: str) -> bool:
    ticks = [tick for at, tick, _ in events if at == topic]
    return all(follows(tick, before["seq"]) for before, tick in itertools.pairwise(ticks))


@pytest_twisted.ensureDeferred
async def test_symbols_are_changed_at_run_time_and_kept(make_node: Callable[..., Node], clients: Clients) -> None:
    node = make_node(CROSSTICK_SYMBOLS="XRPUSDT,ADAUSDT", CROSSTICK_RATE="600", CROSSTICK_STALE_AFTER="1")
    kept = node.directory / FILE_NAME
    kept.write_text(json.dumps({"version": 7, "symbols": ["BTCUSDT", "ETHUSDT"], "by": "oscar", "at_ms": 7}))
    await deferToThread(node.start)
    viewer = await clients.join(node.ws_url, authid="v", ticket=node.token("v"))
    some = await clients.join(node.ws_url, authid="s", ticket=node.token("s", symbols=["SOL*", "NO*"]))
    olga = await clients.join(node.ws_url, authid="olga", ticket=node.token("olga", "operator", "ops"), realm="ops")

    said = await olga.call("feed.symbols")
    assert (said["symbols"], said["source"], said["version"]) == (["BTCUSDT", "ETHUSDT"], "operator", 7)
    assert (said["by"], said["at"], said["rejected"]) == ("oscar", 7, {})
    # Nobody but operators, and these in their realm alone.
    for client, procedure in (
        (viewer, "feed.set_symbols"),
        (viewer, "crosstick.feed.choose"),
        (olga, "crosstick.feed.choose"),
    ):
        assert await client.refusal(client.call(procedure, ["BTCUSDT"])) == "wamp.error.not_authorized"
    for wrong in ([], ["btcusdt"], ["BTCUSDT", "BTCUSDT"], ["BTC USDT"], "BTCUSDT", [""], ["A1"] * 2001):
        assert await olga.refusal(olga.call("feed.set_symbols", wrong)) == "wamp.error.invalid_argument"
    stale_version = olga.call("feed.set_symbols", ["BTCUSDT"], if_version=5)
    assert await olga.refusal(stale_version) == "crosstick.error.changed_meanwhile"

    events: Events = await viewer.events("market.", "prefix")
    await until(reactor, lambda: sum(topic == "market.ETHUSDT" for topic, _, _ in events) > 5)
    before = time.time()
    answer = await olga.call("feed.set_symbols", ["BTCUSDT", "SOLUSDT", "NOSUCHUSDT"])
    assert (answer["source"], answer["symbols"]) == ("operator", ["BTCUSDT", "SOLUSDT", "NOSUCHUSDT"])
    await until(reactor, lambda: sum(topic == "market.SOLUSDT" for topic, _, _ in events) > 5)
    said = await olga.call("feed.symbols")
    assert (said["by"], said["version"], said["symbols"]) == ("olga", answer["version"], answer["symbols"])
    assert before - 1 <= said["at"] / 1000 <= time.time() + 1
    # Clients hear of it, and nobody of what is not granted.
    status = [event for topic, event, _ in events if topic == "market.status"][-1]
    assert (status["symbols"], status["symbols_version"]) == (3, answer["version"])
    assert "choice" not in status
    assert "choice" not in await viewer.call("market.status")
    assert await viewer.call("market.symbols") == ["BTCUSDT", "SOLUSDT", "NOSUCHUSDT"]
    assert await some.call("market.symbols") == ["SOLUSDT", "NOSUCHUSDT"]
    # What was removed is silent, and nothing stands of it.
    assert await viewer.refusal(viewer.call("market.snapshot", ["ETHUSDT"])) == "crosstick.error.unknown_symbol"
    retained = await (await clients.join(node.ws_url, authid="r", ticket=node.token("r"))).events(
        "market.", "prefix", retained=True
    )
    await until(reactor, lambda: any(topic == "market.SOLUSDT" for topic, _, _ in retained))
    assert not any(topic.startswith("market.ETHUSDT") for topic, _, _ in retained)
    first_of_sol = next(tick for topic, tick, _ in events if topic == "market.SOLUSDT")
    assert first_of_sol["seq"] - first_of_sol.get("merged", 1) == 0
    assert unbroken(events, "market.BTCUSDT")
    assert unbroken(events, "market.SOLUSDT")

    async def rejected() -> dict[str, str]:
        said: dict[str, str] = (await olga.call("feed.symbols"))["rejected"]
        return said

    assert await first_answer(reactor, rejected) == {"NOSUCHUSDT": "the exchange sends nothing of it"}

    # By the command; a symbol that comes back goes on where it was.
    last_of_eth = [tick for topic, tick, _ in events if topic == "market.ETHUSDT"][-1]["seq"]
    added = await deferToThread(crosstick_symbols, node, "add", "ETHUSDT")
    assert added.stdout.splitlines()[:2] == ["BTCUSDT", "SOLUSDT"], added.stderr
    assert "4 symbols, chosen by olga" in added.stderr
    removed = await deferToThread(crosstick_symbols, node, "remove", "NOSUCHUSDT,SOLUSDT", "--json")
    assert json.loads(removed.stdout)["symbols"] == ["BTCUSDT", "ETHUSDT"], removed.stderr
    assert json.loads(kept.read_text())["symbols"] == ["BTCUSDT", "ETHUSDT"]
    assert unbroken(events, "market.ETHUSDT")
    assert [tick for topic, tick, _ in events if topic == "market.ETHUSDT"][-1]["seq"] > last_of_eth
    assert "olga' has set 3 symbols: 2 more than before, 1 no longer" in node.log

    reset = await deferToThread(crosstick_symbols, node, "reset")
    assert [line.split()[0] for line in reset.stdout.splitlines()] == ["XRPUSDT", "ADAUSDT"], reset.stderr
    assert reset.stderr == "2 symbols, of the feed's environment\n"
    assert "Traceback" not in node.log
