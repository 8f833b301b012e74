"""``/api`` of a real node: what tokens grant, in which form, and for how long."""

from __future__ import annotations

import gzip
import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from components.free_ports import free_port
from components.router.http_api import schemas
from tests.harness.client import Clients, until
from tests.harness.node import Node, component

APP = "https://app.example.com"
PATHS = ["/api/ticks", "/api/ticks/BTCUSDT", "/api/symbols", "/api/status"]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Return a running node whose tier ``slow`` may ask once an hour, which pages of ``APP`` may use."""

    def change(config: dict[str, Any]) -> None:
        component(config, "listeners")["extra"]["listeners"]["public"]["allowed_origins"] = ["same", APP]
        limits = component(config, "market-gatekeeper")["extra"]["limits"]
        limits["tiers"] = {"slow": {"calls_per_s": 1 / 3600, "calls_burst": 1}}

    made = Node(tmp_path_factory.mktemp("http"), {"CROSSTICK_SIMULATOR_PORT": str(free_port())}, change_config=change)
    made.start()
    yield made
    made.stop()


Answer = tuple[int, dict[str, str], bytes]


def ask(node: Node, path: str, token: str | None = None, method: str = "GET", **headers: str) -> Answer:
    """Return status, headers and body of an answer; of headers, ``_`` in their names stands for ``-``."""
    asked = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        asked["Authorization"] = f"Bearer {token}"
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=5)
    try:
        connection.request(method, path, headers=asked)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def problem(answer: Answer, status: int) -> Any:
    assert answer[0] == status
    assert answer[1]["content-type"] == "application/problem+json"
    body = json.loads(answer[2])
    assert body["status"] == status
    return body


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("/api/ticks", schemas.Ticks),
        ("/api/ticks?symbols=BTCUSDT,ETHUSDT", schemas.Ticks),
        ("/api/ticks/BTCUSDT", schemas.SymbolTicks),
        ("/api/symbols", schemas.Symbols),
        ("/api/status", schemas.Status),
    ],
)
def test_bodies_are_as_described(node: Node, path: str, schema: Any) -> None:
    status, headers, body = ask(node, path, node.token("alice"))
    assert (status, headers["content-type"]) == (200, "application/json")
    answer = msgspec.json.decode(body, type=schema)
    if isinstance(answer, schemas.Ticks):
        assert {"BTCUSDT", "ETHUSDT"} <= set(answer.symbols)


@pytest_twisted.ensureDeferred
async def test_events_have_the_bytes_that_wamp_clients_get(node: Node, clients: Clients) -> None:
    token = node.token("alice")
    frames = await clients.raw(node.ws_url, token, "alice", ["market.BTCUSDT"])

    def newest() -> str:
        return str(ask(node, "/api/ticks/BTCUSDT", token)[2].decode().partition('"tick":')[2].partition(',"book"')[0])

    seen: set[str] = set()

    def has_come() -> bool:
        seen.add(newest())
        return any(tick in frame for tick in seen for frame in frames if tick.startswith("{"))

    await until(reactor, has_come)


def test_a_token_in_the_url_is_as_good_and_none_gets_into_the_log(node: Node) -> None:
    tokens = [node.token("alice"), node.token("mallory", realm="ops", role="operator")]
    statuses = [ask(node, f"/api/symbols?token={token}")[0] for token in tokens]
    statuses += [ask(node, "/api/symbols", token)[0] for token in tokens]
    assert statuses == [200, 401, 200, 401]
    for token in tokens:
        assert token.split(".")[2] not in node.log
        assert token.split(".")[1] not in node.log


@pytest.mark.parametrize("path", PATHS)
def test_without_an_accepted_token_there_is_nothing(node: Node, path: str) -> None:
    for token in (None, "nonsense", node.token("feed", realm="ops", role="operator"), node.token("alice") + "x"):
        answer = ask(node, path, token)
        assert problem(answer, 401)["type"] == "crosstick.error.authentication_failed"
        assert answer[1]["www-authenticate"].startswith("Bearer ")
        assert ("error" in answer[1]["www-authenticate"]) is (token is not None)


def test_a_token_that_has_ended_is_refused(node: Node) -> None:
    authority, now_s = node.authority, int(time.time())
    past = authority.mint(sub="alice", role="viewer", realm="market", now_s=now_s - 3600, ttl_s=60)
    assert problem(ask(node, "/api/status", past), 401)


@pytest_twisted.ensureDeferred
async def test_a_revoked_token_is_refused_at_once(node: Node, clients: Clients) -> None:
    token = node.token("eve")
    assert (await deferToThread(ask, node, "/api/status", token))[0] == 200
    olga = await clients.join(
        node.ws_url, authid="olga", ticket=node.token("olga", "operator", realm="ops"), realm="ops"
    )
    await olga.call("auth.revoke", sub="eve")
    problem(await deferToThread(ask, node, "/api/status", token), 401)


def test_a_token_shows_what_it_grants_and_no_more(node: Node) -> None:
    token = node.token("carol", symbols=["BTC*"])
    granted = json.loads(ask(node, "/api/symbols", token)[2])["symbols"]
    assert granted
    assert all(symbol.startswith("BTC") for symbol in granted)
    assert set(json.loads(ask(node, "/api/ticks", token)[2])["symbols"]) == set(granted)
    bodies = []
    for symbol in ("ETHUSDT", "NOPEUSDT"):
        for path in (f"/api/ticks/{symbol}", f"/api/ticks?symbols=BTCUSDT,{symbol}"):
            bodies.append(json.dumps(problem(ask(node, path, token), 404)).replace(symbol, ""))
    assert len(set(bodies)) == 1
    assert "unknown_symbol" in bodies[0]


def test_prices_are_compressed_for_those_who_take_it(node: Node) -> None:
    token = node.token("alice")
    _, plain, _ = ask(node, "/api/symbols", token)
    status, headers, body = ask(node, "/api/symbols", token, Accept_Encoding="br, gzip")
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert "Accept-Encoding" in headers["vary"]
    assert len(json.loads(gzip.decompress(body))["symbols"]) == 121
    assert headers["etag"] != plain["etag"]
    for tag in (headers["etag"], plain["etag"]):
        status, again, body = ask(node, "/api/symbols", token, If_None_Match=tag)
        assert (status, body, again["cache-control"]) == (304, b"", "private, max-age=60")
    assert "content-encoding" not in ask(node, "/api/ticks/BTCUSDT", token, Accept_Encoding="gzip")[1]


@pytest.mark.parametrize("path", [*PATHS, "/api/openapi.json"])
def test_head_and_options(node: Node, path: str) -> None:
    status, headers, body = ask(node, path, node.token("alice"), "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 0
    assert headers["etag"]
    status, headers, body = ask(node, path, None, "OPTIONS", Origin=APP)
    assert (status, body, headers["allow"]) == (204, b"", "GET, HEAD, OPTIONS")
    assert headers["access-control-allow-origin"] == APP


def test_a_page_of_a_listed_origin_may_read_it(node: Node) -> None:
    token = node.token("alice")
    assert ask(node, "/api/symbols", token, Origin=APP)[1]["access-control-allow-origin"] == APP
    other = ask(node, "/api/symbols", token, Origin="https://evil.example")[1]
    assert "access-control-allow-origin" not in other


@pytest_twisted.ensureDeferred
async def test_the_limits_of_a_tier_hold_and_are_counted(node: Node) -> None:
    token = node.token("sloth", tier="slow")
    assert ask(node, "/api/status", token)[0] == 200
    answer = ask(node, "/api/ticks/BTCUSDT", token)
    assert problem(answer, 429)["limit"] == "calls_per_s"
    assert int(answer[1]["retry-after"]) > 3000
    # What is counted is shown half a second later.
    await until(reactor, lambda: node.metrics()["crosstick_refusals_total", "calls_per_s", "market"] == 1)
    assert ask(node, "/api/status", node.token("other", tier="slow"))[0] == 200


def test_what_is_asked_wrongly_is_said(node: Node) -> None:
    token = node.token("alice")
    for path in ("/api/ticks?symbols=", "/api/ticks?symbols=A&symbols=B", "/api/ticks?symbol=A", "/api/status?x=1"):
        assert problem(ask(node, path, token), 400)["type"] == "wamp.error.invalid_argument"
    assert ask(node, "/api/ticks?symbols=" + "A," * 5000, token)[0] == 431


def test_the_description_needs_no_token_and_names_the_nodes_limits(node: Node) -> None:
    status, headers, body = ask(node, "/api/openapi.json")
    assert (status, headers["content-type"]) == (200, "application/json")
    document = json.loads(body)
    assert {*PATHS[:1], "/api/ticks/{symbol}", *PATHS[2:], "/api/stream"} <= set(document["paths"])
    assert document["x-limits"]["calls_per_s"] == 20.0
