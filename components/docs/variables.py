"""The tables of the environment's variables."""

from __future__ import annotations

from collections.abc import Mapping

from components.docs.pages import table
from components.variables import CLIENT_VARIABLES, VARIABLES, Variable


def variables() -> str:
    """Return what nodes and feeds read."""
    return _table(VARIABLES)


def client_variables() -> str:
    """Return what clients read."""
    return _table(CLIENT_VARIABLES)


def _table(listed: Mapping[str, Variable]) -> str:
    return table(
        ["variable", "default", "meaning"],
        [[f"`{name}`", variable.default, variable.meaning] for name, variable in listed.items()],
    )
