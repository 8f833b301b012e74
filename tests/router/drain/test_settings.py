"""The ``drain`` entry of the configuration."""

from __future__ import annotations

from typing import Any

import pytest

from components.core.entries import InvalidEntry
from components.router.drain.settings import DrainSettings, parse_drain


def test_what_is_left_out_has_its_default() -> None:
    assert parse_drain(None) == parse_drain({"cbdir": "/x", "drain": {}}) == DrainSettings()
    assert parse_drain({"drain": {"over_s": 0}}) == DrainSettings(notice_s=2.0, over_s=0)


@pytest.mark.parametrize(
    ("extra", "line"),
    [
        ({"drian": {}}, "extra has an unknown key 'drian'; known is drain"),
        ({"drain": {"over": 3}}, "drain has an unknown key 'over'; known are notice_s, over_s"),
        ({"drain": {"over_s": -1}}, "drain.over_s: expected `float` >= 0.0, was -1"),
        ({"drain": {"notice_s": 3601}}, "drain.notice_s: expected `float` <= 3600.0, was 3601"),
        ({"drain": {"notice_s": "2"}}, "drain.notice_s: expected `float`, got `str`, was '2'"),
        ({"drain": [2]}, "drain must be a mapping, was [2]"),
    ],
)
def test_what_cannot_be_is_refused_with_one_line(extra: dict[str, Any], line: str) -> None:
    with pytest.raises(InvalidEntry) as refused:
        parse_drain(extra)
    assert str(refused.value) == line
