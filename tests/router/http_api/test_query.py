"""What a URL's query may say."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.router.http_api.problems import ApiError
from components.router.http_api.query import SYMBOLS, Query, read_query
from components.uris import ERROR_INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("", None),
        ("symbols=*", None),
        ("symbols=%2A", None),
        ("token=x", None),
        ("symbols=BTCUSDT", ("BTCUSDT",)),
        ("symbols=BTCUSDT,ETHUSDT&token=x", ("BTCUSDT", "ETHUSDT")),
        ("symbols=ETHUSDT%2CBTCUSDT,ETHUSDT", ("ETHUSDT", "BTCUSDT")),
    ],
)
def test_symbols_come_in_their_order_each_once(text: str, symbols: tuple[str, ...] | None) -> None:
    assert read_query(text, (SYMBOLS,)) == Query(symbols)


@pytest.mark.parametrize(
    "text",
    [
        "symbols=",
        "symbols=,",
        "symbols=BTC-USDT",
        "symbols=*,BTCUSDT",
        "symbols=BTCUSDT%0A",
        "symbols=" + "A" * 21,
        "symbols=A&symbols=B",
        "symbol=BTCUSDT",
        "symbols=" + ",".join(map(str, range(2001))),
    ],
)
def test_what_is_not_as_it_must_be_is_an_invalid_argument(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        read_query(text, (SYMBOLS,))
    assert caught.value.uri == ERROR_INVALID_ARGUMENT
    assert caught.value.status == 400


@given(st.text())
def test_no_query_is_too_strange(text: str) -> None:
    with suppress(ApiError):
        assert read_query(text, (SYMBOLS,)) == Query()


def test_a_parameter_that_there_is_not_is_named_without_its_value() -> None:
    with pytest.raises(ApiError) as caught:
        read_query("tokn=eyJhbGciOi", (SYMBOLS,))
    assert caught.value.detail == "unknown parameter tokn; known are symbols, token"


@pytest.mark.parametrize("name", ["eyJhbGciOi", "a.b", "a" * 21, "%3Cb%3E", "a%0A", ""])
def test_what_does_not_look_like_a_parameter_is_not_repeated(name: str) -> None:
    with pytest.raises(ApiError) as caught:
        read_query(f"{name}=1", ())
    assert caught.value.detail == "unknown parameter; known are token"
