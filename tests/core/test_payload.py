"""What clients of each serializer get for the exchange's digits."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from components.core.payload import EncodedPayload, exact_number

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
