"""Entries of a configuration, checked against a schema with errors that name the entry, the rule and the value. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

Schema = TypeVar("Schema", bound=msgspec.Struct)


class InvalidEntry(ValueError):
    """An entry is unknown or has an impossible value; the text is one line for the operator."""


def checked(values: Mapping[str, Any], schema: type[Schema], where: str) -> Schema:
    """Return what entries say; ``where`` names the mapping that they are in.

    Raises:
        InvalidEntry: the schema does not know one, or forbids its value.
    """
    for name, value in values.items():
        if name not in schema.__struct_fields__:
            known = ", ".join(schema.__struct_fields__)
            raise InvalidEntry(f"{where} has an unknown key {name!r}; known are {known}")
        try:
            # One by one, so that the line says which value it was.
            msgspec.convert({name: value}, schema)
        except msgspec.ValidationError as error:
            rule = str(error).split(" - at ")[0]
            raise InvalidEntry(f"{where}.{name}: {rule[0].lower()}{rule[1:]}, was {value!r}") from None
    return msgspec.convert(dict(values), schema)


def mapping(value: object, where: str) -> Mapping[str, Any]:
    """Return a value that is a mapping of names.

    Raises:
        InvalidEntry: it is none.
    """
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise InvalidEntry(f"{where} must be a mapping, was {value!r}")
    return value
