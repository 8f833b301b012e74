"""The JSON of one event as the feed made it, and what the binary serializers make of it.

Owns how exact decimal digits leave the node; never touches a serializer or a transport.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from math import isfinite

import msgspec

MIN_INTEGER, MAX_INTEGER = -(2**63), 2**64 - 1
"""What MessagePack has integers for."""


def _exact_integer(text: str) -> int | str:
    # MessagePack has no integers beyond 64 bits, and Python reads none of thousands of digits.
    number = int(text) if len(text) <= 20 else None
    return text if number is None or not MIN_INTEGER <= number <= MAX_INTEGER else number


def exact_number(text: str) -> float | str:
    """Return the double that prints the same decimal value, or the text itself where there is none.

    Doubles carry 15 significant digits without loss, which covers what the exchange sends; a longer number stays text
    rather than turn into another one. Trailing zeros are not part of the value: ``0.35280000`` is ``0.3528``.
    """
    number = float(text)
    try:
        return number if Decimal(repr(number)) == Decimal(text) else text
    except InvalidOperation:
        # An exponent of 19 digits is valid JSON, and no Decimal.
        return text


class EncodedPayload(msgspec.Struct, gc=False, eq=False, repr_omit_defaults=True):
    """One application payload as JSON bytes, wrapped and never re-encoded on its way to JSON clients.

    Clients of binary serializers, which have no decimal numbers, get ``value()``. One is made for each event, so it is kept
    out of the garbage collector's reach; it cannot be part of a cycle.
    """

    json: bytes
    _value: object = None

    def value(self) -> object:
        """Return the payload decoded, numbers with a fraction by ``exact_number``; whole ones beyond 64 bits stay text.

        Decoded once and kept.
        """
        if self._value is None:
            self._value = json.loads(self.json, parse_float=exact_number, parse_int=_exact_integer)
        return self._value


def is_plain_value(value: object, depth: int = 20) -> bool:
    """Tell whether a value means the same in JSON, MessagePack and CBOR: objects with text keys, lists, texts, numbers of at
    most 64 bits, booleans and null, not nested deeper than ``depth``; or is an ``EncodedPayload``."""
    kind = type(value)
    if kind is str or kind is bool or value is None or kind is EncodedPayload:
        return True
    if isinstance(value, int):
        return kind is int and MIN_INTEGER <= value <= MAX_INTEGER
    if isinstance(value, float):
        return kind is float and isfinite(value)
    if depth == 0:
        return False
    if isinstance(value, dict):
        return all(type(key) is str and is_plain_value(item, depth - 1) for key, item in value.items())
    return isinstance(value, list) and all(is_plain_value(item, depth - 1) for item in value)
