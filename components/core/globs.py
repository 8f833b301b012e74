"""Names against globs (``fnmatch``'s, case matters): one look for all globs of a token, however many it has. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import translate
from functools import cached_property, lru_cache

MAX_REMEMBERED = 4096
"""Lists of globs that are kept ready; each session's token has two."""

_SPECIAL = re.compile(r"[*?\[]")


class Globs:
    """A list of globs, made ready. Names and beginnings of names, which nearly all are, cost next to nothing to make."""

    def __init__(self, globs: Sequence[str]) -> None:
        self._names = frozenset(glob for glob in globs if not _SPECIAL.search(glob))
        self._beginnings = tuple(glob[:-1] for glob in globs if glob.endswith("*") and not _SPECIAL.search(glob[:-1]))
        self._others = [
            glob
            for glob in globs
            if glob not in self._names and not (glob.endswith("*") and not _SPECIAL.search(glob[:-1]))
        ]

    def match(self, name: str) -> bool:
        """Tell whether one of the globs matches a name as a whole."""
        return (
            name in self._names
            or name.startswith(self._beginnings)
            or (bool(self._others) and self._expression.match(name) is not None)
        )

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        return re.compile("|".join(map(translate, self._others)))


def any_matches(globs: tuple[str, ...], name: str) -> bool:
    """Tell whether one of the globs matches a name as a whole."""
    return _ready(globs).match(name)


@lru_cache(maxsize=MAX_REMEMBERED)
def _ready(globs: tuple[str, ...]) -> Globs:
    return Globs(globs)
