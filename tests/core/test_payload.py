"""What clients of each serializer get for the exchange's digits."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.payload import EncodedPayload, exact_number, is_plain_value

exchange_decimals = st.from_regex(r"(0|[1-9][0-9]{0,11})\.[0-9]{1,8}", fullmatch=True)


@given(exchange_decimals)
def test_an_exact_number_is_the_same_decimal_value_or_the_text_itself(text: str) -> None:
    number = exact_number(text)
    if isinstance(number, str):
        assert number == text
    else:
        assert Decimal(repr(number)) == Decimal(text)


@given(st.from_regex(r"(0|[1-9][0-9]{0,6})\.[0-9]{1,8}", fullmatch=True))
def test_up_to_fifteen_significant_digits_are_always_a_number(text: str) -> None:
    assert isinstance(exact_number(text), float)


def test_a_number_that_no_double_prints_stays_text() -> None:
    assert exact_number("123456789012.12345678") == "123456789012.12345678"


def test_a_payloads_value_is_decoded_once() -> None:
    payload = EncodedPayload(b'{"price":0.35280000,"id":7}')
    assert payload.value() == {"price": 0.3528, "id": 7}
    assert payload.value() is payload.value()


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,25})?", fullmatch=True))
def test_every_number_that_json_has_is_a_value_of_messagepack(text: str) -> None:
    value = EncodedPayload(text.encode()).value()
    assert isinstance(value, str) or msgpack.unpackb(msgpack.packb(value)) == value


@pytest.mark.parametrize("number", [-(2**63), 2**64 - 1, 1_700_000_000_000_000_000])
def test_whole_numbers_of_sixty_four_bits_stay_numbers(number: int) -> None:
    assert EncodedPayload(b"%d" % number).value() == number


def test_longer_ones_are_text() -> None:
    assert EncodedPayload(b"%d" % 2**64).value() == "18446744073709551616"
    assert EncodedPayload(b"1" * 5000).value() == "1" * 5000


@pytest.mark.parametrize(
    "value",
    [{1: "a"}, b"binary", Decimal("1.5"), float("nan"), 2**64, datetime(2026, 1, 1, tzinfo=UTC), [[{"a": (1,)}]]],
)
def test_what_json_cannot_say_is_not_plain(value: object) -> None:
    assert not is_plain_value(value)


def test_what_every_serializer_has_is_plain_unless_it_is_nested_deeply() -> None:
    assert is_plain_value({"a": [1, -1.5, "x", None, True, {"b": []}]})
    nested: list[object] = []
    for _ in range(50):
        nested = [nested]
    assert not is_plain_value(nested)
