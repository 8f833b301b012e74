"""What a client's text looks like in a log."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.log_text import CONTINUED, escaped, log_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü €", "plain ü €"),
        ("a\r\nb\tc", "a\\r\\nb\\tc"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("a\u2028b\u202ec\u200bd", "a\\u2028b\\u202ec\\u200bd"),
        ("\ud800", "\\ud800"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_what_is_obeyed_is_escaped(text: str, shown: str) -> None:
    assert escaped(text, 100) == shown


def test_what_is_too_long_is_cut_and_counted() -> None:
    assert escaped("x" * 100, 10) == "x" * 10 + "… (90 more)"
    assert log_text("x" * 100, 60) == "x" * 60 + "… (40 more)"
    assert len(log_text("\x00" * 10**7, 500)) < 2100


@given(st.text())
def test_whatever_it_is_the_log_has_one_line_of_its_own(text: str) -> None:
    assert escaped(text, 1000).isprintable()
    lines = log_text(text, 1000).split("\n")
    assert all(line.isprintable() for line in lines)
    assert all(line.startswith(CONTINUED[1:]) for line in lines[1:])


def test_colours_go_and_what_is_left_of_a_broken_one_is_escaped() -> None:
    assert log_text("\x1b[31mred\x1b[0m", 100) == "red"
    assert log_text("\x1b\x1b[31m[31mred", 100) == "\\x1b[31mred"


def test_a_token_is_not_logged() -> None:
    assert log_text("ticket eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl, realm", 500) == "ticket <token>, realm"
    # Cut in its middle, it is one all the same.
    assert "eyJ" not in log_text("x" * 20 + "eyJhbGciOiJIUzI1NiJ9." + "a" * 500 + "." + "b" * 50, 40)
