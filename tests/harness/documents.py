"""What the documentation says: README.md and the pages of docs/, and the blocks of code in them."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tests.harness.node import REPOSITORY

PAGES = {
    str(path.relative_to(REPOSITORY)): path.read_text()
    for path in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
}
"""The text of each page, by its path in the repository."""

REFERENCE = "\n".join(text for path, text in PAGES.items() if path.startswith("docs/reference/"))


def blocks(*languages: str) -> list[str]:
    """Return the blocks of code of these languages; one that several pages show comes once."""
    pattern = re.compile(rf"^```(?:{'|'.join(languages)})\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return list(dict.fromkeys(block for text in PAGES.values() for block in pattern.findall(text)))


def block_with(text: str, *languages: str) -> str:
    """Return the one block of these languages that has a text in it."""
    [block] = [block for block in blocks(*languages) if text in block]
    return block


def shell_lines() -> list[str]:
    """Return the commands that the pages tell people to type; those of the tutorial, which has a test of its own, left out."""
    shown = [block for block in blocks("sh") if block not in PAGES["docs/tutorial.md"]]
    return list(dict.fromkeys(line for block in shown for line in block.splitlines() if line))


def extras() -> list[dict[str, Any]]:
    """Return the ``extra`` of each YAML block that has one."""
    return [dict(entry["extra"]) for entry in map(yaml.safe_load, blocks("yaml")) if "extra" in entry]
