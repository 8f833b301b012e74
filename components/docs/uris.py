"""The table of procedures."""

from __future__ import annotations

import re

from components import uris
from components.docs.pages import table
from components.docs.source import constants, described

PROCEDURE = re.compile(r"(?:market|auth|node|feed)\.[a-z_]+")
"""The URIs that clients and operators call; some of ``market.`` are topics, too."""


def procedure_names() -> list[str]:
    """Return the names in ``components.uris`` of the procedures that clients and operators call."""
    return [name for name, value in vars(uris).items() if isinstance(value, str) and PROCEDURE.fullmatch(value)]


def procedures() -> str:
    """Return every procedure, and what it is for."""
    rows = described(procedure_names(), constants(uris), "components.uris")
    return table(["procedure", "what for"], [[f"`{getattr(uris, name)}`", text] for name, text in rows])
