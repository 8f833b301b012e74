"""URLs of Redis: what is understood, what is refused, and that no password is shown."""

from __future__ import annotations

import pytest

from components.core.redis_address import InvalidRedisAddress, RedisAddress, parse_redis_url


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://localhost", RedisAddress((("localhost", 6379),))),
        ("redis://10.0.0.1:7000/2", RedisAddress((("10.0.0.1", 7000),), database=2)),
        ("redis://[::1]:7000", RedisAddress((("::1", 7000),))),
        ("rediss://:p%40ss@r.example", RedisAddress((("r.example", 6379),), tls=True, password="p@ss")),
        ("redis://ann:secret@r", RedisAddress((("r", 6379),), username="ann", password="secret")),
        (
            "redis+sentinel://:secret@a,b:26380/ticks/1",
            RedisAddress((("a", 26379), ("b", 26380)), service="ticks", database=1, password="secret"),
        ),
        ("redis+sentinel+tls://a/ticks", RedisAddress((("a", 26379),), service="ticks", tls=True)),
    ],
)
def test_an_address_is_what_its_url_says(url: str, address: RedisAddress) -> None:
    assert parse_redis_url(url) == address


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://", "a host is missing"),
        ("redis://:secret@", "a host is missing"),
        ("redis://h:0", "a host is missing or malformed"),
        ("redis://h:99999", "a port must be a number"),
        ("redis://:secret@h:secret", "a port must be a number"),
        ("redis://h\N{LATIN SMALL LETTER U WITH DIAERESIS}", "a host is missing or malformed"),
        ("redis://a b", "a host is missing or malformed"),
        ("redis://a,b", "a host is missing or malformed"),
        ("redis://[::1", "malformed"),
        ("redis://h/x", "the database must be a number"),
        ("redis://h/1/2", "too many parts"),
        ("redis://h?secret=1", "query"),
        ("redis://secret@h", "credentials must be"),
        ("redis+sentinel://h", "service is missing"),
        ("redis+sentinel://a,,b/ticks", "a host is missing"),
        ("http://:secret@h", "the scheme is unknown"),
    ],
)
def test_what_is_no_address_is_refused_without_showing_it(url: str, reason: str) -> None:
    with pytest.raises(InvalidRedisAddress, match=reason) as raised:
        parse_redis_url(url)
    assert "secret" not in str(raised.value)


def test_an_address_shows_no_password() -> None:
    address = parse_redis_url("redis+sentinel://ann:secret@a,b:1/ticks/1")
    assert str(address) == "a:26379,b:1 (service ticks), database 1"
    assert "secret" not in repr(address)
