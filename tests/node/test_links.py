"""Services across workers and nodes: a node of one router worker and a node of two, all linked, and clients of each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

import pytest
import pytest_twisted
from autobahn.wamp import ApplicationError
from autobahn.wamp.types import RegisterOptions
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.threads import deferToThread

from components.node_config import NodePlan, PeerNode
from tests.harness.client import Client, Clients, until
from tests.harness.cluster import linked_node, ports_in_a_row
from tests.harness.node import Node, free_port
from tests.harness.relay import Relay


@dataclass
class Cluster:
    """Node ``a`` has one router worker, node ``b`` two that share a port; ``relay`` is on the way from ``a`` to ``b-1``."""

    a: Node
    b: Node
    management: int
    """The port of ``b-1``, behind which is that of ``b-2``."""
    relay: Relay


@pytest_twisted.async_yield_fixture(scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Return nodes that are linked; of ``b``, the first worker has the market."""
    to_a, to_b, management, front = free_port(), ports_in_a_row(2), ports_in_a_row(2), ports_in_a_row(2)
    a = NodePlan(name="a", links_port=to_a, peers=(PeerNode("b", "127.0.0.1", range(front, front + 2)),))
    peer = PeerNode("a", "127.0.0.1", range(to_a, to_a + 1))
    b = NodePlan(name="b", workers=2, management_port=management, links_port=to_b, peers=(peer,))
    relays = [Relay(reactor, to_b), Relay(reactor, to_b + 1)]
    for index, relay in enumerate(relays):
        await relay.listen(front + index)
    made = Cluster(
        linked_node(tmp_path_factory.mktemp("a"), a),
        linked_node(tmp_path_factory.mktemp("b"), b, CROSSTICK_RATE="200"),
        management,
        relays[0],
    )
    try:
        await gatherResults([deferToThread(made.a.start), deferToThread(made.b.start)], consumeErrors=True)
        await until(reactor, lambda: links_up(made) == 6)
        yield made
    finally:
        await deferToThread(made.a.stop)
        await deferToThread(made.b.stop)
        for relay in relays:
            await relay.close()


def links_up(cluster: Cluster) -> float:
    """Return how many links there are: each of the three routers has two."""
    own = sum(value for key, value in cluster.a.metrics().items() if key[0] == "crosstick_link_up")
    return own + sum(worker_metric(cluster, index, "crosstick_link_up") for index in range(2))


def worker_metric(cluster: Cluster, index: int, name: str) -> float:
    with urlopen(f"http://127.0.0.1:{cluster.management + index}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    )


async def viewer(clients: Clients, node: Node, sub: str = "v") -> Client:
    return await clients.join(node.ws_url, authid=sub, ticket=node.token(sub, services=["*"]))


async def service(clients: Clients, node: Node, sub: str) -> Client:
    return await clients.join(node.ws_url, authid=sub, ticket=node.token(sub, "service"))


async def on_each_worker(clients: Clients, cluster: Cluster) -> list[Client]:
    """Return a viewer of each worker of the node of two, as the kernel hands them out."""
    found: dict[str, Client] = {}
    for number in range(64):
        client = await viewer(clients, cluster.b, f"v{number}")
        status = await client.call("market.status")
        found.setdefault("first" if status["state"] != "feed_lost" else "second", client)
        if len(found) == 2:
            return [found["first"], found["second"]]
    raise AssertionError("all connections are one worker's")


async def answered(client: Client, procedure: str, *arguments: Any) -> Any:
    """Return what a procedure answers, once it is there."""
    while True:
        try:
            return await client.call(procedure, *arguments)
        except ApplicationError as error:
            assert error.error == "wamp.error.no_such_procedure", error


async def gone(client: Client, procedure: str) -> None:
    """Return when a procedure is there no more."""
    while await client.refusal(client.call(procedure)) != "wamp.error.no_such_procedure":
        pass


@pytest_twisted.ensureDeferred
async def test_a_service_is_called_from_all_workers_and_nodes_and_goes_with_its_session(
    cluster: Cluster, clients: Clients
) -> None:
    quotes = await service(clients, cluster.a, "quotes")
    callers = []

    def vwap(symbol: str, details: Any) -> Any:
        callers.append((details.caller_authid, details.caller_authrole))
        return {"symbol": symbol, "vwap": "1.50"}

    await quotes.register(vwap, "services.quotes.vwap", options=RegisterOptions(details_arg="details"))
    everywhere = [await viewer(clients, cluster.a, "vera"), *await on_each_worker(clients, cluster)]
    for client in everywhere:
        assert await answered(client, "services.quotes.vwap", "BTCUSDT") == {"symbol": "BTCUSDT", "vwap": "1.50"}
    assert callers == [(client.session_details.authid, "viewer") for client in everywhere]
    await quotes.leave()
    for client in everywhere:
        await gone(client, "services.quotes.vwap")
