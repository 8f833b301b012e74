"""The description of ``/api`` in OpenAPI 3.1, derived from the schemas, errors and limits that the node works by. Pure.

Source: OpenAPI Specification 3.1.1; its schemas are JSON Schema 2020-12, as msgspec makes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from components.core.limits import Limits
from components.core.plain_json import STREAMS
from components.core.topics import TICK
from components.router.http_api.problems import PROBLEM_TYPE, PROBLEMS, ProblemDetails
from components.router.http_api.query import RESUME_PATTERN, SYMBOLS_PATTERN
from components.router.http_api.schemas import Status, Symbols, SymbolTicks, Ticks
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

VERSION = "1"
"""Of the API, not of Crosstick: what is added leaves it as it is."""

LIMITS_OF_REQUESTS = (
    "messages_per_s",
    "messages_burst",
    "calls_per_s",
    "calls_burst",
    "refusals_per_s",
    "refusals_burst",
)
"""A request is a message and a call."""

_REFERENCE = "#/components/schemas/{name}"
_OF_ALL = (ERROR_INVALID_ARGUMENT, ERROR_AUTHENTICATION_FAILED, ERROR_LIMIT_EXCEEDED, ERROR_RUNTIME)
_OF_THE_BRIDGE = (ERROR_NOT_AUTHORIZED,)
_NOT_NOW = (ERROR_NOT_READY, CLOSE_DRAINING)

_SYMBOLS: dict[str, Any] = {
    "name": "symbols",
    "in": "query",
    "description": "Symbols with commas between, or `*` for all that the token grants",
    "schema": {"type": "string", "pattern": SYMBOLS_PATTERN},
    "examples": {"some": {"value": "BTCUSDT,ETHUSDT"}, "all": {"value": "*"}},
}
_STREAMS_PATTERN = f"^({'|'.join(STREAMS)})(,({'|'.join(STREAMS)})){{0,{len(STREAMS) - 1}}}$"
_EVENT_STREAM = {
    "type": "string",
    "description": "Server-sent events: the data of each is an event as `/api/ticks` has them; what is said of "
    "the stream itself, such as its end, has an `event` name. A comment now and then shows that the line lives.",
}


def describe(limits: Limits) -> bytes:
    """Return the description as JSON, for a realm with these limits."""
    types = (Ticks, SymbolTicks, Symbols, Status, ProblemDetails)
    _, schemas = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    schemas["ProblemDetails"]["properties"]["type"]["enum"] = [uri for uri in PROBLEMS if uri not in _OF_THE_BRIDGE]
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Crosstick",
            "version": VERSION,
            "description": "The newest trades, best prices and statistics of 24 hours, for those who ask rather than listen.",
            "license": {"name": "EUPL-1.2", "identifier": "EUPL-1.2"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"query": []}],
        "paths": {
            "/api/ticks": _get("ticks", "Newest events of symbols", Ticks, (ERROR_UNKNOWN_SYMBOL,), [_SYMBOLS]),
            "/api/ticks/{symbol}": _get(
                "tick", "Newest events of one symbol", SymbolTicks, (ERROR_UNKNOWN_SYMBOL, ERROR_NOT_FOUND), [_symbol()]
            ),
            "/api/symbols": _get("symbols", "Symbols that the token grants", Symbols),
            "/api/status": _get("status", "How the feed stands", Status),
            "/api/stream": _stream(),
            "/api/openapi.json": _description(),
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "query": {"type": "apiKey", "in": "query", "name": "token"},
            },
        },
        "x-limits": {name: getattr(limits, name) for name in LIMITS_OF_REQUESTS},
    }
    return msgspec.json.encode(document)


def _get(
    name: str,
    summary: str,
    schema: type[msgspec.Struct],
    errors: Iterable[str] = (),
    parameters: Iterable[dict[str, Any]] = (),
) -> dict[str, Any]:
    content = {"application/json": {"schema": _reference(schema)}}
    return {
        "get": {
            "operationId": name,
            "summary": summary,
            "parameters": [*parameters, _if_none_match()],
            "responses": {
                "200": {"description": summary, "headers": _HEADERS, "content": content},
                "304": {"description": "The client has it, by its `If-None-Match`", "headers": _HEADERS},
                **_errors((*_OF_ALL, *_NOT_NOW, ERROR_METHOD_NOT_ALLOWED, *errors)),
            },
        }
    }


def _stream() -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        _SYMBOLS,
        {
            "name": "streams",
            "in": "query",
            "description": f"One or more of {', '.join(f'`{name}`' for name in STREAMS)}, with commas between",
            "schema": {"type": "string", "default": TICK, "pattern": _STREAMS_PATTERN},
        },
        {
            "name": "every_ms",
            "in": "query",
            "description": "One of the node's rates: trades of so many milliseconds in one tick",
            "schema": {"type": "integer", "minimum": 10, "maximum": 3_600_000},
        },
        {
            "name": "resume",
            "in": "query",
            "description": "The epoch, and of symbols that are asked for the `seq` after which their ticks are to come first; "
            "not together with `every_ms`",
            "schema": {"type": "string", "pattern": RESUME_PATTERN},
            "examples": {"two": {"value": "1700000000000:BTCUSDT=41,ETHUSDT=17"}},
        },
    ]
    return {
        "get": {
            "operationId": "stream",
            "summary": "Events as they come",
            "parameters": parameters,
            "responses": {
                "200": {
                    "description": "A stream without end",
                    "content": {"text/event-stream": {"schema": _EVENT_STREAM}},
                },
                **_errors((*_OF_ALL, *_NOT_NOW, ERROR_METHOD_NOT_ALLOWED, ERROR_UNKNOWN_SYMBOL)),
            },
        }
    }


def _description() -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object", "required": ["openapi", "paths"]}}}
    return {
        "get": {
            "operationId": "description",
            "summary": "This description",
            "security": [],
            "parameters": [_if_none_match()],
            "responses": {
                "200": {"description": "This description", "headers": _HEADERS, "content": content},
                "304": {"description": "The client has it, by its `If-None-Match`", "headers": _HEADERS},
                **_errors((ERROR_LIMIT_EXCEEDED, ERROR_RUNTIME, ERROR_NOT_READY, ERROR_METHOD_NOT_ALLOWED)),
            },
        }
    }


_HEADERS: dict[str, Any] = {
    "ETag": {"description": "Of the body's bytes, in this form", "required": True, "schema": {"type": "string"}},
    "Cache-Control": {"required": True, "schema": {"type": "string"}},
    "Vary": {"required": True, "schema": {"type": "string"}},
}
_ERROR_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"type": "string", "pattern": "^Bearer "}}},
    405: {"Allow": {"required": True, "schema": {"type": "string"}}},
    429: {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}},
    503: {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}},
}


def _errors(uris: Iterable[str]) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for uri in uris:
        by_status.setdefault(PROBLEMS[uri][0].value, []).append(uri)
    problems = {
        str(status): {
            "description": "; ".join(f"{PROBLEMS[uri][1]} (`{uri}`)" for uri in listed),
            "headers": _ERROR_HEADERS.get(status, {}),
            "content": {PROBLEM_TYPE.decode(): {"schema": _reference(ProblemDetails)}},
        }
        for status, listed in sorted(by_status.items())
    }
    # The listener's, before it is known what is asked: without a body.
    return problems | {"431": {"description": "The request's line or headers are too long"}}


def _symbol() -> dict[str, Any]:
    schema = {"type": "string", "pattern": "^[A-Za-z0-9]{1,20}$"}
    return {"name": "symbol", "in": "path", "required": True, "schema": schema, "example": "BTCUSDT"}


def _if_none_match() -> dict[str, Any]:
    return {
        "name": "If-None-Match",
        "in": "header",
        "description": "The ETag of what the client has",
        "schema": {"type": "string"},
    }


def _reference(schema: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(name=schema.__name__)}
