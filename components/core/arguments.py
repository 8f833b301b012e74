"""What a procedure is called with, checked against a schema: a ``msgspec.Struct`` whose fields are the arguments.

What cannot be taken is said in one line: the argument, the rule, and what came, short and harmless. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from components.core.log_text import escaped

MAX_EXCERPT_CHARS = 40
MAX_SHOWN_BITS = 128
"""Of an integer. Python makes no text of one with thousands of digits."""

Schema = TypeVar("Schema", bound=msgspec.Struct)

_PLACE = re.compile(r" - at `\$\.?(.*?)`$", re.DOTALL)
_STEP = re.compile(r"\[(\d+)\]|\.?([A-Za-z_]\w*)")


class InvalidArgument(ValueError):
    """Arguments that are not what a procedure takes; the text is one line for who called it."""


class NoArguments(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a procedure takes that takes nothing."""


def checked(
    schema: type[Schema], args: Sequence[object], kwargs: Mapping[str, object], secret: Collection[str] = ()
) -> Schema:
    """Return a call's arguments as a schema's object. Of ``secret`` ones an error says the rule alone.

    Raises:
        InvalidArgument: one is missing, unknown, given twice, or breaks its rule.
    """
    names = schema.__struct_fields__
    if len(args) > len(names):
        raise InvalidArgument(f"takes {_number(names)}, by position or by name, got {len(args)}")
    values: dict[str, object] = dict(zip(names, args, strict=False))
    for name, value in kwargs.items():
        if name not in names:
            raise InvalidArgument(f"no argument is called {excerpt(name)}; takes {_number(names)}")
        if name in values:
            raise InvalidArgument(f"{name}: is given twice")
        values[name] = value
    try:
        return msgspec.convert(values, schema)
    except msgspec.ValidationError as error:
        raise InvalidArgument(_told(str(error), values, secret)) from None
    except (RecursionError, UnicodeError):
        raise InvalidArgument("is nested too deeply, or no text") from None


def excerpt(value: object) -> str:
    """Return what came, in one short line that may be printed anywhere."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f'"{escaped(value, MAX_EXCERPT_CHARS)}"'
    if isinstance(value, int) and value.bit_length() > MAX_SHOWN_BITS:
        return "a number of too many digits"
    if isinstance(value, (int, float)):
        return repr(value)
    size = f" of {len(value)}" if isinstance(value, (list, dict, bytes)) else ""
    return f"{_KINDS.get(type(value), 'a value')}{size}"


_KINDS: dict[type, str] = {list: "an array", dict: "an object", bytes: "bytes"}


def _number(names: Sequence[str]) -> str:
    if not names:
        return "no arguments"
    return f"at most {len(names)} argument{'s' if len(names) > 1 else ''} ({', '.join(names)})"


def _told(rule: str, values: Mapping[str, object], secret: Collection[str]) -> str:
    """Return msgspec's rule with the argument that breaks it before, and what that was behind."""
    found = _PLACE.search(rule)
    if found is None:
        return escaped(_begun_small(rule), 200)
    place, rule = found.group(1), _begun_small(rule[: found.start()])
    told = f"{escaped(place, MAX_EXCERPT_CHARS)}: {escaped(rule, 200)}"
    if place in secret:
        return told
    value: Any = values
    for index, name in _STEP.findall(place):
        try:
            value = value[int(index)] if index else value[name]
        except (LookupError, TypeError):
            break
    return f"{told}, was {excerpt(value)}"


def _begun_small(text: str) -> str:
    return text[:1].lower() + text[1:]
