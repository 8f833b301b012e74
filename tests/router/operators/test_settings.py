"""What operators call a node."""

from __future__ import annotations

from typing import Any

import pytest

from components.core.entries import InvalidEntry
from components.router.operators.settings import parse_operators


@pytest.mark.parametrize(("extra", "name"), [(None, None), ({"cbdir": "/x"}, None), ({"name": "b-1.eu"}, "b-1.eu")])
def test_a_name_is_taken(extra: dict[str, Any] | None, name: str | None) -> None:
    assert parse_operators(extra).name == name


@pytest.mark.parametrize(
    ("extra", "complaint"),
    [
        ({"nam": "a"}, "operators has an unknown key 'nam'"),
        ({"name": "a b"}, "operators.name: expected `str` matching regex"),
        ({"name": "<b>"}, "was '<b>'"),
        ({"name": 5}, "operators.name: expected `str"),
    ],
)
def test_what_is_no_name_is_told(extra: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidEntry) as raised:
        parse_operators(extra)
    assert complaint in str(raised.value)
