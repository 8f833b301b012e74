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
    """Return the commands that the pages tell people to type."""
    return list(dict.fromkeys(line for block in blocks("sh") for line in block.splitlines() if line))


def configured(key: str) -> dict[str, Any]:
    """Return the ``extra`` of the one YAML block that shows a component's settings."""
    [extra] = [yaml.safe_load(block)["extra"] for block in blocks("yaml") if key in yaml.safe_load(block)["extra"]]
    return dict(extra)
