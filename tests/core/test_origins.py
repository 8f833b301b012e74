"""Which pages may connect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.origins import SAME_ORIGIN, Origin, OriginError, OriginPolicy


@pytest.mark.parametrize(
    ("origin", "host", "secure"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1:8080", False),
        ("http://Node.Example", "node.example", False),
        ("http://node.example", "node.example:80", False),
        ("https://node.example", "node.example", True),
        ("https://node.example:443", "node.example", True),
        ("http://[::1]:8080", "[::1]:8080", False),
        # A balancer terminated TLS and passed the page's host on.
        ("https://node.example", "node.example", False),
    ],
)
def test_pages_of_the_same_host_and_port_are_allowed(origin: str, host: str, secure: bool) -> None:
    assert SAME_ORIGIN.allows(origin, host, secure=secure)


@pytest.mark.parametrize(
    ("origin", "host", "secure"),
    [
        ("http://127.0.0.1:8081", "127.0.0.1:8080", False),
        ("http://localhost:8080", "127.0.0.1:8080", False),
        ("https://evil.example", "node.example", False),
        ("https://node.example.evil.example", "node.example", False),
        ("https://evilnode.example", "node.example", False),
        ("http://node.example:443", "node.example:443", True),
        ("null", "null", False),
        ("", "node.example", False),
        ("file://node.example", "node.example", False),
        ("chrome-extension://node.example", "node.example", False),
        ("https://node.example/", "node.example", False),
        ("https://node.example/path", "node.example/path", False),
        ("https://user@node.example", "user@node.example", False),
        ("https://node.example:", "node.example", False),
        ("https://node.example:port", "node.example:port", False),
        ("https://node.example:99999", "node.example:99999", False),
        ("https://node.example,https://node.example", "node.example", False),
        ("https://node.example", "", False),
        ("https://node.example", None, False),
    ],
)
def test_all_others_are_refused(origin: str, host: str | None, secure: bool) -> None:
    assert not SAME_ORIGIN.allows(origin, host, secure=secure)


def test_clients_that_send_no_origin_are_allowed() -> None:
    assert OriginPolicy.parse([]).allows(None, "node.example", secure=False)


def test_listed_origins_are_allowed_whatever_the_host_is() -> None:
    policy = OriginPolicy.parse(["https://app.example.com", "http://localhost:5173"])
    assert policy.allows("https://app.example.com", "10.0.0.7:8080", secure=False)
    assert policy.allows("http://localhost:5173", None, secure=True)
    assert not policy.allows("http://app.example.com", "10.0.0.7:8080", secure=False)
    assert not policy.allows("http://node.example", "node.example", secure=False), "same is not listed"


def test_null_and_everything_are_allowed_only_where_listed() -> None:
    assert OriginPolicy.parse(["null"]).allows("null", None, secure=False)
    assert not OriginPolicy.parse(["null"]).allows("https://evil.example", None, secure=False)
    assert OriginPolicy.parse(["*"]).allows("https://evil.example", None, secure=False)


@pytest.mark.parametrize("entry", ["app.example.com", "https://*.example.com", "https://a/b", "wss://a", "Same", ""])
def test_what_is_no_origin_is_refused_with_its_name(entry: str) -> None:
    with pytest.raises(OriginError, match="allowed_origins"):
        OriginPolicy.parse([entry])


@given(st.text(), st.text())
def test_nothing_that_a_client_sends_raises(origin: str, host: str) -> None:
    assert SAME_ORIGIN.allows(origin, host, secure=False) in (True, False)
    assert Origin.parse(origin) is None or "://" in origin
