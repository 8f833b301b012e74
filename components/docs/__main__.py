"""``python -m components.docs`` writes the generated parts of ``docs/``; with ``--check`` it says what is wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from components.docs.completeness import problems
from components.docs.pages import UnknownPart
from components.docs.source import Undescribed
from components.docs.update import update

REPOSITORY = Path(__file__).resolve().parents[2]


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; end with 1 where a page is not what the code makes it.")
def main(check: bool) -> None:
    """Write the parts of docs/ that are made from the code, and say what the reference lacks."""
    try:
        wrong = update(REPOSITORY, write=not check)
    except (UnknownPart, Undescribed) as error:
        wrong = [str(error)]
    wrong += problems(REPOSITORY)
    for line in wrong:
        click.echo(line, err=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
