"""Where a Redis is: the URL of ``CROSSTICK_BUS``, checked and taken apart.

Pure: text in, values out. Nothing here shows a password.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

DEFAULT_PORT = 6379
DEFAULT_SENTINEL_PORT = 26379
MAX_DATABASE = 65_535

REDIS_FORMS = (
    "redis://[user:password@]host[:port][/db], rediss://… for TLS, "
    "redis+sentinel://[:password@]host[:port][,host…]/service[/db] or redis+sentinel+tls://…"
)
_SCHEMES = {
    # Scheme: (asks Sentinels, speaks TLS)
    "redis": (False, False),
    "rediss": (False, True),
    "redis+sentinel": (True, False),
    "redis+sentinel+tls": (True, True),
}


class InvalidRedisAddress(ValueError):
    """A URL names no Redis; the text says why in one line, without the URL: it may hold a password."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One Redis, or the Sentinels that know where it is."""

    hosts: tuple[tuple[str, int], ...]
    """``(host, port)``: the server's, or those of the Sentinels."""

    service: str | None = None
    """By which the Sentinels know the server; ``None``: ``hosts`` has the server itself."""

    database: int = 0
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Return what may stand in a log."""
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        service = f" (service {self.service})" if self.service is not None else ""
        return f"{hosts}{service}, database {self.database}"


def is_redis_url(url: str) -> bool:
    """Tell whether a URL has a scheme of Redis."""
    return url.partition("://")[0] in _SCHEMES


def parse_redis_url(url: str) -> RedisAddress:
    """Return what a URL says, percent-encoded characters decoded.

    Raises:
        InvalidRedisAddress: it is not in one of ``REDIS_FORMS``.
    """
    try:
        split = urlsplit(url)
    except ValueError as error:
        # Only brackets that enclose no IPv6 address end here.
        raise InvalidRedisAddress("the host is malformed") from error
    if split.scheme not in _SCHEMES:
        raise InvalidRedisAddress("the scheme is unknown")
    sentinel, tls = _SCHEMES[split.scheme]
    if split.query or split.fragment:
        raise InvalidRedisAddress("it has a query or fragment")
    credentials, _, hosts = split.netloc.rpartition("@")
    user, colon, password = credentials.partition(":")
    if credentials and not (colon and password):
        raise InvalidRedisAddress("credentials must be user:password or :password")
    parts = split.path.strip("/").split("/") if split.path.strip("/") else []
    service = None
    if sentinel:
        if not parts or not parts[0]:
            raise InvalidRedisAddress("the name of the service is missing")
        service = unquote(parts.pop(0))
    if len(parts) > 1:
        raise InvalidRedisAddress("the path has too many parts")
    default_port = DEFAULT_SENTINEL_PORT if sentinel else DEFAULT_PORT
    named = hosts.split(",") if sentinel else [hosts]
    return RedisAddress(
        hosts=tuple(_host_and_port(host, default_port) for host in named),
        service=service,
        database=_database(parts[0]) if parts else 0,
        tls=tls,
        username=unquote(user) or None,
        password=unquote(password) or None,
    )


def _host_and_port(text: str, default_port: int) -> tuple[str, int]:
    try:
        split = SplitResult("", text, "", "", "")
        host, port = split.hostname, split.port
    except ValueError as error:
        raise InvalidRedisAddress("a port must be a number from 1 to 65535") from error
    if not host or "," in text or not host.isascii() or not host.isprintable() or " " in host or port == 0:
        raise InvalidRedisAddress("a host is missing or malformed")
    return host, default_port if port is None else port


def _database(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > MAX_DATABASE:
        raise InvalidRedisAddress(f"the database must be a number from 0 to {MAX_DATABASE}")
    return int(text)
