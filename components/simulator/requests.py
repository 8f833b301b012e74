"""The exchange's control messages: JSON text to a request, and answers to JSON text; pure, knows no connection.

The texts of errors are those of Binance's documentation, including where it says line and column.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

RequestId = int | str | None

_ID_TEXT = re.compile(r"[A-Za-z0-9]{1,36}")
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Listen to streams."""

    request_id: RequestId
    streams: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Listen to streams no more."""

    request_id: RequestId
    streams: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListSubscriptions:
    """Tell what is listened to."""

    request_id: RequestId


@dataclass(frozen=True, slots=True)
class SetCombined:
    """Wrap payloads, or don't."""

    request_id: RequestId
    combined: bool


@dataclass(frozen=True, slots=True)
class GetCombined:
    """Tell whether payloads are wrapped."""

    request_id: RequestId


Request = Subscribe | Unsubscribe | ListSubscriptions | SetCombined | GetCombined


class RequestError(Exception):
    """A control message the exchange does not accept."""

    def __init__(self, code: int, message: str, request_id: object = _MISSING) -> None:
        """Keep the documented code and text; only errors about a property carry the request's id."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.request_id = request_id


def result_reply(result: object, request_id: RequestId) -> bytes:
    """Return ``{"result":…,"id":…}``."""
    return _dump({"result": result, "id": request_id})


def error_reply(error: RequestError) -> bytes:
    """Return ``{"code":…,"msg":…}``, with the request's id where the documentation has it."""
    reply: dict[str, object] = {"code": error.code, "msg": error.message}
    if error.request_id is not _MISSING:
        reply["id"] = error.request_id
    return _dump(reply)


def parse_request(raw: bytes) -> Request:
    """Return the request a control message makes.

    Raises:
        RequestError: it makes none; code and message are the exchange's.
    """
    try:
        text = raw.decode()
        message = json.loads(text)
    except json.JSONDecodeError as error:
        raise RequestError(
            3, f"Invalid JSON: expected value at line {error.lineno} column {max(1, error.colno)}"
        ) from None
    except (UnicodeDecodeError, RecursionError, ValueError):
        raise RequestError(3, "Invalid JSON: expected value at line 1 column 1") from None
    if not isinstance(message, dict):
        raise _invalid(f"invalid type: {type(message).__name__}, expected a request object at line 1 column 1")
    if "method" not in message:
        raise _invalid(f"missing field `method` at line 1 column {len(text)}")
    method = message["method"]
    if method not in _METHODS:
        variant = method if isinstance(method, str) else json.dumps(method)
        column = max(0, text.find(variant)) + len(variant) + 1
        expected = ", ".join(f"`{name}`" for name in _METHODS)
        raise _invalid(f"unknown variant `{variant}`, expected one of {expected} at line 1 column {column}")
    request_id = _request_id(message)
    params = message.get("params", [])
    if not isinstance(params, list):
        raise _invalid("invalid type: params, expected a sequence")
    match method:
        case "SUBSCRIBE":
            return Subscribe(request_id, _streams(params))
        case "UNSUBSCRIBE":
            return Unsubscribe(request_id, _streams(params))
        case "LIST_SUBSCRIPTIONS":
            _at_most(params, 0)
            return ListSubscriptions(request_id)
        case "SET_PROPERTY":
            _at_most(params, 2)
            _property(params, request_id)
            if len(params) < 2 or not isinstance(params[1], bool):
                raise RequestError(1, "Invalid value type: expected Boolean")
            return SetCombined(request_id, params[1])
        case _:
            _at_most(params, 1)
            _property(params, request_id)
            return GetCombined(request_id)


def _invalid(what: str) -> RequestError:
    return RequestError(2, f"Invalid request: {what}")


def _request_id(message: dict[str, object]) -> RequestId:
    request_id = message.get("id", _MISSING)
    if request_id is None:
        return None
    if isinstance(request_id, int) and not isinstance(request_id, bool) and -(2**63) <= request_id < 2**63:
        return request_id
    if isinstance(request_id, str) and _ID_TEXT.fullmatch(request_id):
        return request_id
    raise _invalid("request ID must be an unsigned integer")


def _streams(params: list[object]) -> tuple[str, ...]:
    streams = tuple(name for name in params if isinstance(name, str))
    if not params or len(streams) != len(params):
        raise _invalid("params must be a list of stream names")
    return streams


def _at_most(params: list[object], limit: int) -> None:
    if len(params) > limit:
        raise _invalid("too many parameters")


def _property(params: list[object], request_id: RequestId) -> None:
    if not params or not isinstance(params[0], str):
        raise _invalid("property name must be a string")
    if params[0] != "combined":
        raise RequestError(0, "Unknown property", request_id)


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")
