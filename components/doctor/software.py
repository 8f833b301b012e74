"""Python, and the packages that are installed beside those that are pinned."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from components.doctor.findings import Finding, fail, ok, warn
from components.doctor.node_setup import Setup

LEAST_PYTHON = (3, 11)
EXACT = ("crossbar", "autobahn", "twisted")
"""On whose inside the gateway leans: another version may break it in ways that no error tells."""

_PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def judge_python(found: tuple[int, int, int], implementation: str) -> Finding:
    """Return whether a Python will do."""
    text = f"{implementation} {'.'.join(map(str, found))}"
    if found[:2] < LEAST_PYTHON:
        return fail(
            f"{text} is too old", f"install Python {'.'.join(map(str, LEAST_PYTHON))} or later, and make a new .venv"
        )
    return ok(text)


def pinned(requirements: Iterable[str]) -> dict[str, str]:
    """Return the one version of each requirement that has one and is for this Python."""
    found = {}
    for line in requirements:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        exact = [each.version for each in requirement.specifier if each.operator == "=="]
        if exact and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            found[requirement.name.lower()] = exact[0]
    return found


def judge_packages(wanted: Mapping[str, str], installed: Mapping[str, str | None]) -> list[Finding]:
    """Return what differs from what is pinned; ``None``: it is not installed."""
    findings = []
    for name, pin in wanted.items():
        has = installed.get(name)
        if has == pin:
            continue
        what = f"{name} {pin} is pinned, {f'{has} is' if has else 'none is'} installed"
        hint = "make install, or pip install --constraint constraints.txt -e ."
        findings.append(fail(what, hint) if has is None or name in EXACT else warn(what, hint))
    if not findings:
        shown = ", ".join(f"{name} {wanted[name]}" for name in EXACT if name in wanted)
        findings.append(ok(f"{len(wanted)} packages as pinned: {shown}, …"))
    return findings


def look(setup: Setup) -> list[Finding]:
    """Look at what runs this."""
    wanted = pinned(_requirements())
    python = judge_python(sys.version_info[:3], sys.implementation.name)
    return [python, *judge_packages(wanted, {name: _installed(name) for name in wanted})]


def _requirements() -> list[str]:
    if _PROJECT.is_file():
        # What is in the metadata of an editable installation may be older.
        listed: list[str] = tomllib.loads(_PROJECT.read_text())["project"]["dependencies"]
        return listed
    return requires("crosstick") or []


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
