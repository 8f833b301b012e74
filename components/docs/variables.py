"""The tables of the environment's variables."""

from __future__ import annotations

from collections.abc import Mapping

from components.docs.pages import table
from components.variables import OF_CLIENTS, OF_NODES, Variable


def variables() -> str:
    """Return what nodes and feeds read."""
    return _table(OF_NODES)


def client_variables() -> str:
    """Return what clients read."""
    return _table(OF_CLIENTS)


def _table(listed: Mapping[str, Variable]) -> str:
    return table(
        ["variable", "default", "meaning"],
        [[f"`{name}`", variable.default, variable.meaning] for name, variable in listed.items()],
    )
