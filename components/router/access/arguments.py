"""The arguments of a call, checked by a schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from autobahn.wamp import ApplicationError

from components.uris import ERROR_INVALID_ARGUMENT

_Schema = TypeVar("_Schema", bound=msgspec.Struct)


def arguments(schema: type[_Schema], positional: Sequence[object], named: Mapping[str, Any]) -> _Schema:
    """Return a call's arguments as a ``schema``, whose fields may be given by name, or in their order.

    Raises:
        ApplicationError: they are not what it says (``wamp.error.invalid_argument``). The text quotes no argument.
    """
    fields = schema.__struct_fields__
    if len(positional) > len(fields):
        raise ApplicationError(ERROR_INVALID_ARGUMENT, f"takes {len(fields)} arguments at most: {', '.join(fields)}")
    given = dict(zip(fields, positional, strict=False))
    if given.keys() & named.keys():
        raise ApplicationError(ERROR_INVALID_ARGUMENT, "an argument is given by position and by name")
    if not named.keys() <= set(fields):
        known = ", ".join(fields) or "none"
        raise ApplicationError(ERROR_INVALID_ARGUMENT, f"an argument is not known; those known are: {known}")
    try:
        return msgspec.convert(given | dict(named), schema)
    except msgspec.ValidationError as error:
        raise ApplicationError(ERROR_INVALID_ARGUMENT, str(error)) from None
