"""Where a token may be."""

from __future__ import annotations

import pytest

from components.router.bearer import BearerError, bearer_token


@pytest.mark.parametrize(
    ("query", "authorization", "protocols", "token"),
    [
        ("", [], [], None),
        ("token=a.b.c", [], [], "a.b.c"),
        ("symbols=BTCUSDT&token=a.b-_c", [], ["crosstick.json"], "a.b-_c"),
        ("", ["Bearer a.b.c"], [], "a.b.c"),
        ("", ["bearer   a.b.c "], [], "a.b.c"),
        ("", [], ["crosstick.json", "bearer.a.b.c"], "a.b.c"),
        ("token=", [], [], ""),
    ],
)
def test_a_token_is_found(query: str, authorization: list[str], protocols: list[str], token: str | None) -> None:
    assert bearer_token(query, authorization, protocols) == token


@pytest.mark.parametrize(
    ("query", "authorization", "protocols"),
    [
        ("token=a&token=b", [], []),
        ("token=secret", ["Bearer secret"], []),
        ("", ["Bearer secret", "Bearer secret"], []),
        ("", [], ["bearer.secret", "bearer.other"]),
        ("", ["Basic secret"], []),
    ],
)
def test_what_is_not_clear_is_an_error_that_shows_no_token(
    query: str, authorization: list[str], protocols: list[str]
) -> None:
    with pytest.raises(BearerError) as caught:
        bearer_token(query, authorization, protocols)
    assert "secret" not in str(caught.value)
