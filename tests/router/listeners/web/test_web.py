"""What a listener's web site shows to strangers: marked answers, nothing of its inside, and no WebSocket but for its pages."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet import reactor
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread

from components.core.origins import OriginPolicy
from components.router.listeners.handshake import CheckedHandshake
from components.router.listeners.headers import COMMON_HEADERS, SecurityHeaders
from components.router.listeners.http_channel import ORIGIN, HttpLimits, HttpPolicy
from components.router.listeners.listener import Listener
from components.router.listeners.settings import ListenerSettings
from components.router.listeners.tls import tls_factory
from components.router.listeners.web import protect
from tests.harness.certificates import write_pair
from tests.router.listeners.web.site import SECRET, Connection, HardenedSite, parse
from tests.router.listeners.wire import TlsClient

PATHS = ["/", "/index.html", "/vendor/autobahn.min.js", "/echo", "/nothing", "/vendor/", "/.secret"]
HANDSHAKE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


class Checked(CheckedHandshake, WebSocketServerProtocol):
    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.sendMessage(payload, isBinary)


@pytest.fixture
def with_websocket(hardened: HardenedSite) -> HardenedSite:
    """Return a site to which a WebSocket resource was added after it had been hardened."""
    add_websocket(hardened)
    return hardened


def websocket_factory(clock: Clock) -> WebSocketServerFactory:
    factory = WebSocketServerFactory(reactor=clock)
    factory.protocol = Checked
    # As Crossbar sets them where its configuration says nothing.
    factory.setProtocolOptions(openHandshakeTimeout=5, allowedOrigins=["*"], allowNullOrigin=True)
    return factory


def add_websocket(hardened: HardenedSite) -> None:
    hardened.root.putChild(b"ws", WebSocketResource(websocket_factory(hardened.clock)))


# Headers


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["HEAD", "POST"])
def test_every_answer_has_the_security_headers(hardened: HardenedSite, method: str, path: str) -> None:
    _, headers, _ = hardened.connect().get(path, "Origin: https://evil.example", method=method)
    for name, value in COMMON_HEADERS.items():
        assert headers[name.decode().lower()] == value.decode()
    assert headers["server"] == "Crosstick"
    shared = path.startswith("/vendor/")
    assert headers["cross-origin-resource-policy"] == ("cross-origin" if shared else "same-origin")
    assert "strict-transport-security" not in headers, "there is no TLS here"
    assert not [name for name in headers if name.startswith("access-control-")]


def test_the_policy_lets_no_inline_code_and_no_other_origin_in() -> None:
    policy = COMMON_HEADERS[b"Content-Security-Policy"].decode()
    directives = dict(directive.strip().split(" ", 1) for directive in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert set(directives.values()) == {"'none'", "'self'"}


def test_under_tls_browsers_are_told_to_come_back_by_tls(static: Path) -> None:
    write_pair(static.parent / "pair.pem")
    for headers, expected in ((SecurityHeaders(), True), (SecurityHeaders(hsts_max_age_s=None), False)):
        folder = static / str(expected)
        folder.mkdir()
        hardened = HardenedSite(folder, headers=headers)
        config = {"key": "pair.pem", "certificate": "pair.pem"}
        factory = tls_factory(config, static.parent, hardened.site, hardened.clock)
        client = TlsClient(factory, alpn=[b"h2", b"http/1.1"])
        client.handshake()
        assert client.connection.get_alpn_proto_negotiated() == b"", "HTTP/2 is not taken up"
        client.connection.send(b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
        client.pump()
        hardened.clock.advance(0)
        _, answered, _ = parse(client.receive())
        assert answered.get("strict-transport-security") == ("max-age=31536000" if expected else None)


def test_a_tls_handshake_that_is_not_completed_ends_at_the_deadline(static: Path) -> None:
    write_pair(static.parent / "pair.pem")
    hardened = HardenedSite(static)
    config = {"key": "pair.pem", "certificate": "pair.pem"}
    client = TlsClient(tls_factory(config, static.parent, hardened.site, hardened.clock))
    hardened.clock.advance(HttpLimits().request_timeout_s + 1)
    assert not client.transport.connected


# What there is and what not


def get(port: int, path: str, asked: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of an answer to a page of another origin."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Origin": "https://evil.example"} | (asked or {}))
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


@pytest_twisted.ensureDeferred
async def test_files_are_served_with_the_security_headers(static: Path) -> None:
    hardened = HardenedSite(static)
    hardened.site.reactor = reactor
    port = reactor.listenTCP(0, hardened.site, interface="127.0.0.1")
    for path, expected in (
        ("/", b"<!doctype html>the page"),
        ("/vendor/autobahn.min.js", b"library()"),
        ("/without-index/some.js", b"some()"),
    ):
        status, headers, body = await deferToThread(get, port.getHost().port, path)
        assert (status, body) == (200, expected)
        assert headers.items() >= {(name.decode(), value.decode()) for name, value in COMMON_HEADERS.items()}
        assert headers["Server"] == "Crosstick"
        assert not [name for name in headers if name.lower().startswith("access-control")]
    await port.stopListening()


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/nothing/at/all",
        "/vendor",
        "/vendor/",
        "/without-index",
        "/without-index/",
        "/.secret",
        "/%2esecret",
        "/../outside.txt",
        "/%2e%2e/outside.txt",
        "/..%2foutside.txt",
        "/vendor/..%2f.secret",
        "/vendor%2fautobahn.min.js",
        "/%5c..%5coutside.txt",
        "/index.html%00.js",
        "/%ff%fe",
        "/index.html%0d%0aX-Injected:%20yes",
        "/" + "x" * 5000,
        "/<script>alert(1)</script>",
        "http://evil.example/",
    ],
)
def test_what_is_not_to_be_seen_is_not_found_and_nothing_is_said_of_it(hardened: HardenedSite, path: str) -> None:
    status, headers, body = hardened.connect().get(path)
    assert (status, body) == (404, b"Not found\n")
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    assert "location" not in headers
    assert "x-injected" not in headers


def test_nothing_of_crossbars_own_page_is_shown(hardened: HardenedSite) -> None:
    for path in ("/nothing", "/vendor/nothing", "/without-index/"):
        assert SECRET.encode() not in hardened.connect().get(path)[2]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE", "OPTIONS", "CONNECT", "get"])
def test_methods_that_a_resource_does_not_have_are_refused_plainly(hardened: HardenedSite, method: str) -> None:
    status, headers, body = hardened.connect().get("/", method=method)
    assert (status, body) == (405, b"Method not allowed\n")
    assert headers["allow"] == "GET, HEAD"


def test_head_is_answered_without_a_body(hardened: HardenedSite) -> None:
    for path, status in (("/", 200), ("/nothing", 404)):
        answer = hardened.connect().get(path, method="HEAD")
        assert (answer[0], answer[2]) == (status, b"")
        assert int(answer[1]["content-length"]) > 0


# How much of it


@pytest_twisted.ensureDeferred
async def test_a_request_for_ranges_is_given_the_whole_file_once(static: Path) -> None:
    hardened = HardenedSite(static)
    hardened.site.reactor = reactor
    port = reactor.listenTCP(0, hardened.site, interface="127.0.0.1")
    for ranges in ("0-3", "0-3,5-6", ",".join(["0-"] * 100)):
        asked = {"Range": f"bytes={ranges}"}
        status, headers, body = await deferToThread(get, port.getHost().port, "/vendor/autobahn.min.js", asked)
        assert (status, body) == (200, b"library()")
        assert headers["Content-Length"] == "9"
        assert "Content-Range" not in headers
    await port.stopListening()


def site_of_a_listener(static: Path, **settings: Any) -> tuple[HardenedSite, Listener]:
    """Return a site with the policy of a listener with settings; both have the site's clock."""
    hardened = HardenedSite(static)
    listener = Listener("public", ListenerSettings(**settings), hardened.clock.seconds)
    protect(hardened.site, listener.http_policy)
    return hardened, listener


def test_too_many_requests_of_an_address_are_told_to_come_later(static: Path) -> None:
    hardened, listener = site_of_a_listener(static, requests_per_s_per_address=1, requests_burst_per_address=3)
    connection = hardened.connect()
    assert [connection.get("/echo")[0] for _ in range(3)] == [200] * 3
    # Another connection of the address is no new start; what is not there counts as well.
    for path in ("/echo", "/index.html", "/nothing"):
        status, headers, body = hardened.connect().get(path)
        assert (status, headers["retry-after"], body) == (429, "1", b"Too many requests\n")
    assert hardened.connect("192.0.2.7").get("/echo")[0] == 200
    assert listener.refused == {"requests_per_s_per_address": 3}
    hardened.clock.advance(1)
    assert [connection.get("/echo")[0] for _ in range(2)] == [200, 429]
    assert listener.refused == {"requests_per_s_per_address": 4}


def test_requests_of_a_trusted_proxy_are_not_counted(static: Path) -> None:
    hardened, listener = site_of_a_listener(
        static,
        requests_per_s_per_address=1,
        requests_burst_per_address=1,
        trusted_proxies=("192.0.2.0/24",),
    )
    proxy = hardened.connect("192.0.2.7")
    assert [proxy.get("/echo")[0] for _ in range(5)] == [200] * 5
    assert not listener.refused
    client = hardened.connect()
    assert [client.get("/echo")[0] for _ in range(2)] == [200, 429]


def test_without_a_rate_requests_are_not_refused(static: Path) -> None:
    hardened, listener = site_of_a_listener(static, requests_per_s_per_address=None, requests_burst_per_address=1)
    connection = hardened.connect()
    assert [connection.get("/echo")[0] for _ in range(5)] == [200] * 5
    assert not listener.refused


# WebSocket


def test_a_page_of_this_host_may_open_a_websocket_and_no_deadline_of_http_is_left(with_websocket: HardenedSite) -> None:
    connection = with_websocket.connect()
    status, headers, _ = connection.get("/ws", *HANDSHAKE, "Origin: http://node.example")
    assert status == 101
    assert headers["server"] == "Crosstick"
    with_websocket.clock.advance(10 * HttpLimits().answer_timeout_s)
    assert connection.open
    # A text frame, masked with zeros, and what comes back.
    assert connection.send(b"\x81\x85\0\0\0\0hello") == b"\x81\x05hello"
    assert with_websocket.policy.refused == {}


def test_a_client_without_origin_may_too(with_websocket: HardenedSite) -> None:
    assert with_websocket.connect().get("/ws", *HANDSHAKE)[0] == 101


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://node.example:81", "file://"])
def test_a_page_of_another_origin_is_refused_with_403(with_websocket: HardenedSite, origin: str) -> None:
    connection = with_websocket.connect()
    assert connection.get("/ws", *HANDSHAKE, f"Origin: {origin}")[0] == 403
    assert not connection.open
    assert with_websocket.policy.refused == {ORIGIN: 1}


def test_origins_can_be_listed(static: Path) -> None:
    hardened = HardenedSite(static, origins=OriginPolicy.parse(["https://app.example.com"]))
    add_websocket(hardened)
    assert hardened.connect().get("/ws", *HANDSHAKE, "Origin: https://app.example.com")[0] == 101
    assert hardened.connect().get("/ws", *HANDSHAKE, "Origin: http://node.example")[0] == 403


@pytest.mark.parametrize("path", ["/ws", "/ws?redirect=https%3A%2F%2Fevil.example", "/ws?redirect=x&after=1"])
def test_a_request_that_is_no_websocket_is_told_so_and_led_nowhere(with_websocket: HardenedSite, path: str) -> None:
    status, headers, body = with_websocket.connect().get(path)
    assert (status, json.loads(body)["detail"]) == (426, "WebSocket connections only")
    assert headers["content-type"] == "application/problem+json"
    assert headers["upgrade"] == "websocket"
    assert "location" not in headers


def test_a_websocket_listener_without_web_site_checks_origins_too() -> None:
    clock = Clock()
    factory = websocket_factory(clock)
    for policy, status in ((None, 403), (HttpPolicy(origins=OriginPolicy.parse(["*"])), 101)):
        if policy is not None:
            protect(factory, policy)
        factory.reactor = clock
        connection = Connection(factory)
        assert connection.get("/", *HANDSHAKE, "Origin: https://evil.example")[0] == status
    assert Connection(factory).get("/?redirect=https%3A%2F%2Fevil.example")[0] == 426


def test_other_factories_stay_as_they_are() -> None:
    factory = Factory()
    protect(factory, HttpPolicy())
    assert vars(factory) == {}
