"""Which pages may read answers: those that may open a WebSocket."""

from __future__ import annotations

import pytest

from components.core.origins import OriginPolicy
from components.router.http_api.cors import cors_headers

APP = "https://app.example.com"


@pytest.mark.parametrize(
    ("allowed", "origin", "granted"),
    [
        (["same"], None, None),
        (["same"], APP, None),
        (["same"], "http://node:8080", b"http://node:8080"),
        ([APP], APP, APP.encode()),
        ([APP], "https://app.example.com.evil.example", None),
        ([APP], f"{APP}\r\nSet-Cookie: a=b", None),
        ([APP], "null", None),
        (["null"], "null", b"null"),
        (["*"], "https://anything.example", b"*"),
    ],
)
def test_an_origin_is_granted_when_it_is_listed(allowed: list[str], origin: str | None, granted: bytes | None) -> None:
    headers = cors_headers(OriginPolicy.parse(allowed), origin, "node:8080", secure=False)
    assert headers.get(b"Access-Control-Allow-Origin") == granted
    assert b"Access-Control-Allow-Credentials" not in headers
    assert bool(headers) is (granted is not None)


def test_a_preflight_says_what_may_be_sent() -> None:
    headers = cors_headers(OriginPolicy.parse([APP]), APP, "node", secure=True, preflight=True)
    assert headers[b"Access-Control-Allow-Methods"] == b"GET, HEAD"
    assert b"Authorization" in headers[b"Access-Control-Allow-Headers"]
