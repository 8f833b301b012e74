"""Names against globs (``fnmatch``'s, case matters): one look for all globs of a token, however many it has. Pure."""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache

MAX_REMEMBERED = 1024
"""Lists of globs whose expression is kept; each session's token has two."""


def any_matches(globs: tuple[str, ...], name: str) -> bool:
    """Tell whether one of the globs matches a name as a whole."""
    return _expression(globs).match(name) is not None


@lru_cache(maxsize=MAX_REMEMBERED)
def _expression(globs: tuple[str, ...]) -> re.Pattern[str]:
    # Without globs nothing matches, not even nothing.
    return re.compile("|".join(map(translate, globs)) or r"(?!)")
