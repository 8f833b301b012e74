"""The request for a JWK Set, at a real server: what is taken, and what becomes of the answers that are not."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol

from components.free_ports import free_port
from components.tokens.fetch import TIMEOUT_S, jwks_fetcher
from components.tokens.jwks import MAX_JWKS_BYTES, JwksError
from tests.harness.client import until
from tests.harness.reactor import ReactorOnClock
from tests.tokens.jwks_server import JwksServer
from tests.tokens.keyring import jwks, public_jwk

GOOD = jwks(public_jwk("ES256", kid="k"))


@pytest_twisted.async_yield_fixture
async def server() -> AsyncIterator[JwksServer]:
    """Return a server with a good set; it is gone at the test's end."""
    made = JwksServer(GOOD)
    yield made
    await made.stop()


async def fetched(port: int, scheme: str = "http", host: str = "127.0.0.1") -> bytes:
    return await jwks_fetcher(f"{scheme}://{host}:{port}/jwks?tenant=7", reactor)()


async def refusal(port: int, scheme: str = "http", host: str = "127.0.0.1") -> str:
    with pytest.raises(JwksError) as raised:
        await fetched(port, scheme, host)
    return str(raised.value)


@pytest_twisted.ensureDeferred
async def test_a_set_is_brought_as_it_is(server: JwksServer) -> None:
    assert await fetched(server.listen()) == GOOD
    [request] = server.requests
    assert request.uri == b"/jwks?tenant=7"
    assert request.getHeader("cookie") is None
    assert request.getHeader("accept-encoding") is None


@pytest_twisted.ensureDeferred
async def test_a_certificate_that_the_system_trusts_is_taken(
    server: JwksServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert await fetched(server.listen(certificate=certificate), "https", "localhost") == GOOD


@pytest_twisted.ensureDeferred
async def test_a_certificate_that_nobody_vouches_for_is_not(server: JwksServer, certificate: Path) -> None:
    port = server.listen(certificate=certificate)
    assert await refusal(port, "https", "localhost") == "TLS: certificate verify failed"
    assert server.requests == []


@pytest_twisted.ensureDeferred
async def test_a_certificate_for_another_host_is_not(
    server: JwksServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    reason = await refusal(server.listen(certificate=certificate), "https", "127.0.0.1")
    assert reason.startswith("TLS: ")
    assert server.requests == []


@pytest_twisted.ensureDeferred
async def test_nobody_there_is_said_in_a_line() -> None:
    assert "refused" in await refusal(free_port())


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("code", [204, 302, 404, 500])
async def test_an_answer_that_is_not_200_is_none(server: JwksServer, code: int) -> None:
    server.code = code
    server.headers["Location"] = "http://127.0.0.1:1/elsewhere"
    assert await refusal(server.listen()) == f"it answered with HTTP {code}"
    assert len(server.requests) == 1


@pytest_twisted.ensureDeferred
async def test_an_answer_that_says_it_is_too_long_is_cut_off(server: JwksServer) -> None:
    server.body = b" " * (MAX_JWKS_BYTES + 1)
    assert await refusal(server.listen()) == "its answer is longer than 262144 bytes"


@pytest_twisted.ensureDeferred
async def test_a_compressed_answer_is_not_inflated(server: JwksServer) -> None:
    server.body = gzip.compress(b" " * 100_000_000, 1)[:MAX_JWKS_BYTES]
    server.headers["Content-Encoding"] = "gzip"
    assert await fetched(server.listen()) == server.body


class Raw(Protocol):
    """Answers a request with bytes as they are."""

    answer = b""
    close = False

    def dataReceived(self, data: bytes) -> None:
        self.factory.asked.callback(None)
        self.transport.write(self.answer)
        if self.close:
            self.transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        self.factory.lost.callback(None)


@pytest_twisted.async_yield_fixture
async def raw() -> AsyncIterator[Any]:
    """Return a function that listens with a raw answer, and gives the port and what fires with the request and its end."""
    ports = []

    def listen(answer: bytes, *, close: bool = False) -> tuple[int, Deferred[None], Deferred[None]]:
        factory = Factory.forProtocol(type("Answer", (Raw,), {"answer": answer, "close": close}))
        factory.asked, factory.lost = Deferred(), Deferred()
        ports.append(reactor.listenTCP(0, factory, interface="127.0.0.1"))
        return ports[-1].getHost().port, factory.asked, factory.lost

    yield listen
    for port in ports:
        await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_an_answer_without_end_is_cut_off(raw: Any) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    port, _, lost = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 8)
    assert await refusal(port) == "its answer is longer than 262144 bytes"
    await lost


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\n\r\n{}",
    ],
    ids=["short", "without length"],
)
async def test_an_answer_that_breaks_off_is_none(raw: Any, answer: bytes) -> None:
    port, _, lost = raw(answer, close=True)
    assert await refusal(port) == "its answer broke off"
    await lost


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH_9.0\r\n\r\n", b"\x00" * 100 + b"\r\n\r\n", b"HTTP/1.1 x OK\r\n\r\n"]
)
async def test_an_answer_that_is_no_http_is_none(raw: Any, answer: bytes) -> None:
    port, _, lost = raw(answer, close=True)
    assert await refusal(port)
    await lost


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"], ids=["silent", "slow"])
async def test_a_server_that_does_not_come_to_an_end_is_given_up(raw: Any, answer: bytes) -> None:
    port, asked, lost = raw(answer)
    clock = ReactorOnClock()
    outcome = jwks_fetcher(f"http://127.0.0.1:{port}/", clock)()
    seen: list[Any] = []
    outcome.addBoth(seen.append)
    await asked
    clock.advance(TIMEOUT_S - 0.1)
    assert seen == []
    clock.advance(0.1)
    await until(reactor, lambda: bool(seen))
    assert seen[0].check(JwksError)
    assert seen[0].getErrorMessage() == "no complete answer within 10 s"
    await lost
