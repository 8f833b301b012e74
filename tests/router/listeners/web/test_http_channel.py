"""HTTP connections are bounded in time and size, whatever the client does."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from components.router.listeners.http_channel import BAD_REQUEST, LINGER_S, TIMEOUT, TOO_LARGE, HttpLimits
from tests.router.listeners.web.site import Connection, HardenedSite, parse

LIMITS = HttpLimits()
GET = b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"


def assert_refused(hardened: HardenedSite, connection: Connection, answer: bytes, status: int) -> None:
    """Assert that an answer refuses and that the connection ends a moment later, whatever else is sent."""
    code, headers, body = parse(answer)
    assert code == status
    assert headers["connection"] == "close"
    assert headers["content-length"] == "0"
    assert headers["x-content-type-options"] == "nosniff"
    assert body == b""
    assert connection.send(GET) == b""
    hardened.clock.advance(LINGER_S)
    assert not connection.open
    assert hardened.clock.getDelayedCalls() == []


# The deadline of a request


def test_a_connection_that_sends_nothing_ends_at_the_deadline(hardened: HardenedSite) -> None:
    connection = hardened.connect()
    hardened.clock.advance(LIMITS.request_timeout_s - 0.1)
    assert connection.open
    hardened.clock.advance(0.1)
    assert not connection.open
    assert hardened.policy.refused == {TIMEOUT: 1}
    assert hardened.clock.getDelayedCalls() == []


@pytest.mark.parametrize("piece", [b"x", b"X-Header: value\r\n"], ids=["bytes", "lines"])
def test_what_trickles_in_does_not_move_the_deadline(hardened: HardenedSite, piece: bytes) -> None:
    connection = hardened.connect()
    connection.send(b"GET / HTTP/1.1\r\n")
    for _ in range(int(LIMITS.request_timeout_s) - 1):
        hardened.clock.advance(1)
        connection.send(piece)
        assert connection.open
    hardened.clock.advance(1)
    assert not connection.open
    assert hardened.policy.refused == {TIMEOUT: 1}


@pytest.mark.parametrize("head", [b"Content-Length: 1000", b"Transfer-Encoding: chunked"])
def test_a_body_that_trickles_in_does_not_either(hardened: HardenedSite, head: bytes) -> None:
    connection = hardened.connect()
    connection.send(b"POST /echo HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n\r\n")
    for _ in range(int(LIMITS.request_timeout_s) - 1):
        hardened.clock.advance(1)
        connection.send(b"1\r\nx\r\n")
        assert connection.open
    hardened.clock.advance(1)
    assert not connection.open


def test_each_request_of_a_connection_has_a_deadline_of_its_own(hardened: HardenedSite) -> None:
    connection = hardened.connect()
    for _ in range(3):
        hardened.clock.advance(LIMITS.request_timeout_s - 1)
        assert parse(connection.send(GET))[0] == 200
    hardened.clock.advance(LIMITS.request_timeout_s)
    assert not connection.open
    assert hardened.policy.refused == {}, "a connection that is not used any more is no offender"


def test_a_second_request_that_is_not_completed_ends_at_the_deadline(hardened: HardenedSite) -> None:
    connection = hardened.connect()
    connection.send(GET + b"GET / HT")
    hardened.clock.advance(LIMITS.request_timeout_s)
    assert not connection.open
    assert hardened.policy.refused == {TIMEOUT: 1}


def test_a_client_whose_buffer_does_not_empty_is_aborted(hardened: HardenedSite, monkeypatch: Any) -> None:
    connection = hardened.connect()
    # A connection with bytes that the peer does not take does not close by itself.
    monkeypatch.setattr(connection.transport, "loseConnection", lambda: None)
    hardened.clock.advance(LIMITS.request_timeout_s)
    assert not connection.transport.aborted
    hardened.clock.advance(LINGER_S)
    assert connection.transport.aborted


# The deadline of an answer


def test_an_answer_may_take_longer_than_a_request(hardened: HardenedSite) -> None:
    connection = hardened.connect()
    connection.send(GET.replace(b"echo", b"slow"))
    hardened.clock.advance(LIMITS.answer_timeout_s - 1)
    (request,) = hardened.slow.requests
    request.write(b"late")
    request.finish()
    assert b"late" in connection.received()
    assert parse(connection.send(GET))[0] == 200


def test_an_answer_that_is_not_taken_ends_with_the_connection(hardened: HardenedSite) -> None:
    connection = hardened.connect()
    connection.send(GET.replace(b"echo", b"slow"))
    hardened.clock.advance(LIMITS.answer_timeout_s)
    assert not connection.open
    assert hardened.policy.refused == {TIMEOUT: 1}


def test_a_last_answer_that_is_not_read_does_not_keep_its_connection(hardened: HardenedSite, monkeypatch: Any) -> None:
    connection = hardened.connect()
    monkeypatch.setattr(connection.transport, "loseConnection", lambda: None)
    connection.send(b"GET /echo HTTP/1.0\r\n\r\n")
    hardened.clock.advance(LIMITS.answer_timeout_s)
    assert connection.transport.aborted


# Sizes


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /" + b"x" * LIMITS.max_line_bytes + b" HTTP/1.1\r\n",
        b"x" * (LIMITS.max_line_bytes + 100),
        b"GET / HTTP/1.1\r\nX: " + b"x" * LIMITS.max_line_bytes + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + (b"X: " + b"x" * 1000 + b"\r\n") * 17 + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * (LIMITS.max_headers + 1) + b"\r\n",
        b"GET / HTTP/1.1\r\nX: y\r\n" + (b" " + b"x" * 1000 + b"\r\n") * 17 + b"\r\n",
    ],
    ids=["request line", "no line end", "header line", "all headers", "number of headers", "folded header"],
)
def test_headers_past_a_limit_are_refused(hardened: HardenedSite, request_bytes: bytes) -> None:
    connection = hardened.connect()
    assert_refused(hardened, connection, connection.send(request_bytes), 431)
    assert hardened.policy.refused == {TOO_LARGE: 1}


def test_headers_within_the_limits_are_taken(hardened: HardenedSite) -> None:
    headers = [f"X-{number}: y" for number in range(LIMITS.max_headers - 1)]
    assert hardened.connect().get("/echo", *headers)[0] == 200
    assert hardened.connect().get("/echo?" + "x" * (LIMITS.max_line_bytes - 100))[0] == 200


def test_a_body_of_the_largest_size_is_taken(hardened: HardenedSite) -> None:
    body = b"x" * LIMITS.max_body_bytes
    whole = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    assert parse(hardened.connect().send(whole))[2] == body
    chunked = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
    assert parse(hardened.connect().send(chunked % (len(body), body)))[2] == body


def test_a_body_that_is_announced_too_large_is_refused_unread(hardened: HardenedSite) -> None:
    connection = hardened.connect()
    head = b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    assert_refused(hardened, connection, connection.send(head % (LIMITS.max_body_bytes + 1) + b"x" * 1000), 413)
    assert hardened.policy.refused == {TOO_LARGE: 1}


def test_a_chunked_body_is_refused_when_it_gets_too_large(hardened: HardenedSite, monkeypatch: Any) -> None:
    files = []

    def make_file(*arguments: Any, **options: Any) -> Any:
        files.append(original(*arguments, **options))
        return files[-1]

    original = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", make_file)
    connection = hardened.connect()
    answer = connection.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
    for _ in range(LIMITS.max_body_bytes // 1024):
        answer += connection.send(chunk)
    assert answer == b""
    assert_refused(hardened, connection, connection.send(chunk), 413)
    assert all(each.closed for each in files), "nothing is kept in files"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
        b"GET\r\n",
        b"GET / HTTP/3.0\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\nHost: a\r\nContent-Length: 3\r\n\r\nGET",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_once(hardened: HardenedSite, request_bytes: bytes) -> None:
    connection = hardened.connect()
    assert_refused(hardened, connection, connection.send(request_bytes), 400)
    assert hardened.policy.refused == {BAD_REQUEST: 1}


def test_a_connection_ends_after_so_many_requests(hardened: HardenedSite) -> None:
    connection = hardened.connect()
    answers = connection.send(GET * (2 * LIMITS.max_requests))
    assert answers.count(b"HTTP/1.1 200 OK") == LIMITS.max_requests
    assert answers.count(b"Connection: close") == 1
    assert not connection.open


def test_requests_behind_one_that_waits_are_not_read_without_bound(hardened: HardenedSite) -> None:
    connection = hardened.connect()
    connection.send(GET.replace(b"echo", b"slow"))
    connection.send(b"x" * 20_000)
    assert connection.transport.producerState == "paused"


def test_http_2_is_not_offered(hardened: HardenedSite) -> None:
    assert hardened.site.acceptableProtocols() == [b"http/1.1"]


def test_limits_can_be_chosen(static: Path) -> None:
    hardened = HardenedSite(static, limits=HttpLimits(request_timeout_s=2, max_body_bytes=0, max_requests=1))
    assert hardened.connect().get("/echo")[1]["connection"] == "close"
    connection = hardened.connect()
    assert_refused(hardened, connection, connection.send(b"POST /echo HTTP/1.1\r\nContent-Length: 1\r\n\r\n"), 413)
    connection = hardened.connect()
    hardened.clock.advance(2)
    assert not connection.open
