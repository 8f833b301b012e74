"""Services across workers and nodes: a node of one router worker and one of two, all linked, and clients of each."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

import psutil
import pytest
import pytest_twisted
from autobahn.wamp import ApplicationError
from autobahn.wamp.types import CallOptions, CallResult, PublishOptions, RegisterOptions
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import LogEvent, globalLogPublisher

from components.free_ports import free_port, free_ports_in_a_row
from components.node_config import NodePlan, PeerNode
from components.router.links.component import MAX_WAITING_CALLS
from components.router.links.link import Link
from components.router.runtime import LinkCounters
from components.tokens import TokenAuthority, load_link_authority
from tests.harness.client import Client, Clients, Refused, follows, until
from tests.harness.cluster import LINK_KEY, linked_node
from tests.harness.node import Node
from tests.harness.redis import RedisServer
from tests.harness.relay import Relay

ON_B = 16
"""So many connections to one port are two workers' in all runs but one of 30,000."""


@dataclass
class Cluster:
    """Node ``a`` has one router worker and the feed, ``b`` two that share a port, and no feed; a Redis is the bus of both.

    ``relays`` are on the way from ``a`` to the workers of ``b``.
    """

    a: Node
    b: Node
    management: int
    """The port of ``b-1``, behind which is that of ``b-2``."""
    links: int
    """Where ``a`` listens for links."""
    relays: list[Relay]


@pytest_twisted.async_yield_fixture(scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Return nodes that are linked."""
    to_a = free_port()
    to_b, management, front = (free_ports_in_a_row(2)[0] for _ in range(3))
    a = NodePlan(name="a", links_port=to_a, peers=(PeerNode("b", "127.0.0.1", range(front, front + 2)),))
    peer = PeerNode("a", "127.0.0.1", range(to_a, to_a + 1))
    b = NodePlan(name="b", role="gateway", workers=2, management_port=management, links_port=to_b, peers=(peer,))
    relays = [Relay(reactor, to_b), Relay(reactor, to_b + 1)]
    for index, relay in enumerate(relays):
        await relay.listen(front + index)
    redis = RedisServer(tmp_path_factory.mktemp("redis"))
    redis.start()
    nodes = [linked_node(tmp_path_factory.mktemp(plan.name), plan, CROSSTICK_BUS=redis.url) for plan in (a, b)]
    made = Cluster(*nodes, management, to_a, relays)
    # The key is the same: what a viewer of one may do, it may do at the other.
    (made.b.directory / "development.key").write_bytes((made.a.directory / "development.key").read_bytes())
    try:
        made.b.spawn()
        # The first finds no peer, or half of it, and starts all the same.
        await deferToThread(made.a.start)
        await until_linked(made, 60)
        yield made
    finally:
        await deferToThread(made.a.stop)
        await deferToThread(made.b.stop)
        redis.kill()
        for relay in relays:
            await relay.close()


async def until_linked(cluster: Cluster, timeout_s: float) -> None:
    """Return when all links are there. The reactor, and with it the lines between the nodes, goes on meanwhile."""
    deadline_s = reactor.seconds() + timeout_s
    while (up := await deferToThread(links_up, cluster)) != 6:
        logs = "\n".join(node.log[-9000:] for node in (cluster.a, cluster.b))
        assert reactor.seconds() < deadline_s, f"{up} links are up\n{logs}"
        await deferLater(reactor, 0.1)


def links_up(cluster: Cluster) -> float:
    """Return how many links there are: each of the three routers has two."""
    try:
        own = sum(value for key, value in cluster.a.metrics().items() if key[0] == "crosstick_link_up")
        return own + sum(worker_metrics(cluster, index)["crosstick_link_up"] for index in range(2))
    except OSError:
        return 0.0


def worker_metrics(cluster: Cluster, index: int) -> Counter[str]:
    """Return what a worker of ``b`` has counted, by metric."""
    with urlopen(f"http://127.0.0.1:{cluster.management + index}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] += sample.value
    return found


async def viewer(clients: Clients, node: Node, sub: str = "v") -> Client:
    return await clients.join(node.ws_url, authid=sub, ticket=node.token(sub, services=["*"]))


async def service(clients: Clients, node: Node, sub: str) -> Client:
    return await clients.join(node.ws_url, authid=sub, ticket=node.token(sub, "service"))


async def everywhere(clients: Clients, cluster: Cluster) -> list[Client]:
    """Return a viewer of ``a``, and many of ``b``, some of each worker."""
    many = [await viewer(clients, cluster.b, f"v{number}") for number in range(ON_B)]
    await until(
        reactor,
        lambda: sum(worker_metrics(cluster, index)["crosstick_active_connections"] > 0 for index in range(2)) == 2,
    )
    return [await viewer(clients, cluster.a), *many]


async def answered(client: Client, procedure: str, *arguments: Any, **keywords: Any) -> Any:
    """Return what a procedure answers, once it is there."""
    deadline_s = reactor.seconds() + 20
    while True:
        try:
            return await client.call(procedure, *arguments, **keywords)
        except ApplicationError as error:
            if error.error != "wamp.error.no_such_procedure" or reactor.seconds() > deadline_s:
                raise
        await pause()


async def gone(client: Client, procedure: str) -> None:
    """Return when a procedure is there no more."""
    deadline_s = reactor.seconds() + 20
    while await client.refusal(client.call(procedure)) != "wamp.error.no_such_procedure":
        assert reactor.seconds() < deadline_s, f"{procedure} is still there"
        await pause()


async def pause() -> None:
    """Wait for as long as a client must between two calls for ever."""
    await deferLater(reactor, 0.06, lambda: None)


async def publish_until(service: Client, topic: str, payload: Any, received: Callable[[], bool]) -> None:
    """Publish until all who should hear of it do: which of them follow it is known to other nodes a little later."""
    deadline_s = reactor.seconds() + 20
    while not received():
        assert reactor.seconds() < deadline_s, "an event has not come"
        await service.publish(topic, payload, options=PublishOptions(acknowledge=True))


@pytest_twisted.ensureDeferred
async def test_connections_to_a_shared_port_are_spread_over_the_workers(cluster: Cluster, clients: Clients) -> None:
    for number in range(ON_B):
        await viewer(clients, cluster.b, f"v{number}")
    await until(
        reactor,
        lambda: sum(worker_metrics(cluster, index)["crosstick_sessions"] for index in range(2)) == ON_B,
    )
    each = [worker_metrics(cluster, index) for index in range(2)]
    assert all(worker["crosstick_sessions"] for worker in each)
    # The shared port answers for both, whichever of them has the connection.
    for _ in range(4):
        node = cluster.b.metrics()
        assert node["crosstick_sessions", "market"] == ON_B
        assert node["crosstick_active_connections", "public"] == ON_B
        assert (node["crosstick_workers",], node["crosstick_workers_answering",]) == (2, 2)
        assert node["crosstick_client_buffer_bytes_gcount",] == ON_B
        # All workers see the same market, and read the same bus.
        assert node["crosstick_leading_feed_symbols",] == max(
            worker["crosstick_leading_feed_symbols"] for worker in each
        )
        assert node["crosstick_bus_connected",] == 1
    # Of those who are not asked it is not known that there are more.
    assert not any("crosstick_workers" in worker for worker in each)


@pytest_twisted.ensureDeferred
async def test_what_all_workers_see_happen_has_happened_once(cluster: Cluster) -> None:
    missed = "crosstick_leading_feed_missed_trades_total"
    before = cluster.b.metrics()["crosstick_faults_total", "trades_missed"]
    each = [worker_metrics(cluster, index)[missed] + 3 for index in range(2)]
    await deferToThread(cluster.a.make_fault, "gap", "--symbol", "BTCUSDT", "--count", "3")
    await until(reactor, lambda: [worker_metrics(cluster, index)[missed] for index in range(2)] == each)
    assert cluster.b.metrics()["crosstick_faults_total", "trades_missed"] == before + 3


@pytest_twisted.ensureDeferred
async def test_a_service_is_called_from_everywhere_and_goes_with_its_session(
    cluster: Cluster, clients: Clients
) -> None:
    quotes = await service(clients, cluster.a, "quotes")
    callers = []

    def vwap(symbol: str, details: Any) -> Any:
        callers.append((details.caller_authid, details.caller_authrole))
        return {"symbol": symbol, "vwap": "1.50"}

    await quotes.register(vwap, "services.quotes.vwap", options=RegisterOptions(details_arg="details"))
    all_clients = await everywhere(clients, cluster)
    for client in all_clients:
        assert await answered(client, "services.quotes.vwap", "BTCUSDT") == {"symbol": "BTCUSDT", "vwap": "1.50"}
    assert callers == [(client.session_details.authid, "viewer") for client in all_clients]
    await quotes.leave()
    for client in all_clients:
        await gone(client, "services.quotes.vwap")


@pytest_twisted.ensureDeferred
async def test_a_services_events_come_everywhere_once_and_in_order(cluster: Cluster, clients: Clients) -> None:
    quotes = await service(clients, cluster.b, "quotes")
    all_clients = await everywhere(clients, cluster)
    received = [await client.events("services.quotes.vwap.X") for client in all_clients]
    # A pattern beside it must not bring each event to all a second time.
    received += [await client.events("services.quotes.", "prefix") for client in all_clients]
    await publish_until(quotes, "services.quotes.vwap.X", {"n": -1}, lambda: all(received))
    for number in range(200):
        quotes.publish("services.quotes.vwap.X", {"n": number})
    await until(reactor, lambda: all(events[-1][1] == {"n": 199} for events in received))
    for events in received:
        assert [event["n"] for _, event, _ in events if event["n"] >= 0] == list(range(200))
        assert {topic for topic, _, _ in events} == {"services.quotes.vwap.X"}


@pytest_twisted.ensureDeferred
async def test_events_of_several_arguments_come_once_as_they_are(cluster: Cluster, clients: Clients) -> None:
    quotes = await service(clients, cluster.a, "quotes")
    received: list[list[Any]] = []
    for client in await everywhere(clients, cluster):
        own: list[Any] = []
        received.append(own)
        await client.subscribe(
            lambda *arguments, own=own, **keywords: own.append((arguments, keywords)), "services.quotes.all"
        )
    deadline_s, number = reactor.seconds() + 20, 0
    # Some more behind the first, so that what comes back a second time is seen.
    while not all(len(own) > 20 for own in received):
        assert reactor.seconds() < deadline_s
        number += 1
        acknowledged = PublishOptions(acknowledge=True)
        await quotes.publish("services.quotes.all", number, b"two", three=[3.5], options=acknowledged)
    for own in received:
        first = own[0][0][0]
        assert own == [((number, b"two"), {"three": [3.5]}) for number in range(first, first + len(own))]


@pytest_twisted.ensureDeferred
async def test_the_market_does_not_cross_a_link(cluster: Cluster, clients: Clients) -> None:
    quotes = await service(clients, cluster.a, "quotes")
    *_, there = await everywhere(clients, cluster)
    here = await clients.join(cluster.a.ws_url, authid="o", ticket=cluster.a.token("o", "operator"))
    ticks = await here.events("market.", "prefix")
    foreign = await there.events("market.", "prefix")
    marks = await there.events("services.quotes.mark")
    await publish_until(quotes, "services.quotes.mark", 1, lambda: bool(marks) and len(ticks) >= 500)
    # Each has them from the bus, and from nowhere else.
    await until(reactor, lambda: len(foreign) >= 500)
    for events in (ticks, foreign):
        last: dict[str, int] = {}
        for topic, tick, _ in events:
            if topic != "market.status":
                assert topic not in last or follows(tick, last[topic]), topic
                last[topic] = tick["seq"]


@pytest_twisted.ensureDeferred
async def test_a_tick_is_the_same_at_every_router(cluster: Cluster, clients: Clients) -> None:
    everybody = await everywhere(clients, cluster)
    statuses = await gatherResults([client.call("market.status") for client in everybody])
    assert len({status["epoch"] for status in statuses}) == 1
    received = [await client.events("market.BTCUSDT") for client in everybody]
    await until(reactor, lambda: all(len(events) >= 5 for events in received))
    ticks: dict[int, dict[str, Any]] = {}
    seen = [{tick["seq"]: tick for _, tick, _ in events if "merged" not in tick} for events in received]
    for own in seen:
        for seq, tick in own.items():
            assert ticks.setdefault(seq, tick) == tick
    assert all(set(seen[0]) & set(own) for own in seen)


@pytest_twisted.ensureDeferred
async def test_a_publication_for_some_stays_where_it_is_known_who_they_are(cluster: Cluster, clients: Clients) -> None:
    quotes = await service(clients, cluster.a, "quotes")
    *_, there = await everywhere(clients, cluster)
    events = await there.events("services.quotes.some")
    options = [{"exclude_authid": ["mallory"]}, {"eligible_authrole": ["viewer", "peer"]}, {"exclude": [1]}]
    await publish_until(quotes, "services.quotes.some", "all", lambda: bool(events))
    for option in options:
        await quotes.publish("services.quotes.some", option, options=PublishOptions(acknowledge=True, **option))
    await quotes.publish("services.quotes.some", "end", options=PublishOptions(acknowledge=True))
    await until(reactor, lambda: events[-1][1] == "end")
    assert {event for _, event, _ in events} == {"all", "end"}


@pytest_twisted.ensureDeferred
async def test_what_is_asked_and_answered_comes_as_it_is(cluster: Cluster, clients: Clients) -> None:
    quotes = await service(clients, cluster.a, "quotes")

    def echo(*arguments: Any, **keywords: Any) -> Any:
        return CallResult(*arguments, **keywords)

    def fail(*_: Any) -> Any:
        raise ApplicationError("services.quotes.error.closed", "until Monday", day=1)

    async def count(details: Any) -> str:
        details.progress(1)
        details.progress(2)
        return "done"

    await quotes.register(echo, "services.quotes.echo")
    await quotes.register(fail, "services.quotes.fail")
    await quotes.register(count, "services.quotes.count", options=RegisterOptions(details_arg="details"))
    *_, client = await everywhere(clients, cluster)
    # Names that stand for something in Autobahn's own functions.
    result = await answered(client, "services.quotes.echo", 1, b"two", details=1, topic=None)
    assert (tuple(result.results), result.kwresults) == ((1, b"two"), {"details": 1, "topic": None})
    with pytest.raises(ApplicationError) as raised:
        await answered(client, "services.quotes.fail")
    assert (raised.value.error, raised.value.args, raised.value.kwargs) == (
        "services.quotes.error.closed",
        ("until Monday",),
        {"day": 1},
    )
    progress: list[int] = []
    options = CallOptions(on_progress=progress.append)
    assert await answered(client, "services.quotes.count", options=options) == "done"
    assert progress == [1, 2]


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("how", ["cancels", "leaves"])
async def test_a_call_that_its_caller_gives_up_is_given_up_by_its_callee(
    cluster: Cluster, clients: Clients, how: str
) -> None:
    quotes = await service(clients, cluster.a, "quotes")
    begun: list[Deferred[None]] = []
    given_up: list[Any] = []

    def wait() -> Deferred[None]:
        begun.append(Deferred(lambda _: given_up.append(how)))
        return begun[-1]

    await quotes.register(wait, "services.quotes.wait")
    # Peers are told in this order.
    await quotes.register(lambda: None, "services.quotes.there")
    *_, client = await everywhere(clients, cluster)
    await answered(client, "services.quotes.there")
    call = client.call("services.quotes.wait")
    call.addErrback(lambda _: None)
    await until(reactor, lambda: bool(begun))
    if how == "cancels":
        call.cancel()
    else:
        await client.leave()
    await until(reactor, lambda: given_up == [how])
    # Nobody is left over who cannot go.
    assert "Traceback" not in cluster.b.log, cluster.b.log.partition("Traceback")[2][:2000]


@pytest_twisted.ensureDeferred
async def test_nobody_passes_for_another_by_saying_that_he_is_a_link(cluster: Cluster, clients: Clients) -> None:
    quotes = await service(clients, cluster.a, "quotes")
    callers = []
    options = RegisterOptions(details_arg="details")
    await quotes.register(
        lambda details: callers.append((details.caller_authid, details.caller_authrole)),
        "services.quotes.who",
        options=options,
    )
    forged = CallOptions(forward_for=[{"session": 1, "authid": "olga", "authrole": "operator"}])
    here, *_, there = await everywhere(clients, cluster)
    await answered(here, "services.quotes.who", options=forged)
    await answered(there, "services.quotes.who", options=forged)
    assert callers == [("v", "viewer"), (there.session_details.authid, "viewer")]


@pytest_twisted.ensureDeferred
async def test_who_may_call_is_decided_where_the_caller_is(cluster: Cluster, clients: Clients) -> None:
    quotes = await service(clients, cluster.a, "quotes")
    called = []
    await quotes.register(lambda: called.append(1), "services.quotes.vwap")
    client = await viewer(clients, cluster.b)
    await answered(client, "services.quotes.vwap")
    stranger = await clients.join(cluster.b.ws_url, authid="s", ticket=cluster.b.token("s"))
    assert await stranger.refusal(stranger.call("services.quotes.vwap")) == "wamp.error.not_authorized"
    waiting = [client.call("services.quotes.vwap") for _ in range(100)]
    results = await gatherResults([call.addErrback(lambda failure: failure.value.kwargs) for call in waiting])
    # Its own node's limits hold for what another's service answers.
    assert {"limit": "max_concurrent_calls", "value": 20.0} in results
    assert len(called) == 1 + results.count(None)


@pytest_twisted.ensureDeferred
async def test_a_link_is_not_throttled_as_a_client_is(cluster: Cluster, clients: Clients) -> None:
    quotes = await service(clients, cluster.a, "quotes")
    await quotes.register(lambda: 1, "services.quotes.one")
    many = (await everywhere(clients, cluster))[1:]
    await answered(many[0], "services.quotes.one")
    for client in many:
        await answered(client, "services.quotes.one")
    # Much more at once than any client may have, and less than a link.
    calls = [client.call("services.quotes.one") for client in many for _ in range(20)]
    assert len(calls) < MAX_WAITING_CALLS
    assert sum(await gatherResults(calls, consumeErrors=True)) == len(calls)


@pytest_twisted.ensureDeferred
async def test_what_is_registered_here_goes_before_what_is_there(cluster: Cluster, clients: Clients) -> None:
    far = await service(clients, cluster.b, "quotes")
    await far.register(lambda: "far", "services.quotes.where")
    client = await viewer(clients, cluster.a)
    assert await answered(client, "services.quotes.where") == "far"
    # It has come back by another node, and its old session has not been missed yet: it is not refused.
    near = await service(clients, cluster.a, "quotes")
    await near.register(lambda: "near", "services.quotes.where")
    assert await client.call("services.quotes.where") == "near"
    await near.leave()
    assert await answered(client, "services.quotes.where") == "far"
    # And once more: nothing of the first time is left.
    near = await service(clients, cluster.a, "quotes")
    await near.register(lambda: "near", "services.quotes.where")
    assert await client.call("services.quotes.where") == "near"


@pytest_twisted.ensureDeferred
async def test_what_a_peer_offers_goes_and_comes_with_its_link(cluster: Cluster, clients: Clients) -> None:
    far = await service(clients, cluster.b, "quotes")
    begun: list[Deferred[None]] = []

    def wait() -> Deferred[None]:
        begun.append(Deferred())
        return begun[-1]

    await far.register(wait, "services.quotes.wait")
    await far.register(lambda: "there", "services.quotes.there")
    client = await viewer(clients, cluster.a)
    events = await client.events("services.quotes.news")
    assert await answered(client, "services.quotes.there") == "there"
    call = client.call("services.quotes.wait")
    await until(reactor, lambda: bool(begun))
    for relay in cluster.relays:
        relay.cut()
    assert await client.refusal(call.addTimeout(20, reactor)) == "wamp.error.canceled"
    await gone(client, "services.quotes.there")
    for relay in cluster.relays:
        relay.mend()
    assert await answered(client, "services.quotes.there") == "there"
    await publish_until(far, "services.quotes.news", 1, lambda: bool(events))
    await until_linked(cluster, 20)
    assert "link to b-1 is down: " in cluster.a.log


@pytest_twisted.ensureDeferred
async def test_only_who_knows_the_links_secret_may_link(cluster: Cluster, clients: Clients) -> None:
    url = f"ws://127.0.0.1:{cluster.links}/"
    with pytest.raises(Refused, match="no_auth_method"):
        await clients.join(url, authid=None, ticket=None)
    # Neither a client's ticket nor one of the node's own components opens the links' port.
    internal = cluster.a.internal_authority.mint(
        sub="feed", role="feed", realm="market", now_s=int(time.time()), ttl_s=60
    )
    for authid, ticket in (("o", cluster.a.token("o", "operator")), ("feed", internal)):
        with pytest.raises(Refused, match="authentication_failed"):
            await clients.join(url, authid=authid, ticket=ticket)
    # Nor does a link's ticket open the clients' port.
    with pytest.raises(Refused, match="authentication_failed"):
        await clients.join(cluster.a.ws_url, authid="c", ticket=link_token("c"))


def link_token(node: str, key: str = LINK_KEY) -> str:
    authority: TokenAuthority = load_link_authority({"CROSSTICK_LINK_KEY": key}, None, True)  # type: ignore[arg-type]
    return authority.mint(sub=node, role="peer", realm="market", now_s=int(time.time()), ttl_s=60)


@pytest_twisted.ensureDeferred
async def test_a_link_reaches_services_alone(cluster: Cluster, clients: Clients) -> None:
    peer = await clients.join(f"ws://127.0.0.1:{cluster.links}/", authid="c", ticket=link_token("c"))
    acknowledged = PublishOptions(acknowledge=True)
    for refused in (
        peer.call("market.symbols"),
        peer.call("auth.renew", "x"),
        peer.subscribe(print, "market.BTCUSDT"),
        peer.publish("services.quotes.vwap.X", 1, options=acknowledged),
        peer.register(print, "services.quotes.vwap"),
    ):
        assert await peer.refusal(refused) == "wamp.error.not_authorized"


class Owner:
    """Who has a link in this process: wants nothing, and has the wrong key."""

    def token(self) -> str:
        return link_token("c", "another secret of at least 32 bytes")

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the link came up: {name}")


@pytest_twisted.ensureDeferred
async def test_a_wrong_secret_is_refused_and_both_sides_say_so(cluster: Cluster) -> None:
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        if event["log_namespace"] == "components.router.links.link.Link":
            lines.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", cluster.links)
    counters = LinkCounters()
    link = Link(reactor, "market", "c", "a", endpoint, Owner(), counters)
    link.start()
    try:
        await until(reactor, lambda: bool(lines))
    finally:
        link.stop()
        globalLogPublisher.removeObserver(observe)
    [line] = lines
    assert line.startswith("link to a is down: it refuses this router: crosstick.error.authentication_failed; ")
    assert "have both nodes the same CROSSTICK_LINK_KEY" in line
    assert not counters.up
    assert "ticket refused: signature wrong, for authid 'c'" in cluster.a.log


# Last, since of the node nothing is left.
@pytest_twisted.ensureDeferred
async def test_a_call_to_a_service_whose_node_dies_gets_an_error(cluster: Cluster, clients: Clients) -> None:
    far = await service(clients, cluster.b, "quotes")
    begun: list[Deferred[None]] = []

    def wait() -> Deferred[None]:
        begun.append(Deferred())
        return begun[-1]

    await far.register(wait, "services.quotes.wait")
    await far.register(lambda: None, "services.quotes.there")
    client = await viewer(clients, cluster.a)
    await answered(client, "services.quotes.there")
    call = client.call("services.quotes.wait")
    await until(reactor, lambda: bool(begun))
    controller = psutil.Process(cluster.b.process.pid)
    for process in [controller, *controller.children(recursive=True)]:
        process.send_signal(signal.SIGKILL)
    assert await client.refusal(call.addTimeout(20, reactor)) == "wamp.error.canceled"
    await gone(client, "services.quotes.there")
    assert (await client.call("market.status"))["state"] in ("live", "stale")
