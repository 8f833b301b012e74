"""Whose connection it is, on a running node: directly, behind a balancer's headers and behind its PROXY protocol."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.harness.node import Node

HAPROXY = "/usr/sbin/haproxy"
UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "wamp.2.json",
}


def with_listener(**settings: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change of a configuration by which the node's public listener has these settings."""

    def change(config: dict[str, Any]) -> None:
        [listeners] = [entry for entry in config["workers"][0]["components"] if entry["id"] == "listeners"]
        listeners["extra"] = {"listeners": {"public": settings}}

    return change


class Upgrades:
    """Opens WebSocket connections, which stay open until the test's end."""

    def __init__(self, stack: ExitStack, port: int) -> None:
        self._stack = stack
        self._port = port

    def __call__(self, source: str = "127.0.0.1", **headers: str) -> http.client.HTTPResponse:
        """Return the answer to an upgrade asked for from an address of the loopback."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5, source_address=(source, 0))
        self._stack.callback(connection.close)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", "/ws", headers={**UPGRADE, **names})
        # Held, so that its socket is not closed before.
        answer = connection.getresponse()
        self._stack.callback(answer.close)
        return answer


@pytest.fixture
def upgrades() -> Iterator[Callable[[int], Upgrades]]:
    """Return a function that makes ``Upgrades`` to a port."""
    with ExitStack() as stack:
        yield lambda port: Upgrades(stack, port)


def refusal(answer: http.client.HTTPResponse) -> tuple[int, dict[str, Any]]:
    """Return status and body of a refused upgrade, which says when to try again."""
    assert int(answer.headers["Retry-After"]) >= 1
    return answer.status, json.loads(answer.read())


TOO_MANY_OF_ONE = (429, {"code": "crosstick.error.limit_exceeded", "limit": "max_connections_per_address", "value": 1})


def test_a_direct_clients_word_for_its_address_is_not_taken(
    make_node: Callable[..., Node], upgrades: Callable[[int], Upgrades]
) -> None:
    node = make_node(change_config=with_listener(max_connections=2, max_connections_per_address=1))
    node.start()
    upgrade = upgrades(node.port)
    assert upgrade().status == 101
    assert refusal(upgrade(X_Forwarded_For="203.0.113.1")) == TOO_MANY_OF_ONE
    assert refusal(upgrade(Forwarded="for=203.0.113.1")) == TOO_MANY_OF_ONE
    assert upgrade(source="127.0.0.2").status == 101
    assert refusal(upgrade(source="127.0.0.3")) == (
        503,
        {"code": "crosstick.error.limit_exceeded", "limit": "max_connections", "value": 2},
    )
    # Pages are not connections.
    assert node.get("/healthz")[0] == 200
