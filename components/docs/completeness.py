"""Whether the reference has all that the code has, and nothing else: names are picked out of the source's text.

Independent of what generates the tables, so that neither's mistakes hide in the other. Reads files, imports none of them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_READ = {".py", ".js", ".mjs", ".html", ".yaml", ".yml", ".cfg", ".conf", ".sh", ".env", ".json", ""}
_SKIPPED = {"node_modules", "__pycache__", "docs"}
"""``components/docs``, too: it names what it looks for."""

_VARIABLE = re.compile(r"\bCROSSTICK_[A-Z_]*[A-Z]\b")
_URI = re.compile(r"\bcrosstick\.(?:error|close)\.[a-z_]+\b")
_FAMILY = re.compile(r'^\w+_(?:FAMILY|PREFIX) = "([a-z_]+)"', re.MULTILINE)
"""Names in ``components.uris`` of what stands behind a symbol in a topic, and what such a name begins with."""
_METRIC = re.compile(r"\bcrosstick_[a-z0-9_]*[a-z0-9]\b")
_LIMIT_CLASSES = {
    "components/core/limits.py": ("Limits", "RealmOnly"),
    "components/core/replay.py": ("ReplaySettings",),
    "components/router/drain/settings.py": ("DrainSettings",),
    "components/router/listeners/settings.py": ("ListenerSettings",),
}
"""Classes whose fields are settings by the names of ``.crossbar/config.yaml``."""

_LIMIT_LISTS = {"components/router/fanout_settings.py": "KEYS", "components/core/limits.py": "LIMIT_NAMES"}

_OF_HISTOGRAM = re.compile(r"_(?:bucket|sum|count)$")
_IN_TABLES = re.compile(r"^\|(.+?)\|", re.MULTILINE)


@dataclass(slots=True)
class _Kind:
    """One kind of name: where the code has it, and where the reference."""

    called: str
    in_code: Callable[[Path], dict[str, str]]
    """Returns the names below a folder, each with a file that has it."""

    pages: tuple[str, ...]
    pattern: re.Pattern[str]
    unmistakable: bool = True
    """Whether what looks like such a name is one wherever it stands, and so must be in the tables."""


def _metrics(root: Path) -> dict[str, str]:
    """Return the names of the families that the code makes; ``*`` stands for what is put in when it runs."""
    found: dict[str, str] = {}
    for path in sorted((root / "components").rglob("*.py")):
        text = path.read_text()
        if "prometheus_client" in text and not _SKIPPED & set(path.relative_to(root).parts):
            for name in _families(ast.parse(text)):
                found[name] = str(path.relative_to(root))
    return found


def _families(tree: ast.Module) -> Iterator[str]:
    """Return the names of metrics in a module: whole texts, and prefixes with a ``*`` where the rest is put in."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
            begin = str(node.values[0].value)
            if re.fullmatch(r"crosstick_[a-z_]*", begin):
                yield f"{begin}*"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield from _METRIC.findall(node.value) if _METRIC.fullmatch(node.value) else ()


def _grepped(pattern: re.Pattern[str], *folders: str) -> Callable[[Path], dict[str, str]]:
    def find(root: Path) -> dict[str, str]:
        found: dict[str, str] = {}
        for folder in folders:
            for path in sorted((root / folder).rglob("*")):
                relative = path.relative_to(root)
                if path.suffix in _READ and path.is_file() and not _SKIPPED & set(relative.parts):
                    for name in pattern.findall(path.read_text(errors="replace")):
                        found.setdefault(name, str(relative))
        return found

    return find


def _limits(root: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for file, classes in _LIMIT_CLASSES.items():
        for node in ast.walk(ast.parse((root / file).read_text())):
            if isinstance(node, ast.ClassDef) and node.name in classes:
                names = [part.target for part in node.body if isinstance(part, ast.AnnAssign)]
                found |= {name.id: file for name in names if isinstance(name, ast.Name)}
    for file, called in _LIMIT_LISTS.items():
        for node in ast.parse((root / file).read_text()).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == called:
                keys = node.value.keys if isinstance(node.value, ast.Dict) else ast.walk(node.value)
                found |= {key.value: file for key in keys if isinstance(key, ast.Constant)}  # type: ignore[misc]
    return found


KINDS = (
    _Kind("metric", _metrics, ("docs/reference/metrics.md",), _METRIC),
    _Kind(
        "error URI",
        _grepped(_URI, "components", "clients/browser", "clients/python", "clients/node", "clients/service", "docker"),
        ("docs/reference/errors.md",),
        _URI,
    ),
    _Kind(
        "limit",
        _limits,
        ("docs/reference/limits.md", "docs/reference/configuration.md"),
        re.compile(r"`([a-z0-9_]+)`"),
        unmistakable=False,
    ),
    _Kind(
        "family of topics",
        lambda root: dict.fromkeys(_FAMILY.findall((root / "components/uris.py").read_text()), "components/uris.py"),
        ("docs/reference/topics.md",),
        re.compile(r"market\.<SYMBOL>\.(\w+)`"),
        unmistakable=False,
    ),
    _Kind(
        "variable",
        _grepped(_VARIABLE, "components", "clients", "docker", ".crossbar"),
        ("docs/reference/environment.md",),
        _VARIABLE,
    ),
)


def problems(root: Path) -> list[str]:
    """Return, a line each, what the code below ``root`` has and the reference has not, and the other way round."""
    return [line for kind in KINDS for line in _compared(kind, root)]


def _compared(kind: _Kind, root: Path) -> Iterator[str]:
    in_code = kind.in_code(root)
    pages = " and ".join(kind.pages)
    cells = "\n".join(cell for page in kind.pages for cell in _IN_TABLES.findall((root / page).read_text()))
    listed = set(kind.pattern.findall(cells))
    for name, file in sorted(in_code.items()):
        if not any(_same(name, known) for known in listed):
            yield f"the {kind.called} {name} of {file} is not in the tables of {pages}"
    for name in sorted(listed):
        if not any(_same(known, name) for known in in_code):
            yield f"the {kind.called} {name} in the tables of {pages} is not in the code"
    if kind.unmistakable:
        for path in sorted((root / "docs").rglob("*.md")):
            for name in sorted(set(kind.pattern.findall(path.read_text())) - listed):
                if _OF_HISTOGRAM.sub("", name) not in listed:
                    page = path.relative_to(root)
                    yield f"the {kind.called} {name} that {page} names is not in the tables of {pages}"


def _same(in_code: str, listed: str) -> bool:
    """Tell whether a name of the code is that of the reference, where a counter's has ``_total``; a beginning is of many."""
    if in_code.endswith(("*", "_")):
        return listed.startswith(in_code.rstrip("*"))
    return listed in (in_code, f"{in_code}_total")
