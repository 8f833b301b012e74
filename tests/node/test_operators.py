"""A node of two router workers, and operators who ask and close."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.threads import deferToThread

from components.free_ports import free_port
from tests.harness.client import Client, Clients, Peer, until
from tests.harness.node import Node
from tests.harness.plain import PlainClient
from tests.node.test_drain import alive, with_second_worker

OPERATORS = ("node.status", "node.faults", "node.sessions", "node.session", "node.close", "node.followers")
CLOSED = "crosstick.close.by_operator"


class Pair:
    """The node, and the ports of its workers ``router`` and ``router2``."""

    def __init__(self, node: Node, second: int) -> None:
        self.node = node
        self.second_url = f"ws://127.0.0.1:{second}/ws"

    async def operator(self, clients: Clients, url: str | None = None) -> Client:
        token = self.node.token("olga", role="operator", realm="ops")
        return await clients.join(url or self.node.ws_url, realm="ops", authid="olga", ticket=token)

    async def peer(self, clients: Clients, sub: str, url: str | None = None, **claims: Any) -> Peer:
        peer = await clients.peer(url or self.node.ws_url)
        await peer.join(sub, self.node.token(sub, **claims))
        return peer

    def stop_second(self, number: signal.Signals) -> None:
        os.kill(self.node.worker("router2").pid, number)


@pytest_twisted.async_yield_fixture(scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    """Return a node of two router workers without a feed, shared by these tests."""
    second = free_port()
    environ = {"CROSSTICK_SIMULATOR_PORT": str(free_port())}
    node = Node(tmp_path_factory.mktemp("pair"), environ, change_config=with_second_worker(second))
    await alive(node)
    yield Pair(node, second)
    await deferToThread(node.stop)


async def by_authid(operator: Client, **question: Any) -> dict[str, dict[str, Any]]:
    return {row["authid"]: row for row in (await operator.call("node.sessions", **question))["sessions"]}


@pytest_twisted.ensureDeferred
async def test_nobody_but_operators_is_answered(pair: Pair, clients: Clients) -> None:
    node = pair.node
    for role in ("viewer", "service", "operator"):
        client = await clients.join(node.ws_url, authid="eve", ticket=node.token("eve", role=role))
        for procedure in OPERATORS:
            assert await client.refusal(client.call(procedure)) == "wamp.error.not_authorized"
    for role in ("viewer", "service"):
        with pytest.raises(Exception, match="authentication_failed"):
            await clients.join(node.ws_url, realm="ops", authid="eve", ticket=node.token("eve", role=role, realm="ops"))


@pytest_twisted.ensureDeferred
async def test_that_an_operator_joins_is_no_line_of_the_log(pair: Pair, clients: Clients) -> None:
    begin = len(pair.node.log)
    await pair.operator(clients)
    # What is logged later has come, so what was logged before has, too.
    with pytest.raises(Exception, match="authentication_failed"):
        await clients.join(pair.node.ws_url, realm="ops", authid="late", ticket="forged")
    await until(reactor, lambda: "for authid 'late'" in pair.node.log)
    assert "session attached" not in pair.node.log[begin:]


@pytest_twisted.ensureDeferred
async def test_sessions_of_all_workers_are_listed_page_by_page(pair: Pair, clients: Clients) -> None:
    operator = await pair.operator(clients)
    names = [f"alice{number}" for number in range(5)]
    for number, name in enumerate(names):
        peer = await pair.peer(clients, name, pair.second_url if number % 2 else None, tier="gold")
        for request in range(number):
            peer.say(32, request + 1, {}, f"market.SYMBOL{request}")
            await peer.hear(33)
    seen: list[dict[str, Any]] = []
    after = None
    with PlainClient(pair.node) as plain:
        await deferToThread(plain.open, f"token={pair.node.token('alice-plain')}")
        while True:
            page = await operator.call("node.sessions", after, 2, order="subscriptions", search="ALICE")
            assert (page["matching"], page["unanswered"]) == (6, [])
            assert page["total"] >= 7
            seen += page["sessions"]
            after = page["next"]
            if after is None:
                break
    assert [row["authid"] for row in seen if row["subscriptions"]] == ["alice4", "alice3", "alice2", "alice1"]
    rows = {row["authid"]: row for row in seen}
    assert {name: rows[name]["worker"] for name in names} == {
        name: "router2" if number % 2 else "router" for number, name in enumerate(names)
    }
    assert (rows["alice-plain"]["transport"], rows["alice4"]["transport"]) == ("plain", "wamp.json")
    assert rows["alice4"]["queue"]["max_bytes"] == 1_000_000
    assert (rows["alice4"]["tier"], rows["alice4"]["address"], rows["alice4"]["realm"]) == (
        "gold",
        "127.0.0.1",
        "market",
    )

    details = await operator.call("node.session", rows["alice3"]["session"])
    assert details["worker"] == "router2"
    assert details["subscribed"] == [{"uri": f"market.SYMBOL{number}", "match": "exact"} for number in range(3)]
    assert details["limits"]["calls_per_s"] == 20
    assert (details["refused"], details["symbols"]) == ({}, None)
    followers = await operator.call("node.followers", ["SYMBOL0", "SYMBOL9"])
    assert followers == {"followers": {"SYMBOL0": 4, "SYMBOL9": 0}, "unanswered": []}


@pytest_twisted.ensureDeferred
async def test_what_was_refused_is_told_of_each_session(pair: Pair, clients: Clients) -> None:
    operator = await pair.operator(clients)
    peer = await pair.peer(clients, "greedy", pair.second_url)
    for request in range(1, 104):
        peer.say(48, request, {}, "market.status")
    await peer.hear(8)
    greedy = (await by_authid(operator, authid="greedy"))["greedy"]
    assert greedy["refusals"] > 0
    details = await operator.call("node.session", session=greedy["session"])
    assert details["refused"] == {"calls_per_s": details["refusals"]}


@pytest_twisted.ensureDeferred
async def test_an_operator_closes_one_session_of_another_worker(pair: Pair, clients: Clients) -> None:
    operator = await pair.operator(clients)
    mallory, alice = [await pair.peer(clients, name, pair.second_url) for name in ("mallory", "alice")]
    session = (await by_authid(operator, search="mallory"))["mallory"]["session"]
    told = await operator.call("node.close", session, reason="spins\x1b[2J")
    assert told == {"worker": "router2", "authid": "mallory", "address": "127.0.0.1"}
    assert await mallory.closed == (4012, CLOSED)
    assert "alice" in await by_authid(operator, search="alice")
    assert await operator.refusal(operator.call("node.close", session)) == "crosstick.error.no_such_session"
    assert await operator.refusal(operator.call("node.session", session)) == "crosstick.error.no_such_session"
    assert f"'olga' closes session {session} of 'mallory' from 127.0.0.1: spins" in pair.node.log
    assert "\x1b[2J" not in pair.node.log
    # Its token is as good as before.
    await pair.peer(clients, "mallory", pair.second_url)
    alice.sendClose()


@pytest_twisted.ensureDeferred
async def test_the_status_has_a_row_for_each_worker(pair: Pair, clients: Clients) -> None:
    operator = await pair.operator(clients, pair.second_url)
    status = await operator.call("node.status")
    assert [row["worker"] for row in status["workers"]] == ["router", "router2"]
    assert (status["answered_by"], status["unanswered"], status["ready"]) == ("router2", [], False)
    assert all("no feed has reported" in row["because"] for row in status["workers"])
    assert {row["pid"] for row in status["workers"]} == {pair.node.worker(name).pid for name in ("router", "router2")}
    assert status["workers"][1]["sessions"]["ops"] == 1
    assert status["feed"]["state"] == "feed_lost"
    faults = await operator.call("node.faults")
    assert (set(faults), faults["unanswered"]) == ({"active", "recent", "unanswered"}, [])


@pytest_twisted.ensureDeferred
async def test_arguments_that_cannot_be_are_refused_with_their_rule(pair: Pair, clients: Clients) -> None:
    operator = await pair.operator(clients)
    for procedure, arguments in (
        ("node.sessions", {"limit": 0}),
        ("node.sessions", {"after": "x"}),
        ("node.session", {}),
        ("node.close", {"session": "all"}),
        ("node.status", {"worker": "router"}),
    ):
        assert await operator.refusal(operator.call(procedure, **arguments)) == "wamp.error.invalid_argument"


@pytest_twisted.ensureDeferred
async def test_a_worker_that_stands_still_is_said_to_be_silent(pair: Pair, clients: Clients) -> None:
    operator = await pair.operator(clients)
    await pair.peer(clients, "bob")
    pair.stop_second(signal.SIGSTOP)
    try:
        status, page, refusal = await gatherResults(
            [
                operator.call("node.status"),
                operator.call("node.sessions", search="bob"),
                operator.call("node.close", 5).addErrback(lambda failure: failure.value),
            ]
        )
    finally:
        pair.stop_second(signal.SIGCONT)
    assert ([row["worker"] for row in status["workers"]], status["unanswered"]) == (["router"], ["router2"])
    assert ([row["authid"] for row in page["sessions"]], page["unanswered"]) == (["bob"], ["router2"])
    assert refusal.error == "crosstick.error.no_such_session"
    assert refusal.kwargs == {"unanswered": ["router2"]}
    assert "router2" in refusal.args[0]
    assert (await operator.call("node.status"))["unanswered"] == []
