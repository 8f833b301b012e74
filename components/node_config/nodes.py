"""Pieces of YAML that keep their order and their style."""

from __future__ import annotations

from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq


def by_id(entries: CommentedSeq, name: str) -> CommentedMap:
    """Return the entry of a list that has an id."""
    found: CommentedMap = next(entry for entry in entries if entry.get("id") == name)
    return found


def entry(**values: Any) -> CommentedMap:
    """Return a mapping that is written on several lines."""
    return CommentedMap(values)


def flow(**values: Any) -> CommentedMap:
    """Return a mapping that is written on one line, and all that is in it."""
    made = CommentedMap({name: _flowing(value) for name, value in values.items()})
    made.fa.set_flow_style()
    return made


def sequence(*values: Any) -> CommentedSeq:
    """Return a list that is written on one line, and all that is in it."""
    made = CommentedSeq(map(_flowing, values))
    made.fa.set_flow_style()
    return made


def _flowing(value: Any) -> Any:
    if isinstance(value, dict):
        return flow(**value)
    return sequence(*value) if isinstance(value, list) else value
