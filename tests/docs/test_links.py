"""Every link from one page to another leads somewhere, to its heading too."""

from __future__ import annotations

import posixpath
import re

import pytest

from tests.harness.documents import PAGES
from tests.harness.node import REPOSITORY

OTHER_PAGES = ("docker/README.md", "tests/bench/README.md")
TEXTS = PAGES | {path: (REPOSITORY / path).read_text() for path in OTHER_PAGES}


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    ):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        times = sum(1 for known in found if re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", known))
        found.add(f"{anchor}-{times}" if times else anchor)
    return found


def test_each_file_that_leans_on_crossbars_inside_is_named_where_upgrades_are_described() -> None:
    page = PAGES["docs/how-to/upgrade-crossbar.md"]
    for path in (REPOSITORY / "components").rglob("*.py"):
        if re.search(r"Written against\s+crossbar", path.read_text()):
            file = str(path.relative_to(REPOSITORY))
            assert f"`{file}`" in page or f"`{posixpath.dirname(file)}/`" in page, file


@pytest.mark.parametrize("page", PAGES)
def test_the_files_that_it_names_are_there(page: str) -> None:
    for path in re.findall(r"`((?:components|clients|docker|tests)/[\w./-]*\w)/?`", PAGES[page]):
        # What is found, and compiled, comes while things run.
        assert (REPOSITORY / path).exists() or path == "tests/fuzz/found", f"{page}: {path}"


@pytest.mark.parametrize("page", TEXTS)
def test_all_links_within_the_repository_resolve(page: str) -> None:
    # A link's text may have code in it; its target never does.
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(TEXTS[page])):
        if re.match(r"https?://", target):
            continue
        file, _, anchor = target.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), file)) if file else page
        assert (REPOSITORY / path).exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors((REPOSITORY / path).read_text()), f"{page}: {target}"
