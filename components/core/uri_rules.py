"""Which URIs of topics and procedures a client may name at all, whatever its rights. Pure.

Crossbar keeps a subscription's or registration's URI as long as somebody has it, and its loose check lets pass whatever has
neither blanks nor ``#``: control characters, and a line feed at the end. What it does not let pass is none here either.
"""

from __future__ import annotations

MAX_URI_CHARS = 200
MAX_URI_COMPONENTS = 16


def is_sound(uri: str, match: str = "exact") -> bool:
    """Tell whether a URI is short and has only characters that can be printed, and no blank or ``#``.

    Only a pattern, as ``match`` says, may have empty components.
    """
    return (
        len(uri) <= MAX_URI_CHARS
        and uri.isprintable()
        and " " not in uri
        and "#" not in uri
        and uri.count(".") < MAX_URI_COMPONENTS
        and (match != "exact" or not (".." in uri or uri.startswith(".") or uri.endswith(".")))
    )
