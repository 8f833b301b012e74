"""What the source says of its constants and fields: the docstrings that stand below them, which Python itself forgets."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType


class Undescribed(ValueError):
    """Something that the reference lists has no docstring; the text says what."""


def constants(module: ModuleType) -> dict[str, str]:
    """Return the docstrings of a module's constants, in Markdown, by name; of those that have one, in the source's order."""
    return _described(ast.parse(Path(str(module.__file__)).read_text()).body)


def fields(cls: type) -> dict[str, str]:
    """Return the docstrings of a class's fields or members, in Markdown, by name, inherited ones too."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        module = sys.modules.get(base.__module__)
        if module is None or not base.__module__.startswith("components."):
            continue
        tree = ast.parse(inspect.getsource(module))
        body = next(
            node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == base.__name__
        )
        found |= _described(body)
    return found


def described(names: list[str], docs: dict[str, str], where: str) -> list[tuple[str, str]]:
    """Return names with their docstrings.

    Raises:
        Undescribed: one has none.
    """
    for name in names:
        if name not in docs:
            raise Undescribed(f"{where}.{name} has no docstring, of which the reference is made")
    return [(name, docs[name]) for name in names]


def markdown(docstring: str) -> str:
    """Return a docstring as one line of Markdown."""
    return re.sub(r"``(.+?)``", r"`\1`", " ".join(docstring.split()))


def _described(body: list[ast.stmt]) -> dict[str, str]:
    found: dict[str, str] = {}
    for statement, below in pairwise(body):
        target: ast.expr | None = statement.target if isinstance(statement, ast.AnnAssign) else None
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
        if (
            isinstance(target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            found[target.id] = markdown(below.value.value)
    return found
