"""``python -m components.docs`` writes the generated parts of ``docs/``; with ``--check`` it says what is not as it should."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from components.docs.completeness import problems
from components.docs.pages import UnknownPart, names_of_parts, with_parts
from components.docs.parts import PARTS, index
from components.docs.source import Undescribed

REPOSITORY = Path(__file__).resolve().parents[2]


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; end with 1 where a page is not what the code makes it.")
def main(check: bool) -> None:
    """Write the parts of docs/ that are made from the code."""
    try:
        wrong = _stale(write=not check)
    except (UnknownPart, Undescribed) as error:
        wrong = [str(error)]
    wrong += problems(REPOSITORY)
    for line in wrong:
        click.echo(line, err=True)
    sys.exit(1 if wrong else 0)


def _stale(*, write: bool) -> list[str]:
    """Return what is wrong with the pages' parts; with ``write`` they are made anew, and only a missing one is."""
    wrong = []
    missing = set(PARTS)
    makers = PARTS | {"index": lambda: index(REPOSITORY / "docs")}
    for path in sorted((REPOSITORY / "docs").rglob("*.md")):
        before = path.read_text()
        missing -= set(names_of_parts(before))
        after = with_parts(before, makers)
        if after != before:
            if write:
                path.write_text(after)
            else:
                wrong.append(f"{path.relative_to(REPOSITORY)} is not what the code makes of it: run `make docs`")
    return wrong + [f"no page has the part {name}" for name in sorted(missing)]


if __name__ == "__main__":
    main()
