"""Which pages may open a WebSocket to a node, by the ``Origin`` that browsers send (RFC 6454, RFC 6455 section 10.2). Pure.

This keeps other sites' pages from using a browser's network position. It is no authentication: whoever is not a browser
sends what it likes, and needs a ticket all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

SAME = "same"
"""The entry for pages of the very host and port that the request goes to."""

NULL = "null"
"""The entry for pages without an origin: local files, sandboxed frames."""

ANY = "*"

_HOST_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-._:")
"""Of names and IP addresses; so a pattern in the allow-list is an error rather than a host of that name."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


class OriginError(ValueError):
    """An entry of the allow-list is no origin."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port, the latter with its scheme's default filled in."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Origin | None:
        """Return what ``https://host[:port]`` says, or ``None`` when it is anything else."""
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            return None
        default = _DEFAULT_PORTS.get(parts.scheme)
        # What is put together again must be what came: no user, no path, nothing that was skipped over.
        if default is None or not parts.hostname or text.lower() != f"{parts.scheme}://{parts.netloc.lower()}":
            return None
        if not text.isascii() or parts.netloc.endswith(":") or not _HOST_CHARACTERS.issuperset(parts.hostname):
            return None
        if "@" in parts.netloc:
            return None
        return cls(parts.scheme, parts.hostname, default if port is None else port)


@dataclass(frozen=True, slots=True)
class OriginPolicy:
    """An allow-list of origins."""

    same: bool = True
    null: bool = False
    anything: bool = False
    origins: frozenset[Origin] = frozenset()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> OriginPolicy:
        """Return the policy of a list of ``same``, ``null``, ``*`` and origins such as ``https://app.example.com``.

        Raises:
            OriginError: an entry is none of these.
        """
        listed = list(entries)
        origins = set()
        for entry in listed:
            if entry in (SAME, NULL, ANY):
                continue
            origin = Origin.parse(entry)
            if origin is None:
                raise OriginError(
                    f"allowed_origins: {entry!r} is neither same, null, * nor an origin such as https://app.example.com"
                )
            origins.add(origin)
        return cls(SAME in listed, NULL in listed, ANY in listed, frozenset(origins))

    def allows(self, origin: str | None, host: str | None, *, secure: bool) -> bool:
        """Say whether a request may become a WebSocket connection.

        ``origin`` and ``host`` are the request's headers, ``None`` where there is none: clients that are no browsers send no
        origin, and are let in. ``secure`` says that the connection is TLS here: then a page that came without TLS is not the
        same. Behind a balancer that terminates TLS, the page's ``https`` and the balancer's ``Host`` are the same.
        """
        if origin is None or self.anything:
            return True
        if origin == NULL:
            return self.null
        asked = Origin.parse(origin)
        if asked is None:
            return False
        if asked in self.origins:
            return True
        if not self.same or host is None or (secure and asked.scheme != "https"):
            return False
        return Origin.parse(f"{asked.scheme}://{host}") == asked


SAME_ORIGIN = OriginPolicy()
"""What holds where nothing else is said."""
