"""The tables of errors and close codes."""

from __future__ import annotations

from components import uris
from components.core.closing import CLOSE_CODES, CloseReason
from components.docs.pages import table
from components.docs.source import constants, described, fields


def errors() -> str:
    """Return every error URI, and when it comes."""
    names = [name for name in vars(uris) if name.startswith("ERROR_")]
    rows = described(names, constants(uris), "components.uris")
    return table(["URI", "when"], [[f"`{getattr(uris, name)}`", text] for name, text in rows])


def close_codes() -> str:
    """Return every reason for which the gateway ends a session, and its WebSocket close code."""
    rows = described(
        [reason.name for reason in CLOSE_CODES], fields(CloseReason), "components.core.closing.CloseReason"
    )
    return table(
        ["reason", "code", "when"],
        [[f"`{CloseReason[name].value}`", str(CLOSE_CODES[CloseReason[name]]), text] for name, text in rows],
    )
