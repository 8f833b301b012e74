"""Pages with generated parts: ``<!-- generated: NAME -->``, what is generated, ``<!-- end of NAME -->``. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

_PART = re.compile(r"(<!-- generated: ([\w-]+) -->\n)(.*?)(<!-- end of \2 -->)", re.DOTALL)


class UnknownPart(ValueError):
    """A page wants a part that nothing makes."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; a cell's bars are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(
        "|" + "|".join(cell if cell == "---" else f" {_cell(cell)} " if cell else " " for cell in line) + "|\n"
        for line in lines
    )


def names_of_parts(text: str) -> list[str]:
    """Return the names of the parts that a page has, in order."""
    return [name for _, name, _, _ in _PART.findall(text)]


def with_parts(text: str, makers: Mapping[str, Callable[[], str]]) -> str:
    """Return a page with its parts as they should be.

    Raises:
        UnknownPart: nothing makes one of them.
    """

    def part(found: re.Match[str]) -> str:
        begin, name, _, end = found.groups()
        if name not in makers:
            raise UnknownPart(f"nothing makes the part {name!r}; there are {', '.join(sorted(makers))}")
        return f"{begin}{makers[name]().strip()}\n{end}"

    return _PART.sub(part, text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
