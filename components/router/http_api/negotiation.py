"""What a request's headers ask of an answer's form: gzip or not, and whether the client has it already. Pure.

Sources: RFC 9110 sections 8.8.3 (ETag), 12.5.3 (Accept-Encoding) and 13.1.2 (If-None-Match).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from hashlib import blake2b

MIN_GZIP_BYTES = 1_024
"""A shorter body fits into one packet either way."""

GZIP_LEVEL = 1
"""The prices of 121 symbols, 34 kB: level 1 makes 10.5 kB of them, level 6 8.7 kB in twice the time."""

_GZIP_SUFFIX = "-gzip"
_WEIGHT = re.compile(r"[01](\.[0-9]{0,3})?")
_ENTITY_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def entity_tag(body: bytes) -> str:
    """Return the strong tag of a body, without its quotes: other bytes have another tag, whatever became of epochs and seqs."""
    return blake2b(body, digest_size=12).hexdigest()


def quoted(tag: str, *, gzipped: bool) -> bytes:
    """Return the ETag of a body, or of what gzip made of it: other bytes, and so another tag."""
    return f'"{tag}{_GZIP_SUFFIX if gzipped else ""}"'.encode()


def has_it(if_none_match: Sequence[str], tag: str) -> bool:
    """Tell whether a client has a body, in either form, by its headers ``If-None-Match``."""
    for value in if_none_match:
        if value.strip() == "*":
            return True
        if any(found.removesuffix(_GZIP_SUFFIX) == tag for found in _ENTITY_TAG.findall(value)):
            return True
    return False


def accepts_gzip(accept_encoding: Sequence[str]) -> bool:
    """Tell whether a client takes gzip, by its headers ``Accept-Encoding``; without any it is given none."""
    weights: dict[str, float] = {}
    for entry in ",".join(accept_encoding).split(","):
        coding, *parameters = (part.strip().lower() for part in entry.split(";"))
        weights[coding] = _weight(parameters)
    named = weights.get("gzip", weights.get("x-gzip"))
    return (weights.get("*", 0.0) if named is None else named) > 0.0


def gzip(body: bytes) -> bytes:
    """Return a body in gzip's format; the same bytes for the same body."""
    compressor = zlib.compressobj(GZIP_LEVEL, wbits=16 + zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


def _weight(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            value = value.strip()
            # What is no weight says no: the body as it is suits everybody.
            return float(value) if _WEIGHT.fullmatch(value) else 0.0
    return 1.0
