"""The generated parts are what the code makes of them, and the reference lacks nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from components.docs.completeness import problems
from components.docs.pages import UnknownPart, names_of_parts, table, with_parts
from components.docs.parts import index
from components.docs.source import Undescribed, described
from components.docs.update import update
from tests.harness.node import REPOSITORY

WORKER = "components/router/metrics/worker.py"
LIMITS = "docs/reference/limits.md and docs/reference/configuration.md"
PAGE = "# Page\n\n<!-- generated: one -->\nold\n<!-- end of one -->\n\nrest\n"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of what is looked at."""
    skip = shutil.ignore_patterns("node_modules", "__pycache__", "*.so", "*.sock", "*.pid")
    for folder in ("components", "docs", "docker", "clients", ".crossbar"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=skip)
    return tmp_path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def check(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "components.docs", "--check"]
    return subprocess.run(command, cwd=root, env={"PYTHONPATH": str(root)}, capture_output=True, text=True, check=False)


def test_the_documentation_is_what_the_code_makes_of_it() -> None:
    outcome = check(REPOSITORY)
    assert (outcome.returncode, outcome.stderr) == (0, "")


def test_what_the_code_has_and_the_reference_has_not_is_named(copy: Path) -> None:
    components = copy / "components"
    with (copy / WORKER).open("a") as file:
        file.write('\ndef brand_new() -> Metric:\n    return counter("crosstick_brand_new", "More.", 1)\n')
    with (components / "uris.py").open("a") as file:
        file.write('BRAND_NEW = "crosstick.error.brand_new"\nNEW_FAMILY = "brandnew"\n')
    with (components / "settings.py").open("a") as file:
        file.write('BRAND_NEW = "CROSSTICK_BRAND_NEW"\n')
    change(
        components / "core/limits.py", "    max_registrations:", "    max_brand_new: Count = 1\n    max_registrations:"
    )
    outcome = check(copy)
    assert outcome.returncode == 1
    assert outcome.stderr.splitlines() == [
        "components.core.limits.Limits.max_brand_new has no docstring, of which the reference is made",
        f"the metric crosstick_brand_new of {WORKER} is not in the tables of docs/reference/metrics.md",
        "the error URI crosstick.error.brand_new of components/uris.py is not in the tables of docs/reference/errors.md",
        f"the limit max_brand_new of components/core/limits.py is not in the tables of {LIMITS}",
        "the family of topics brandnew of components/uris.py is not in the tables of docs/reference/topics.md",
        "the variable CROSSTICK_BRAND_NEW of components/settings.py is not in the tables of docs/reference/environment.md",
    ]


def test_what_the_reference_has_and_the_code_has_not_is_named(copy: Path) -> None:
    for page in (copy / "docs/reference").glob("*.md"):
        # A row more in each table.
        rows = [
            "| `crosstick_gone_total` | counter | | |",
            "| `crosstick.close.gone` | 4999 | |",
            "| `max_gone` | | | |",
            "| `CROSSTICK_GONE` | | |",
        ]
        page.write_text(re.sub(r"^(\|---.*\n)", "\\1" + "\n".join(rows) + "\n", page.read_text(), flags=re.MULTILINE))
    named = {line.split(" in the tables")[0] for line in problems(copy)}
    assert named >= {
        "the metric crosstick_gone_total",
        "the error URI crosstick.close.gone",
        "the limit max_gone",
        "the variable CROSSTICK_GONE",
    }


def test_what_a_page_tells_of_and_the_reference_has_not_is_named(copy: Path) -> None:
    with (copy / "docs/explanation/faults.md").open("a") as file:
        file.write("See `crosstick_gone_total` and `crosstick_feed_lag_seconds_bucket`, with CROSSTICK_GONE set.\n")
    assert [line.split(" is not in")[0] for line in problems(copy)] == [
        "the metric crosstick_gone_total that docs/explanation/faults.md names",
        "the variable CROSSTICK_GONE that docs/explanation/faults.md names",
    ]


def test_a_stale_part_is_named_and_written(copy: Path) -> None:
    page = copy / "docs/reference/limits.md"
    fresh = page.read_text()
    change(page, "| `max_registrations` | `100` |", "| `max_registrations` | `7` |")
    stale = page.read_text()
    assert update(copy, write=False) == ["docs/reference/limits.md is not what the code makes of it: run `make docs`"]
    assert page.read_text() == stale
    assert update(copy, write=True) == []
    assert page.read_text() == fresh


def test_a_part_that_no_page_has_is_named(copy: Path) -> None:
    change(copy / "docs/reference/limits.md", "generated: realm-limits", "not generated: realm-limits")
    assert update(copy, write=False) == ["no page has the part realm-limits"]


def test_only_the_parts_of_a_page_are_made() -> None:
    assert names_of_parts(PAGE) == ["one"]
    assert with_parts(PAGE, {"one": lambda: "new\n"}) == PAGE.replace("old", "new")
    with pytest.raises(UnknownPart, match="'one'; there are two"):
        with_parts(PAGE, {"two": str})


def test_a_cells_bars_do_not_end_it() -> None:
    assert table(["a", "b"], [["x|y", ""]]) == "| a | b |\n|---|---|\n| x\\|y | |\n"


def test_what_has_no_docstring_is_named() -> None:
    with pytest.raises(Undescribed, match=r"here\.second has no docstring"):
        described(["first", "second"], {"first": "One."}, "here")


def test_the_index_has_all_pages() -> None:
    pages = {str(path.relative_to(REPOSITORY / "docs")) for path in (REPOSITORY / "docs").rglob("*.md")}
    assert set(re.findall(r"\]\((\S+)\)", index(REPOSITORY / "docs"))) == pages - {"README.md"}
