"""A signed request is good once, and for a while only."""

from __future__ import annotations

import pytest

from components.router.bridge.signing import MAX_AGE_S, NotSigned, SignedRequests, TooManySigned, signature

SECRET = b"s" * 32
NOW_S = 1_700_000_000.0
TIMESTAMP = b"2023-11-14T22:13:20.000Z"
BODY = b'{"topic":"services.quotes.a"}'

Query = dict[bytes, list[bytes]]


def signed(body: bytes = BODY, secret: bytes = SECRET, **changes: bytes) -> Query:
    fields = {"key": b"quotes", "timestamp": TIMESTAMP, "seq": b"1", "nonce": b"2"} | changes
    values = [fields[name] for name in ("key", "timestamp", "seq", "nonce")]
    key, timestamp, seq, nonce = values
    fields.setdefault("signature", signature(key, secret, timestamp, seq, nonce, body))
    return {name.encode(): [value] for name, value in fields.items()}


def test_a_signed_request_is_accepted_once() -> None:
    requests = SignedRequests("quotes", SECRET)
    requests.accept(signed(), BODY, NOW_S)
    requests.accept(signed(nonce=b"3"), BODY, NOW_S)
    with pytest.raises(NotSigned, match="been here"):
        requests.accept(signed(), BODY, NOW_S)


def test_the_signature_is_that_of_crossbars_documentation() -> None:
    # printf 'kt12{}' | openssl dgst -sha256 -hmac secret -binary | base64 | tr '+/' '-_'
    assert signature(b"k", b"secret", b"t", b"1", b"2", b"{}") == b"_bcozkMI9TwBw6G6VIr8JRAV7U2R6QIqLVR8KIsjqIc="


@pytest.mark.parametrize(
    "query",
    [
        {},
        signed() | {b"signature": []},
        signed() | {b"nonce": [b"2", b"2"]},
        signed() | {b"signature": [b""]},
        signed() | {b"signature": [b"\xff" * 44]},
        signed() | {b"nonce": [b"3"]},
        signed(secret=b"t" * 32),
        signed(key=b"other"),
        signed(body=b"{}"),
        signed(seq=b"-1"),
        signed(nonce=b"1e3"),
        signed(timestamp=b"yesterday"),
        signed(timestamp=b"\xff"),
        signed(timestamp=b"2023-11-14T22:14:20.001Z"),
        signed(timestamp=b"2023-11-14T22:12:19.999Z"),
        signed(timestamp=b"0001-01-01T00:00:00.0Z"),
    ],
)
def test_anything_else_is_not(query: Query) -> None:
    requests = SignedRequests("quotes", SECRET)
    with pytest.raises(NotSigned):
        requests.accept(query, BODY, NOW_S)
    assert len(requests) == 0


def test_what_was_signed_is_remembered_for_as_long_as_it_would_be_good() -> None:
    requests = SignedRequests("quotes", SECRET)
    early_s = NOW_S - MAX_AGE_S
    requests.accept(signed(), BODY, early_s)
    with pytest.raises(NotSigned, match="been here"):
        requests.accept(signed(), BODY, NOW_S + MAX_AGE_S)
    later = signed(timestamp=b"2023-11-14T22:14:30.000Z")
    requests.accept(later, BODY, NOW_S + MAX_AGE_S + 1)
    assert len(requests) == 1


def test_past_what_can_be_remembered_requests_are_refused_until_some_have_ended() -> None:
    requests = SignedRequests("quotes", SECRET, max_remembered=1)
    requests.accept(signed(), BODY, NOW_S)
    with pytest.raises(TooManySigned):
        requests.accept(signed(nonce=b"3"), BODY, NOW_S)
    requests.accept(signed(timestamp=b"2023-11-14T22:15:21.000Z"), BODY, NOW_S + 2 * MAX_AGE_S + 1)
