"""Signed requests, as Crossbar's HTTP bridge has them, each of which is good once. Pure; times come in as arguments.

A request's query has ``key``, ``timestamp`` (UTC, ``2026-01-31T12:00:00.000Z``), ``seq`` and ``nonce`` (whole numbers), and
``signature``: the HMAC-SHA256, under the secret, of these four in this order and the body, in URL-safe base64. Source:
Crossbar's documentation, "HTTP Bridge", "Signed requests". Crossbar does not look at ``seq`` and ``nonce``; here what was
signed is remembered for as long as its timestamp is good.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime

MAX_AGE_S = 60
"""How far a request's timestamp may be from the node's clock, either way."""

MAX_REMEMBERED = 200_000
"""Some 40 MB. Where so many have come within twice ``MAX_AGE_S``, further ones are refused until some have ended."""

_FIELDS = (b"key", b"timestamp", b"seq", b"nonce")
_WHOLE = re.compile(rb"[0-9]{1,20}")
_TIMESTAMP = "%Y-%m-%dT%H:%M:%S.%fZ"


class NotSigned(Exception):
    """A request is not accepted; the text says why, and has nothing of the request."""


class TooManySigned(Exception):
    """More requests have been signed than can be remembered."""


def signature(key: bytes, secret: bytes, timestamp: bytes, seq: bytes, nonce: bytes, body: bytes) -> bytes:
    """Return the signature of a request."""
    signed = hmac.new(secret, key + timestamp + seq + nonce + body, hashlib.sha256)
    return base64.urlsafe_b64encode(signed.digest())


class SignedRequests:
    """What one key has signed."""

    def __init__(self, key: str, secret: bytes, max_remembered: int = MAX_REMEMBERED) -> None:
        self._key = key.encode()
        self._secret = secret
        self._max_remembered = max_remembered
        self._ends_s: OrderedDict[bytes, float] = OrderedDict()
        """When each signature's timestamp is good no more; in the order in which they came."""

    def __len__(self) -> int:
        return len(self._ends_s)

    def accept(self, query: Mapping[bytes, list[bytes]], body: bytes, now_s: float) -> None:
        """Take a request that has been signed, and has not been here; ``now_s`` is Unix time.

        Raises:
            NotSigned: it has not been signed, not lately, or has been here.
            TooManySigned: it cannot be remembered.
        """
        values = [query.get(name, []) for name in (*_FIELDS, b"signature")]
        if any(len(value) != 1 for value in values):
            raise NotSigned("a request needs key, timestamp, seq, nonce and signature, each once")
        key, timestamp, seq, nonce, given = (value[0] for value in values)
        expected = signature(self._key, self._secret, timestamp, seq, nonce, body)
        # Both, whatever the first says: how long it takes tells nothing.
        if not hmac.compare_digest(expected, given) & hmac.compare_digest(key, self._key):
            raise NotSigned("the signature is not that of this request")
        if not (_WHOLE.fullmatch(seq) and _WHOLE.fullmatch(nonce)):
            raise NotSigned("seq and nonce must be whole numbers")
        signed_s = _unix_time(timestamp)
        if signed_s is None or abs(signed_s - now_s) > MAX_AGE_S:
            raise NotSigned(f"the timestamp must be UTC, within {MAX_AGE_S} s of the node's clock")
        self._forget(now_s)
        if given in self._ends_s:
            raise NotSigned("the request has been here before")
        if len(self._ends_s) >= self._max_remembered:
            raise TooManySigned
        # Later than any timestamp that is good at present could end, so that they end in the order in which they come.
        self._ends_s[given] = now_s + 2 * MAX_AGE_S

    def _forget(self, now_s: float) -> None:
        while self._ends_s and next(iter(self._ends_s.values())) < now_s:
            self._ends_s.popitem(last=False)


def _unix_time(timestamp: bytes) -> float | None:
    try:
        return datetime.strptime(timestamp.decode("ascii"), _TIMESTAMP).replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None
