"""Which form of an answer a client gets, and whether it has it already."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.router.http_api.negotiation import accepts_gzip, entity_tag, gzip, has_it, quoted


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], False),
        ([""], False),
        (["gzip"], True),
        (["GZip ; Q=1"], True),
        (["deflate, gzip;q=0.5"], True),
        (["deflate", "x-gzip"], True),
        (["*"], True),
        (["*;q=0"], False),
        (["gzip;q=0, *"], False),
        (["gzip;q=0.000"], False),
        (["gzip;q=nonsense"], False),
        (["gzip;q=\x1f\t0.5"], True),
        (["identity, br"], False),
        (["gzipped"], False),
    ],
)
def test_gzip_is_for_those_who_take_it(headers: list[str], expected: bool) -> None:
    assert accepts_gzip(headers) is expected


@given(st.lists(st.text()))
def test_no_header_is_too_strange(headers: list[str]) -> None:
    assert accepts_gzip(headers) in (True, False)
    assert has_it(headers, "0" * 24) is any(value.strip() == "*" for value in headers)


@given(st.binary())
def test_what_gzip_makes_can_be_read(body: bytes) -> None:
    assert zlib.decompress(gzip(body), wbits=31) == body


def test_the_two_forms_of_a_body_have_tags_of_their_own() -> None:
    tag = entity_tag(b"body")
    assert quoted(tag, gzipped=False) != quoted(tag, gzipped=True)
    assert entity_tag(b"another") != tag


@pytest.mark.parametrize("gzipped", [False, True])
def test_a_client_that_has_either_form_has_the_body(gzipped: bool) -> None:
    tag = entity_tag(b"body")
    its = quoted(tag, gzipped=gzipped).decode()
    assert has_it([f'"other", W/{its}'], tag)
    assert has_it(["*"], tag)
    assert not has_it(['"other"', tag], tag)
    assert not has_it([its], entity_tag(b"another"))
