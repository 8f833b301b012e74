"""A request's way through ``/api``, on a site as a listener has it, without a node."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from autobahn.wamp import ApplicationError
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from components.core.batch import Batch
from components.core.limits import RealmLimits
from components.core.market import Market
from components.core.origins import OriginPolicy
from components.core.replay import ReplaySettings, TickHistory
from components.core.seats import Seats
from components.router import runtime
from components.router.authenticator import refusal
from components.router.http_api import access, resource
from components.router.http_api.resource import Api, ApiResource
from components.router.listeners.listener import Listener
from components.router.listeners.settings import ListenerSettings
from tests.router.listeners.web.site import HardenedSite, parse

TICK = b'{"symbol":"BTCUSDT","price":1.50,"seq":7}'
ALICE = {
    "authid": "alice",
    "role": "viewer",
    "extra": {"exp": 2**40, "symbols": None, "services": [], "tier": None, "jti": None, "iat": None},
}
APP = "https://app.example.com"


class World:
    """``/api`` on a site, and what answers for tokens."""

    def __init__(self, directory: Path, **limits: Any) -> None:
        self.verified: Any = ALICE
        self.peers: list[str] = []
        self.seats = Seats(RealmLimits.from_mapping(limits))
        self.market = Market(time.monotonic, time.time)
        status = {"epoch": 5, "state": "live", "symbols": ["BTCUSDT"], "stale": []}
        self.market.take_status(json.dumps(status).encode())
        self.market.take_batch(Batch(5, 1, [("market.BTCUSDT", 7, TICK)]))
        environment: Any = None
        self.node = runtime.Runtime(environment, list, TickHistory(ReplaySettings(), lambda: 0.0), market=self.market)
        self.hardened = HardenedSite(directory, origins=OriginPolicy.parse([APP]))
        self.hardened.root.putChild(b"api", Api())

    def verify(self, token: str, realm: str, peer: str) -> Any:
        assert realm == "market"
        self.peers.append(peer)
        if isinstance(self.verified, ApplicationError):
            raise self.verified
        return self.verified

    def get(self, path: str, *headers: str, method: str = "GET") -> tuple[int, dict[str, str], Any]:
        status, answered, body = self.hardened.connect().get(
            path, "Authorization: Bearer token", *headers, method=method
        )
        return status, answered, json.loads(body) if body else None


@pytest.fixture
def world(static: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a world in which a token may do two requests at once."""
    made: list[World] = []
    monkeypatch.setattr(access, "create_bearer_authenticator", lambda config: lambda *asked: made[0].verify(*asked))
    made.append(World(static, calls_per_s=0.25, calls_burst=2, refusals_burst=1, refusals_per_s=0.001))
    monkeypatch.setattr(runtime, "_runtime", made[0].node)
    monkeypatch.setattr(runtime, "_gatekeepers", {"market": made[0].seats})
    return made[0]


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """Return an empty folder below a folder of the test's."""
    folder = tmp_path / "static"
    folder.mkdir()
    return folder


def test_a_tick_is_answered_with_its_bytes(world: World) -> None:
    connection = world.hardened.connect()
    status, headers, body = connection.get("/api/ticks/BTCUSDT", "Authorization: Bearer token")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert body == b'{"epoch":5,"symbol":"BTCUSDT","tick":%b,"book":null,"day":null}' % TICK
    assert connection.open, "the next request comes on the same connection"


def test_a_client_that_has_the_body_is_told_so_until_it_changes(world: World) -> None:
    _, headers, _ = world.get("/api/ticks")
    status, again, body = world.get("/api/ticks", f"If-None-Match: {headers['etag']}")
    assert (status, body, again["etag"]) == (304, None, headers["etag"])
    assert again["cache-control"] == headers["cache-control"] == "private, no-cache"
    world.market.take_batch(Batch(5, 2, [("market.BTCUSDT", 8, TICK.replace(b"7", b"8"))]))
    world.verified = ALICE | {"authid": "bob"}
    status, changed, _ = world.get("/api/ticks", f"If-None-Match: {headers['etag']}")
    assert status == 200
    assert changed["etag"] != headers["etag"]


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/nothing", "/api/ticks/", "/api/ticks/BTCUSDT/", "/api/symbols/", "/api/..%2fx"]
)
def test_where_there_is_nothing_that_is_a_problem(world: World, path: str) -> None:
    status, headers, body = world.get(path)
    assert (status, body["type"]) == (404, "crosstick.error.not_found")
    assert headers["content-type"] == "application/problem+json"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "get"])
def test_a_method_that_there_is_not_is_refused_with_those_that_there_are(world: World, method: str) -> None:
    for path in ("/api/ticks", "/api/ticks/BTCUSDT", "/api/status", "/api/openapi.json"):
        status, headers, body = world.get(path, method=method)
        assert (status, headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        assert body["type"] == "crosstick.error.method_not_allowed"


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS"])
def test_a_stream_has_no_head(world: World, method: str) -> None:
    status, headers, _ = world.get("/api/stream?symbols=*", method=method)
    assert (status, headers["allow"]) == (204 if method == "OPTIONS" else 405, "GET, OPTIONS")


def test_past_a_limit_a_client_is_told_which_and_when_to_come_again(world: World) -> None:
    assert [world.get("/api/status")[0] for _ in range(2)] == [200, 200]
    status, headers, body = world.get("/api/status")
    assert (status, body["limit"], body["value"]) == (429, "calls_per_s", 0.25)
    assert headers["retry-after"] == "4"
    assert world.seats.refused == {"calls_per_s": 1}
    assert "connection" not in headers
    connection = world.hardened.connect()
    status, headers, _ = connection.get("/api/status", "Authorization: Bearer token")
    assert (status, headers["connection"]) == (429, "close")
    assert not connection.open


def test_a_limit_of_the_address_is_a_problem_too(world: World) -> None:
    world.hardened.policy.may_request = lambda address: False
    world.hardened.policy.requests_per_s = 50.0
    status, headers, body = world.get("/api/status")
    assert (status, body["limit"], body["value"]) == (429, "requests_per_s_per_address", 50.0)
    assert headers["retry-after"] == "1"


def test_a_token_that_is_not_accepted_is_challenged(world: World) -> None:
    world.verified = refusal()
    status, headers, body = world.get("/api/status")
    assert (status, body["type"]) == (401, "crosstick.error.authentication_failed")
    assert headers["www-authenticate"] == 'Bearer realm="crosstick", error="invalid_token"'


@pytest.mark.parametrize(
    ("path", "headers", "error"),
    [
        ("/api/status", [], ""),
        ("/api/status?token=a", ["Authorization: Bearer b"], ', error="invalid_request"'),
        ("/api/status", ["Authorization: Basic YTpi"], ', error="invalid_request"'),
    ],
)
def test_a_request_without_one_token_is_challenged(world: World, path: str, headers: list[str], error: str) -> None:
    status, answered, _ = world.hardened.connect().get(path, *headers)
    assert (status, answered["www-authenticate"]) == (401, f'Bearer realm="crosstick"{error}')
    assert not world.peers, "nothing was verified"
    assert world.node.refused_tickets == ({} if error else {"missing": 1})


def test_a_stream_without_a_token_is_counted_too(world: World) -> None:
    assert world.hardened.connect().get("/api/stream?symbols=*")[0] == 401
    assert world.node.refused_tickets == {"missing": 1}


def test_a_token_whose_key_is_just_coming_waits_for_it(world: World) -> None:
    world.verified = waiting = Deferred()
    connection = world.hardened.connect()
    request = b"GET /api/ticks/BTCUSDT HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer token\r\n\r\n"
    assert connection.send(request) == b""
    waiting.callback(ALICE)
    assert connection.received().startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("accepted", [True, False])
def test_a_client_that_has_gone_meanwhile_is_no_error(world: World, accepted: bool) -> None:
    world.verified = waiting = Deferred()
    connection = world.hardened.connect()
    connection.send(b"GET /api/status HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer token\r\n\r\n")
    connection.channel.connectionLost(Failure(ConnectionDone()))
    # An error that is logged would fail the test: no error is left unhandled, and nothing is written.
    if accepted:
        waiting.callback(ALICE)
    else:
        waiting.errback(refusal())
    assert connection.received() == b""


@pytest.mark.parametrize("state", ["no gateway", "not joined", "no gatekeeper", "no feed"])
def test_a_gateway_that_is_not_ready_says_so(world: World, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    if state == "no gateway":
        monkeypatch.setattr(runtime, "_runtime", None)
    elif state == "not joined":
        world.node.market = None
    elif state == "no gatekeeper":
        monkeypatch.setattr(runtime, "_gatekeepers", {})
    else:
        world.node.market = Market(time.monotonic, time.time)
    status, headers, body = world.get("/api/ticks")
    assert (status, body["type"], headers["retry-after"]) == (503, "crosstick.error.not_ready", "1")


def test_a_node_that_leaves_answers_and_lets_the_connection_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_drains", True)
    connection = world.hardened.connect()
    status, headers, _ = connection.get("/api/status", "Authorization: Bearer token")
    assert (status, headers["connection"]) == (200, "close")
    assert not connection.open


def test_a_listener_that_has_stopped_sends_its_clients_elsewhere(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener("public", ListenerSettings(), world.hardened.clock.seconds)
    listener.has_stopped = True
    monkeypatch.setattr(access, "listener_of", lambda transport: listener)
    status, headers, body = world.get("/api/status")
    assert (status, body["type"], headers["retry-after"]) == (503, "crosstick.close.draining", "1")


def test_a_page_of_a_listed_origin_may_read_answers_and_errors(world: World) -> None:
    for path, expected in (("/api/symbols", 200), ("/api/nothing", 404)):
        status, headers, _ = world.get(path, f"Origin: {APP}")
        assert (status, headers["access-control-allow-origin"]) == (expected, APP)
        assert "Origin" in headers["vary"]
        assert "access-control-allow-origin" not in world.get(path, "Origin: https://evil.example")[1]


def test_a_preflight_needs_no_token(world: World) -> None:
    asked = [f"Origin: {APP}", "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization"]
    status, headers, body = world.hardened.connect().get("/api/ticks", *asked, method="OPTIONS")
    assert (status, body, headers["allow"]) == (204, b"", "GET, HEAD, OPTIONS")
    assert headers["access-control-allow-headers"] == "Authorization, If-None-Match"
    _, headers, _ = world.hardened.connect().get("/api/ticks", "Origin: https://evil.example", method="OPTIONS")
    assert not [name for name in headers if name.startswith("access-control-")]


def test_an_error_of_our_own_is_a_500_that_says_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Market, "status", lambda self: 1 / 0)
    logged: list[Any] = []
    monkeypatch.setattr(ApiResource, "log", SimpleNamespace(failure=logged.append))
    status, _, body = world.get("/api/status")
    assert (status, body) == (500, {"type": "wamp.error.runtime_error", "title": "Internal error", "status": 500})
    assert logged == ["a request of the API failed"]


def test_head_is_get_without_the_body(world: World) -> None:
    got, head = world.get("/api/symbols"), world.get("/api/symbols", method="HEAD")
    assert head[2] is None
    assert head[0] == got[0]
    assert {name: head[1][name] for name in head[1] if name != "date"} == {
        name: got[1][name] for name in got[1] if name != "date"
    }


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"Origin: \xff", 200),
        (b"Origin: http://\xe9.example\r\nHost: \xe9.example", 200),
        (b"Accept-Encoding: gz\xff", 200),
        (b'If-None-Match: "\xff"', 200),
        (b"X-Forwarded-For: \xff", 200),
        (b"Forwarded: for=\xff", 200),
        (b"Authorization: \xff", 401),
    ],
)
def test_headers_may_have_any_bytes(world: World, header: bytes, expected: int) -> None:
    head = b"GET /api/ticks/BTCUSDT?token=t HTTP/1.1\r\n"
    host = b"" if b"Host" in header else b"Host: node.example\r\n"
    status, headers, _ = parse(world.hardened.connect().send(head + host + header + b"\r\n\r\n"))
    assert status == expected
    assert "access-control-allow-origin" not in headers


def test_an_answer_that_cannot_be_sent_ends_the_connection(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[Failure] = []

    def fail(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(resource, "problem_body", fail)
    log = SimpleNamespace(failure=lambda text, failure=None: failures.append(failure))
    monkeypatch.setattr(ApiResource, "log", log)
    connection = world.hardened.connect()
    connection.send(b"GET /api/nothing HTTP/1.1\r\nHost: node.example\r\n\r\n")
    assert not connection.open
    assert failures[-1].check(ZeroDivisionError)
