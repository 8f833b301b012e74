"""What a token that is refused says of the likely reason, without being shown."""

from __future__ import annotations

import json

import jwt
import pytest

from components.cli.refused import why_refused

NOW_S = 1_800_000_000.0


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"realm": "ops", "exp": NOW_S + 60}, ""),
        ({"realm": "ops", "exp": NOW_S - 90.5}, ": it has expired, 90 s ago"),
        ({"realm": "market", "exp": NOW_S + 60}, ": it is for realm 'market', and this takes one for 'ops'"),
        (
            {"realm": "\x1b[2J" + "x" * 900},
            ": it is for realm '\\x1b[2J" + "x" * 36 + "', and this takes one for 'ops'",
        ),
        ({"realm": 5, "exp": "soon"}, ""),
    ],
)
def test_the_likely_reason_is_told(claims: dict[str, object], why: str) -> None:
    # Not the library's own encoder, which refuses claims of the wrong type.
    token = jwt.PyJWS().encode(json.dumps(claims).encode(), "k" * 32)
    assert why_refused(token, "ops", NOW_S) == why


def test_what_is_no_token_says_nothing() -> None:
    assert why_refused("rubbish", "ops", NOW_S) == ""
