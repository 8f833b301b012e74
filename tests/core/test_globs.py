"""Names against globs."""

from __future__ import annotations

from fnmatch import fnmatchcase

from hypothesis import given
from hypothesis import strategies as st

from components.core.globs import any_matches

TEXTS = st.text("AB*?[]!-^.|()\n", max_size=6)


@given(st.lists(TEXTS, max_size=4), TEXTS)
def test_one_of_the_globs_must_match_the_whole_name(globs: list[str], name: str) -> None:
    assert any_matches(tuple(globs), name) is any(fnmatchcase(name, glob) for glob in globs)


def test_case_matters_and_without_globs_nothing_matches() -> None:
    assert any_matches(("BTC*", "ETHUSDT"), "BTCUSDT")
    assert any_matches(("BTC*", "ETHUSDT"), "ETHUSDT")
    assert not any_matches(("BTC*", "ETHUSDT"), "ethusdt")
    assert not any_matches((), "")
