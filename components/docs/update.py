"""Brings the generated parts of the pages below ``docs/`` up to date, or tells which are not."""

from __future__ import annotations

from pathlib import Path

from components.docs.pages import names_of_parts, with_parts
from components.docs.parts import PARTS, index


def update(root: Path, *, write: bool) -> list[str]:
    """Make the parts of the pages below ``root/docs`` anew; return what is wrong, a line each.

    Without ``write`` pages are left as they are, and those that would change are what is wrong.

    Raises:
        UnknownPart: a page has a part that nothing makes.
        Undescribed: something of which a part is made has no docstring.
    """
    wrong = []
    missing = set(PARTS)
    makers = PARTS | {"index": lambda: index(root / "docs")}
    for path in sorted((root / "docs").rglob("*.md")):
        before = path.read_text()
        missing -= set(names_of_parts(before))
        after = with_parts(before, makers)
        if after != before and write:
            path.write_text(after)
        elif after != before:
            wrong.append(f"{path.relative_to(root)} is not what the code makes of it: run `make docs`")
    return wrong + [f"no page has the part {name}" for name in sorted(missing)]
