"""Real nodes that are told to leave, by signal and by an operator, and what their clients see."""

from __future__ import annotations

import copy
import http.client
import json
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from components.free_ports import free_port
from tests.harness.client import Clients, Peer, until
from tests.harness.node import START_TIMEOUT_S, Node, component
from tests.node.test_balancer import UPGRADE

GOODBYE = 6
DRAINING = "crosstick.close.draining"
END_TIMEOUT_S = 15.0
AT_ONCE_S = 20.0
"""Of a node that would take a minute to drain, with its processes' ends."""


def with_management(port: int, **settings: float) -> Callable[[dict[str, Any]], None]:
    """Return a change of a configuration by which the node leaves so, and is asked on a port of its own."""

    def change(config: dict[str, Any]) -> None:
        with_drain(**settings)(config)
        health, metrics = "components.router.health", "components.router.metrics"
        paths = {"/": f"{health}.NoPage", "healthz": f"{health}.Healthz", "readyz": f"{health}.Readyz"}
        paths["metrics"] = f"{metrics}.Metrics"
        config["workers"][0]["transports"].append(
            {
                "type": "web",
                "id": "management",
                "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": port},
                "paths": {path: {"type": "resource", "classname": name} for path, name in paths.items()},
            }
        )
        extra = component(config, "listeners").setdefault("extra", {})
        extra.setdefault("listeners", {})["management"] = {"listens_while_draining": True}

    return change


def with_drain(*, feed: bool = True, **settings: float) -> Callable[[dict[str, Any]], None]:
    """Return a change of a configuration by which the node leaves so; without a ``feed`` it starts sooner."""

    def change(config: dict[str, Any]) -> None:
        component(config, "drain")["extra"] = {"drain": settings}
        if not feed:
            del config["workers"][1:]

    return change


async def alive(node: Node) -> None:
    """Start a node without a feed, which is never ready, and return when all its workers are there."""
    node.spawn()
    await until(reactor, lambda: "local node configuration ran successfully" in node.log, START_TIMEOUT_S)


def answers(node: Node) -> bool:
    """Tell whether all paths are there: Crossbar adds them one by one."""
    with suppress(OSError, http.client.HTTPException):
        return http.HTTPStatus.NOT_FOUND not in {node.get(path)[0] for path in ("/healthz", "/readyz", "/ws")}
    return False


async def joined(clients: Clients, url: str, node: Node, name: str) -> Peer:
    peer = await clients.peer(url)
    await peer.join(name, node.token(name))
    return peer


def goodbyes(peer: Peer) -> list[str]:
    """Return the reasons of the GOODBYEs that came."""
    return [message[2] for message in peer.received if message[0] == GOODBYE]


async def ended(node: Node, timeout_s: float = END_TIMEOUT_S) -> int:
    """Return the exit code of a node that is about to end."""
    await until(reactor, lambda: node.process.poll() is not None, timeout_s)
    return int(node.process.returncode)


def ask(connection: http.client.HTTPConnection, path: str, **headers: str) -> tuple[int, Any, str | None]:
    """Return status, body and Retry-After of the answer."""
    connection.request("GET", path, headers=headers)
    with connection.getresponse() as answer:
        return answer.status, json.loads(answer.read()), answer.headers.get("Retry-After")


@pytest_twisted.ensureDeferred
async def test_sigterm_turns_readiness_then_tells_the_clients_one_by_one_then_ends_with_0(
    make_node: Callable[..., Node], clients: Clients
) -> None:
    management = free_port()
    node = make_node(change_config=with_management(management, notice_s=1.5, over_s=2.0))
    await deferToThread(node.start)
    peers = [await joined(clients, node.ws_url, node, f"alice{number}") for number in range(3)]
    before = [http.client.HTTPConnection("127.0.0.1", node.port, timeout=5) for _ in range(2)]
    for connection in before:
        assert await deferToThread(ask, connection, "/readyz") == (
            200,
            {"ready": True, "because": [], "degraded": []},
            None,
        )

    node.process.send_signal(signal.SIGTERM)
    await until(reactor, lambda: node.ready() == (False, ["draining"]))
    assert node.get("/healthz")[0] == 200
    # Until a balancer has seen that, who comes is served.
    ticks: list[Any] = []
    late = await joined(clients, node.ws_url, node, "late")
    late.say(32, 1, {}, "market.BTCUSDT")
    await late.hear(33)
    ticks.append(await late.hear(36))
    assert not any(map(goodbyes, peers))

    await until(reactor, lambda: bool(goodbyes(peers[0])))
    # Nothing listens any more; a connection that was there is told where it stands.
    with pytest.raises(ConnectionError):
        await deferToThread(node.get, "/healthz")
    status, body, _ = await deferToThread(ask, before[0], "/readyz")
    assert (status, body["because"][0]) == (503, "draining")
    assert await deferToThread(ask, before[0], "/healthz") == (200, {"alive": True}, None)
    status, body, retry_after = await deferToThread(ask, before[0], "/ws", **UPGRADE)
    assert (status, body["type"], retry_after) == (503, DRAINING, "1")

    # Who watches asks elsewhere, to the end.
    watched = http.client.HTTPConnection("127.0.0.1", management, timeout=5)
    assert (await deferToThread(ask, watched, "/healthz"))[0] == 200
    assert (await deferToThread(ask, watched, "/readyz"))[1]["because"][0] == "draining"
    watched.close()

    # The feed goes on for those who are still there.
    await late.hear(36)
    assert not goodbyes(late)
    before[1].request("GET", "/metrics")
    with before[1].getresponse() as answer:
        counted = [line for line in answer.read().decode().splitlines() if DRAINING in line]
    assert [float(line.split()[-1]) in (1, 2, 3) for line in counted] == [True]
    for connection in before:
        connection.close()
    for peer in (*peers, late):
        assert await peer.closed == (4009, DRAINING)
        assert goodbyes(peer) == [DRAINING]
    assert await ended(node) == 0
    for line in ("draining begins: 3 clients, told over 2 s in 1.5 s", "drained: 4 clients told in "):
        assert node.log.count(line) == 1


def with_second_worker(port: int, **settings: float) -> Callable[[dict[str, Any]], None]:
    """Return a change of a configuration by which the node has another router worker, on a port of its own."""

    def change(config: dict[str, Any]) -> None:
        with_drain(feed=False, **settings)(config)
        second = copy.deepcopy(config["workers"][0])
        second["id"] = "router2"
        second["options"]["title"] = "crosstick-router2"
        second["transports"][0]["endpoint"]["path"] = "internal2.sock"
        second["transports"][1]["endpoint"]["port"] = port
        config["workers"].insert(1, second)

    return change


@pytest_twisted.ensureDeferred
async def test_an_operator_has_all_router_workers_drained(make_node: Callable[..., Node], clients: Clients) -> None:
    port = free_port()
    node = make_node(change_config=with_second_worker(port, notice_s=0.2, over_s=3600))
    await alive(node)
    viewer = await clients.join(node.ws_url, authid="alice", ticket=node.token("alice"))
    elsewhere = await joined(clients, f"ws://127.0.0.1:{port}/ws", node, "bob")
    operator = await clients.join(
        node.ws_url, realm="ops", authid="olga", ticket=node.token("olga", role="operator", realm="ops")
    )
    assert await viewer.refusal(viewer.call("node.drain")) == "wamp.error.not_authorized"
    for wrong in (-1, 3601, "soon"):
        assert await operator.refusal(operator.call("node.drain", wrong)) == "wamp.error.invalid_argument"
    assert "draining" not in node.ready()[1]

    assert await operator.call("node.drain", over_s=0.5) == {"notice_s": 0.2, "over_s": 0.5}
    assert (await viewer.left).reason == DRAINING
    assert await elsewhere.closed == (4009, DRAINING)
    assert await ended(node) == 0
    assert "'olga' has the node drained" in node.log
    assert node.log.count("drained: ") == 2


@pytest.mark.parametrize(
    ("command", "second", "code"),
    [(("crosstick", "node"), signal.SIGTERM, 1), (("crossbar", "start"), signal.SIGINT, 0)],
    ids=["crosstick node", "crossbar start"],
)
@pytest_twisted.ensureDeferred
async def test_a_second_signal_ends_a_node_at_once(
    make_node: Callable[..., Node], clients: Clients, command: tuple[str, str], second: signal.Signals, code: int
) -> None:
    node = make_node(command=command, change_config=with_drain(feed=False, notice_s=60, over_s=60))
    # Not ``alive``: that waits for a line of Crossbar's which ``crosstick node`` leaves out.
    node.spawn()
    await until(reactor, lambda: answers(node), START_TIMEOUT_S)
    peer = await joined(clients, node.ws_url, node, "alice")
    node.process.send_signal(signal.SIGTERM)
    await until(reactor, lambda: node.ready()[1][0] == "draining")
    node.process.send_signal(second)
    assert await ended(node, AT_ONCE_S) == code
    assert goodbyes(peer) == []
    assert "drained: " not in node.log
