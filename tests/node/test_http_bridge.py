"""A real node that ``crosstick config --http-bridge`` has made: what is signed arrives, all else is refused."""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_twisted
import yaml
from autobahn.wamp import ApplicationError
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from components.free_ports import free_port
from components.node_config import NodePlan, generate
from components.router.bridge.signing import signature
from tests.harness.client import Clients, until
from tests.harness.documents import block_with
from tests.harness.node import REPOSITORY, Node, component

SECRET = secrets.token_urlsafe(32)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Return a running node whose bridge is that of service ``quotes``, which may call ``other`` too."""
    made = yaml.safe_load(
        generate(
            (REPOSITORY / ".crossbar" / "config.yaml").read_text(),
            NodePlan(bridge="quotes", bridge_calls=("other",)),
            "crosstick config --http-bridge quotes --http-bridge-calls other",
        )
    )

    def change(config: dict[str, Any]) -> None:
        router = made["workers"][0]
        config["workers"][0]["realms"] = router["realms"]
        config["workers"][0]["components"] = router["components"]
        public = next(transport for transport in router["transports"] if transport["id"] == "public")
        config["workers"][0]["transports"][1]["paths"]["bridge"] = public["paths"]["bridge"]
        limits = component(config, "market-gatekeeper")["extra"]["limits"]
        limits["roles"]["service"] |= {"calls_per_s": 0.001, "calls_burst": 5}

    secret = tmp_path_factory.mktemp("secret") / "bridge.secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    environ = {"CROSSTICK_SIMULATOR_PORT": str(free_port()), "CROSSTICK_BRIDGE_SECRET_FILE": str(secret)}
    running = Node(tmp_path_factory.mktemp("bridge"), environ, change_config=change)
    running.start()
    yield running
    running.stop()


def signed(body: bytes, key: str = "quotes", secret: str = SECRET) -> str:
    """Return the query of a request with a body."""
    timestamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    nonce = str(secrets.randbelow(2**53))
    made = signature(key.encode(), secret.encode(), timestamp.encode(), b"1", nonce.encode(), body)
    return urlencode({"key": key, "timestamp": timestamp, "seq": "1", "nonce": nonce, "signature": made.decode()})


def post(node: Node, path: str, body: bytes, query: str, method: str = "POST") -> tuple[int, dict[str, str], Any]:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=10)
    try:
        connection.request(method, f"/bridge/{path}?{query}", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, headers, json.loads(answer.read())
    finally:
        connection.close()


def publish(node: Node, topic: str, **options: str) -> tuple[int, dict[str, str], Any]:
    body = json.dumps({"topic": topic, "args": [{"price": "1.50"}]}).encode()
    return post(node, "publish", body, signed(body, **options))


@pytest_twisted.ensureDeferred
async def test_a_signed_publication_arrives_and_comes_once(node: Node, clients: Clients) -> None:
    viewer = await clients.join(node.ws_url, authid="v", ticket=node.token("v", services=["quotes"]))
    seen: list[Any] = []
    await viewer.subscribe(seen.append, "services.quotes.price")
    body = b'{"topic":"services.quotes.price","args":[{"price":"1.50"}]}'
    query = signed(body)
    status, headers, answer = await deferToThread(post, node, "publish", body, query)
    assert (status, set(answer), headers["content-type"]) == (200, {"id"}, "application/json")
    await until(reactor, lambda: bool(seen))
    status, _, answer = await deferToThread(post, node, "publish", body, query)
    assert (status, answer["type"]) == (401, "crosstick.error.authentication_failed")
    assert seen == [{"price": "1.50"}]


@pytest_twisted.ensureDeferred
async def test_the_documented_program_publishes(node: Node, clients: Clients) -> None:
    program = block_with("hmac", "python")
    viewer = await clients.join(node.ws_url, authid="w", ticket=node.token("w", services=["quotes"]))
    seen: list[Any] = []
    await viewer.subscribe(seen.append, "services.quotes.price")
    environ = {"BRIDGE_URL": f"{node.url}/bridge", "CROSSTICK_BRIDGE_SECRET": SECRET}

    def run() -> str:
        command = [sys.executable, "-W", "error", "-c", program]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=30).stdout

    assert "'id'" in await deferToThread(run)
    await until(reactor, lambda: seen == [{"price": "62520.15"}])


@pytest_twisted.ensureDeferred
async def test_a_signed_call_is_answered_by_whoever_offers_the_procedure(node: Node, clients: Clients) -> None:
    other = await clients.join(node.ws_url, authid="other", ticket=node.token("other", "service"))

    def double(number: int) -> int:
        if number < 0:
            raise ApplicationError("services.other.error.negative", "below zero")
        return number * 2

    await other.register(double, "services.other.double")
    for number, expected in (
        (21, {"args": [42]}),
        (-1, {"error": "services.other.error.negative", "args": ["below zero"], "kwargs": {}}),
    ):
        body = json.dumps({"procedure": "services.other.double", "args": [number]}).encode()
        status, _, answer = await deferToThread(post, node, "call", body, signed(body))
        assert (status, answer) == (200, expected)


@pytest_twisted.ensureDeferred
async def test_a_client_that_has_gone_before_the_answer_is_no_error(node: Node, clients: Clients) -> None:
    other = await clients.join(node.ws_url, authid="other", ticket=node.token("other", "service"))
    waiting: list[Deferred[int]] = []

    def wait() -> Deferred[int]:
        waiting.append(Deferred())
        return waiting[-1]

    await other.register(wait, "services.other.wait")
    body = b'{"procedure":"services.other.wait"}'
    head = f"POST /bridge/call?{signed(body)} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", node.port), timeout=5) as connection:
        connection.sendall(head.encode() + body)
        await until(reactor, lambda: bool(waiting))
    waiting[0].callback(1)
    # The next one is answered, behind the one before.
    body = b'{"procedure":"services.quotes.nothing"}'
    assert (await deferToThread(post, node, "call", body, signed(body)))[0] == 200
    assert "Traceback" not in node.log
    assert "Unhandled" not in node.log


@pytest.mark.parametrize("topic", ["market.BTCUSDT", "market.status", "services.other.price", "wamp.session.on_join"])
def test_nobody_publishes_the_market_or_for_another_service(node: Node, topic: str) -> None:
    status, _, answer = publish(node, topic)
    assert (status, answer["type"]) == (403, "wamp.error.not_authorized")


def test_what_is_not_signed_with_the_secret_is_refused(node: Node) -> None:
    body = b'{"topic":"services.quotes.price"}'
    for query in ("", "key=quotes", signed(b"{}"), signed(body, key="other"), signed(body, secret="x" * 32)):
        status, headers, answer = post(node, "publish", body, query)
        assert (status, answer["type"]) == (401, "crosstick.error.authentication_failed")
        assert headers["www-authenticate"].startswith("Signature ")


def test_what_is_no_request_is_said_to_be_none(node: Node) -> None:
    for body in (b"", b"[]", b"nonsense", b"\xff", b'{"topic":"services.quotes.a","options":{"retain":true}}'):
        status, headers, answer = post(node, "publish", body, signed(body))
        assert (status, answer["type"]) == (400, "wamp.error.invalid_argument")
        assert headers["content-type"] == "application/problem+json"
    status, headers, _ = post(node, "publish", b"", "", "GET")
    assert (status, headers["allow"]) == (405, "POST")
    assert post(node, "nothing", b"", "")[0] == post(node, "publish/more", b"", "")[0] == 404


@pytest_twisted.ensureDeferred
async def test_the_limits_of_role_service_hold(node: Node) -> None:
    body = b'{"procedure":"services.quotes.nothing"}'
    answers = []
    for _ in range(6):
        answers.append(await deferToThread(post, node, "call", body, signed(body)))
    status, headers, answer = answers[-1]
    assert (status, answer["limit"], answer["value"]) == (429, "calls_per_s", 0.001)
    assert int(headers["retry-after"]) > 0
    await until(reactor, lambda: node.metrics()["crosstick_refusals_total", "calls_per_s", "market"] >= 1)
    assert "Traceback" not in node.log
    assert SECRET not in node.log


def test_without_the_option_there_is_no_bridge(tmp_path: Path) -> None:
    text = generate((REPOSITORY / ".crossbar" / "config.yaml").read_text(), NodePlan(), "crosstick config")
    assert "bridge" not in text
