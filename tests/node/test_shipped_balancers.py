"""The files in ``docker/balancers``, run by the real programs before two real nodes, of which one leaves in the end."""

from __future__ import annotations

import http.client
import shutil
import signal
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from components.free_ports import free_port
from tests.harness.balancers import NAMES, Balancer
from tests.harness.certificates import write_pair
from tests.harness.client import Client, Clients, until
from tests.harness.node import Node, component
from tests.node.test_balancer import UPGRADE

NOTICE_S = 3.0
CHECKS_S = 2.0
"""In which HAProxy and Envoy, which ask twice a second, have seen twice that a node is not ready."""

TOO_MANY = 429


def leaves_behind_balancers(config: dict[str, Any]) -> None:
    component(config, "drain")["extra"] = {"drain": {"notice_s": NOTICE_S, "over_s": 0.5}}
    component(config, "listeners")["extra"] = {
        "listeners": {"public": {"trusted_proxies": ["127.0.0.1"], "max_connections_per_address": 1}}
    }


def takes_the_others_exchange(config: dict[str, Any]) -> None:
    leaves_behind_balancers(config)
    config["workers"] = [worker for worker in config["workers"] if worker["id"] != "exchange"]


@dataclass
class Place:
    """Two nodes, and the balancers before both."""

    staying: Node
    leaving: Node
    balancers: dict[str, Balancer]

    def connections(self) -> tuple[float, float]:
        """Return how many clients each node has."""
        counts = [node.metrics()["crosstick_active_connections", "public"] for node in (self.staying, self.leaving)]
        return counts[0], counts[1]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    exchange = free_port()
    folder = tmp_path_factory.mktemp("balanced")
    staying = Node(
        folder / "staying", {"CROSSTICK_SIMULATOR_PORT": str(exchange)}, change_config=leaves_behind_balancers
    )
    leaving = Node(
        folder / "leaving",
        {"CROSSTICK_EXCHANGE_URL": f"ws://127.0.0.1:{exchange}"},
        change_config=takes_the_others_exchange,
    )
    shutil.copy2(staying.directory / "development.key", leaving.directory / "development.key")
    certificate = write_pair(folder / "certificate.pem")
    ports = [staying.port, leaving.port]
    with ExitStack() as stack:
        balancers = {name: Balancer(name, folder / name, certificate, free_port(), ports) for name in NAMES}
        for node in (staying, leaving):
            stack.callback(node.stop)
            node.spawn()
        for node in (staying, leaving):
            node.wait()
        for balancer in balancers.values():
            stack.enter_context(balancer.running())
        yield Place(staying, leaving, balancers)
    for name, balancer in balancers.items():
        # Envoy writes its lines when it ends.
        assert " /asked" in balancer.log, name
        assert "SECRET" not in balancer.log, name
    ended = balancers["haproxy"].log.splitlines()
    assert {line.split("] ")[1].split("/")[0] for line in ended if " 101 " in line} == {"websocket"}


@pytest.mark.parametrize("name", NAMES)
def test_its_program_finds_nothing_wrong_with_the_file(name: str, tmp_path: Path) -> None:
    certificate = write_pair(tmp_path / "certificate.pem")
    checked = Balancer(name, tmp_path / name, certificate, free_port(), [1, 2]).check()
    assert checked.returncode == 0, checked.stdout
    assert "warn" not in checked.stdout.lower()


def get(stack: ExitStack, port: int, path: str, source: str = "127.0.0.1", **headers: str) -> int:
    """Return the status of the answer; the connection stays until the stack is closed."""
    connection = http.client.HTTPSConnection(
        "127.0.0.1", port, timeout=5, context=ssl._create_unverified_context(), source_address=(source, 0)
    )
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    stack.callback(connection.close)
    stack.callback(answer.close)
    return answer.status


def spellings() -> Iterator[str]:
    """Yield paths that a node, or who tidies them up for it, may take for that of a page of its own."""
    for page in ("metrics", "readyz", "healthz"):
        encoded = "".join(f"%{ord(letter):02x}" for letter in page)
        for name in (page, encoded, f"%{ord(page[0]):02X}{page[1:]}", f"{page[:-1]}%{ord(page[-1]):x}"):
            yield from (f"/{name}", f"/{name}/", f"/{name}/.", f"/{name}/x?y")
            yield from (f"//{name}", f"/./{name}", f"/x/../{name}", f"/%2e/{name}", f"/x/%2e%2e/{name}")


@pytest.mark.parametrize("name", NAMES)
def test_pages_go_out_and_counters_stay_in(place: Place, name: str) -> None:
    with ExitStack() as stack:
        assert get(stack, place.balancers[name].port, "/") == 200
        for path in spellings():
            assert get(stack, place.balancers[name].port, path) == 404, path
        # What stands in a query may be a ticket; that it is not logged is looked at when the balancers have ended.
        assert get(stack, place.balancers[name].port, "/asked?token=SECRET") == 404


def test_a_page_of_the_node_is_at_its_own_path_only(place: Place) -> None:
    for page in ("/metrics", "/readyz", "/healthz"):
        assert place.staying.get(page)[0] == 200
        for path in (f"{page}/", f"{page}//", f"{page}/x", f"/{page}", f"{page}/../"):
            assert place.staying.get(path)[0] == 404, path


@pytest.mark.parametrize("name", NAMES)
def test_the_websockets_path_with_a_slash_behind_it_is_no_page_either(place: Place, name: str) -> None:
    # By which of its backends, HAProxy's log tells in the end.
    with ExitStack() as stack:
        assert get(stack, place.balancers[name].port, "/ws/", "127.0.0.4", **UPGRADE) == 101
        assert get(stack, place.balancers[name].port, "/%77s", "127.0.0.4", **UPGRADE) == 101


async def joined(clients: Clients, place: Place, name: str, number: int) -> Client:
    """Return a client with an address of its own."""
    sub = f"{name}{number}"
    return await clients.join(
        place.balancers[name].ws_url,
        authid=sub,
        ticket=place.staying.token(sub),
        bind=f"127.0.{1 + NAMES.index(name)}.{number}",
    )


@pytest.mark.parametrize("name", NAMES)
@pytest_twisted.ensureDeferred
async def test_the_node_with_the_fewest_clients_gets_the_next(place: Place, name: str) -> None:
    clients = Clients(reactor)
    for number in range(1, 5):
        client = await joined(clients, place, name, number)
    ticks = await client.events("market.BTCUSDT")
    await until(reactor, lambda: len(ticks) > 2)
    await until(reactor, lambda: place.connections() == (2, 2))
    await clients.close()
    await until(reactor, lambda: place.connections() == (0, 0))


@pytest.mark.parametrize("name", NAMES)
def test_a_client_is_counted_by_its_own_address_whatever_it_says(place: Place, name: str) -> None:
    port = place.balancers[name].port
    with ExitStack() as stack:
        # One for each node.
        assert [get(stack, port, "/ws", "127.0.0.2", **UPGRADE) for _ in range(2)] == [101, 101]
        for claim in ({}, {"X_Forwarded_For": "203.0.113.1"}, {"Forwarded": "for=203.0.113.1"}):
            assert get(stack, port, "/ws", "127.0.0.2", **UPGRADE, **claim) == TOO_MANY
        assert get(stack, port, "/ws", "127.0.0.3", **UPGRADE) == 101


@pytest_twisted.ensureDeferred
async def test_a_leaving_node_gets_no_more_clients_and_those_that_it_had_find_the_other(
    place: Place, clients: Clients
) -> None:
    await until(reactor, lambda: place.connections() == (0, 0))
    joins = [(name, number) for name in NAMES for number in (1, 2)]
    there = {each: await joined(clients, place, *each) for each in joins}
    await until(reactor, lambda: place.connections() == (3, 3))

    place.leaving.process.send_signal(signal.SIGTERM)
    await until(reactor, lambda: place.leaving.ready()[1][:1] == ["draining"])
    began_s = reactor.seconds()
    await until(reactor, lambda: reactor.seconds() - began_s > CHECKS_S)
    # Those that ask about health know.
    for name in ("haproxy", "envoy"):
        for number in (3, 4):
            await joined(clients, place, name, number)
    assert place.leaving.metrics()["crosstick_active_connections", "public"] == 3

    # The others find out when they want to connect.
    told = []
    while len(told) < 3:
        await until(reactor, lambda: any(client.left.called for client in there.values()))
        for each in [each for each, client in there.items() if client.left.called]:
            assert (await there.pop(each).left).reason == "crosstick.close.draining"
            client = await joined(clients, place, *each)
            ticks = await client.events("market.BTCUSDT")
            await until(reactor, lambda ticks=ticks: len(ticks) > 0)
            told.append(each)
    assert sorted(name for name, _ in told) == sorted(NAMES)
    await until(reactor, lambda: place.leaving.process.poll() is not None)
    assert place.leaving.process.returncode == 0
    assert "drained: 3 clients told" in place.leaving.log
    assert place.staying.metrics()["crosstick_active_connections", "public"] == 10
