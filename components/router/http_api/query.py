"""A request's query: which symbols it wants. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import parse_qsl

from components.router.http_api.problems import ApiError, unknown_name
from components.router.market_api import MAX_SNAPSHOT_SYMBOLS
from components.uris import ERROR_INVALID_ARGUMENT

TOKEN = "token"  # noqa: S105  the parameter's name
SYMBOLS = "symbols"
ALL = "*"
SYMBOLS_PATTERN = r"^(\*|[A-Za-z0-9]{1,20}(,[A-Za-z0-9]{1,20})*)$"
"""What the parameter may be."""

RESUME_PATTERN = r"^([0-9]{1,16}):([A-Za-z0-9]{1,20}=[0-9]{1,16}(?:,[A-Za-z0-9]{1,20}=[0-9]{1,16})*)$"
"""What a stream's ``resume`` may be: the epoch, and of symbols the last ``seq``."""

_SYMBOLS = re.compile(SYMBOLS_PATTERN.strip("^$"))


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked for."""

    symbols: tuple[str, ...] | None = None
    """Each once; ``None``: all that are granted."""


def read_query(text: str, names: Collection[str]) -> Query:
    """Return what a URL's query says, without ``?``; ``names`` are the parameters that there may be beside the token.

    Raises:
        ApiError: a parameter is unknown, there twice or not as it must be.
    """
    values: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name == TOKEN:
            continue
        if name not in names:
            raise unknown_name("parameter", name, (*names, TOKEN))
        if name in values:
            raise ApiError(ERROR_INVALID_ARGUMENT, f"{name} is there twice; several symbols have commas between")
        values[name] = value
    return Query(_symbols(values[SYMBOLS])) if SYMBOLS in values else Query()


def _symbols(value: str) -> tuple[str, ...] | None:
    if not _SYMBOLS.fullmatch(value):
        raise ApiError(
            ERROR_INVALID_ARGUMENT,
            "symbols must be * or names of 1 to 20 letters and digits, with commas between",
        )
    if value == ALL:
        return None
    symbols = tuple(dict.fromkeys(value.split(",")))
    if len(symbols) > MAX_SNAPSHOT_SYMBOLS:
        raise ApiError(ERROR_INVALID_ARGUMENT, f"symbols must be at most {MAX_SNAPSHOT_SYMBOLS}, were {len(symbols)}")
    return symbols
