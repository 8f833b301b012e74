"""What a call's arguments are refused for, in words."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from components.core.arguments import InvalidArgument, NoArguments, checked, excerpt


class Order(msgspec.Struct, forbid_unknown_fields=True):
    names: Annotated[list[Annotated[str, Meta(max_length=3)]], Meta(max_length=2)]
    count: Annotated[int, Meta(ge=1)] = 1


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ([["a"], 2, 3], {}, "takes at most 2 arguments (names, count), by position or by name, got 3"),
        ([], {}, "object missing required field `names`"),
        ([["a"]], {"names": []}, "names: is given twice"),
        ([["a"]], {"colour\n": 1}, 'no argument is called "colour\\n"; takes at most 2 arguments (names, count)'),
        ([["a"], 0], {}, "count: expected `int` >= 1, was 0"),
        ([["a"], True], {}, "count: expected `int`, got `bool`, was true"),
        ([["a", "\x1b[31mred"]], {}, 'names[1]: expected `str` of length <= 3, was "\\x1b[31mred"'),
        ([5], {}, "names: expected `array`, got `int`, was 5"),
        ([{"a": 1}], {}, "names: expected `array`, got `object`, was an object of 1"),
    ],
)
def test_what_is_wrong_is_said(args: list[Any], kwargs: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        checked(Order, args, kwargs)
    assert str(raised.value) == text


def test_what_takes_nothing_takes_nothing() -> None:
    assert checked(NoArguments, [], {}) == NoArguments()
    with pytest.raises(InvalidArgument, match="takes no arguments"):
        checked(NoArguments, [1], {})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.just(10**3000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(VALUES, max_size=3), st.dictionaries(st.text(), VALUES, max_size=3))
def test_whatever_is_refused_is_said_in_one_short_line(args: list[Any], kwargs: dict[str, Any]) -> None:
    text = ""
    try:
        checked(Order, args, kwargs)
    except InvalidArgument as error:
        text = str(error)
    assert text.isprintable()
    assert len(text) < 1000


@pytest.mark.parametrize(
    ("value", "shown"), [(1, "1"), (True, "true"), (None, "null"), (0.5, "0.5"), ([1], "an array of 1"), (10**99, None)]
)
def test_what_came_is_shown_as_it_came(value: object, shown: str | None) -> None:
    assert excerpt(value) == (shown or "a number of too many digits")


def test_a_number_that_python_cannot_print_is_not() -> None:
    assert excerpt(10**5000) == "a number of too many digits"
