"""The JSON of one event as the feed made it, and what the binary serializers make of it.

Owns how exact decimal digits leave the node; never touches a serializer or a transport.
"""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec


def _exact_integer(text: str) -> int | str:
    # MessagePack has no integers beyond 64 bits.
    return int(text) if len(text) <= 18 else text


def exact_number(text: str) -> float | str:
    """Return the double that prints the same decimal value, or the text itself where there is none.

    Doubles carry 15 significant digits without loss, which covers what the exchange sends; a longer number stays text
    rather than turn into another one. Trailing zeros are not part of the value: ``0.35280000`` is ``0.3528``.
    """
    number = float(text)
    return number if Decimal(repr(number)) == Decimal(text) else text


class EncodedPayload(msgspec.Struct, gc=False, eq=False, repr_omit_defaults=True):
    """One application payload as JSON bytes, wrapped and never re-encoded on its way to JSON clients.

    Clients of binary serializers, which have no decimal numbers, get ``value()``. One is made for each event, so it is kept
    out of the garbage collector's reach; it cannot be part of a cycle.
    """

    json: bytes
    _value: object = None

    def value(self) -> object:
        """Return the payload decoded, numbers with a fraction by ``exact_number``; whole ones of over 18 digits stay text.

        Decoded once and kept.
        """
        if self._value is None:
            self._value = json.loads(self.json, parse_float=exact_number, parse_int=_exact_integer)
        return self._value
