"""What an API says when it cannot answer: problem details of RFC 9457, whose ``type`` is the error's URI. Pure.

The URIs are those that WAMP clients are told (``components.uris``); none may change its meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from math import ceil

import msgspec

from components.uris import (
    CLOSE_DRAINING,
    ERROR_AUTHENTICATION_FAILED,
    ERROR_INVALID_ARGUMENT,
    ERROR_LIMIT_EXCEEDED,
    ERROR_METHOD_NOT_ALLOWED,
    ERROR_NOT_AUTHORIZED,
    ERROR_NOT_FOUND,
    ERROR_NOT_READY,
    ERROR_RUNTIME,
    ERROR_UNKNOWN_SYMBOL,
)

PROBLEM_TYPE = b"application/problem+json"

NOT_READY_RETRY_AFTER_S = 1.0
"""A gateway that starts is ready some seconds later, and a balancer has another one."""

MAX_SYMBOL_CHARS = 20
_NAME = re.compile(r"[a-z_]{1,20}")
"""What a parameter or field may look like; no token does."""

PROBLEMS: Mapping[str, tuple[HTTPStatus, str]] = {
    ERROR_INVALID_ARGUMENT: (HTTPStatus.BAD_REQUEST, "Invalid argument"),
    ERROR_AUTHENTICATION_FAILED: (HTTPStatus.UNAUTHORIZED, "Not authenticated"),
    ERROR_NOT_AUTHORIZED: (HTTPStatus.FORBIDDEN, "Not granted"),
    ERROR_NOT_FOUND: (HTTPStatus.NOT_FOUND, "No such path"),
    ERROR_UNKNOWN_SYMBOL: (HTTPStatus.NOT_FOUND, "Unknown symbol"),
    ERROR_METHOD_NOT_ALLOWED: (HTTPStatus.METHOD_NOT_ALLOWED, "Method not allowed"),
    ERROR_LIMIT_EXCEEDED: (HTTPStatus.TOO_MANY_REQUESTS, "Limit exceeded"),
    ERROR_RUNTIME: (HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error"),
    ERROR_NOT_READY: (HTTPStatus.SERVICE_UNAVAILABLE, "Not ready"),
    CLOSE_DRAINING: (HTTPStatus.SERVICE_UNAVAILABLE, "Draining"),
}
"""The status and title of each ``type``."""


class ProblemDetails(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The body of a problem, as RFC 9457 has it, with Crosstick's own fields last."""

    type: str
    title: str
    status: int
    detail: str | None = None
    limit: str | None = None
    """The name of the limit that was exceeded."""

    value: float | None = None
    """Its value."""


@dataclass(frozen=True)
class ApiError(Exception):
    """A request that cannot be answered as it was meant."""

    uri: str
    """One of ``PROBLEMS``."""

    detail: str | None = None
    limit: str | None = None
    value: float | None = None
    headers: Mapping[bytes, bytes] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The answer's HTTP status."""
        return PROBLEMS[self.uri][0].value

    def body(self) -> bytes:
        """Return the problem's JSON."""
        return _encoded(
            ProblemDetails(
                type=self.uri,
                title=PROBLEMS[self.uri][1],
                status=self.status,
                detail=self.detail,
                limit=self.limit,
                value=self.value,
            )
        )


def _encoded(details: ProblemDetails) -> bytes:
    return msgspec.json.encode(details) + b"\n"


def problem_of_status(status: HTTPStatus, detail: str | None) -> bytes:
    """Return the JSON of a problem of which the status says all there is to say (RFC 9457 section 4.2.1)."""
    return _encoded(ProblemDetails(type="about:blank", title=status.phrase, status=status.value, detail=detail))


def unknown_symbol(symbol: str) -> ApiError:
    """Return the answer for a symbol that there is not, and for one that is not granted: nobody can tell which.

    Names that could be none are not repeated.
    """
    could_be = symbol.isascii() and symbol.isalnum() and len(symbol) <= MAX_SYMBOL_CHARS
    return ApiError(ERROR_UNKNOWN_SYMBOL, f"unknown symbol {symbol}" if could_be else "unknown symbol")


def unknown_name(kind: str, name: str, known: Iterable[str]) -> ApiError:
    """Return the answer for a parameter or field (``kind``) that there is not; ``known`` are those that there are.

    What does not look like one is not repeated: it may be a secret in the wrong place.
    """
    shown = f" {name}" if _NAME.fullmatch(name) else ""
    return ApiError(ERROR_INVALID_ARGUMENT, f"unknown {kind}{shown}; known are {', '.join(known)}")


def limit_exceeded(limit: str, value: float | None, wait_s: float, *, close: bool = False) -> ApiError:
    """Return the answer for a request that a limit forbids; ``wait_s`` says when there may be room.

    ``close``: the connection ends behind it.
    """
    headers = retry_after(wait_s)
    if close:
        headers[b"Connection"] = b"close"
    return ApiError(ERROR_LIMIT_EXCEEDED, limit=limit, value=value, headers=headers)


def not_ready(detail: str) -> ApiError:
    """Return the answer while there is nothing to answer from."""
    return ApiError(ERROR_NOT_READY, detail, headers=retry_after(NOT_READY_RETRY_AFTER_S))


def draining() -> ApiError:
    """Return the answer of a node that leaves, on a connection that was there before."""
    headers = {**retry_after(NOT_READY_RETRY_AFTER_S), b"Connection": b"close"}
    return ApiError(CLOSE_DRAINING, "this gateway leaves: ask another", headers=headers)


def retry_after(wait_s: float) -> dict[bytes, bytes]:
    """Return the header that says when to try again: whole seconds, at least one."""
    return {b"Retry-After": b"%d" % max(1, ceil(wait_s))}
