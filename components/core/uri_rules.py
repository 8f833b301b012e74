"""Which URIs of topics and procedures a client may name at all, whatever its rights. Pure.

Crossbar keeps a subscription's or registration's URI as long as somebody has it, and its loose check lets pass whatever has
neither blanks nor ``#``: control characters, and a line feed at the end.
"""

from __future__ import annotations

MAX_URI_CHARS = 200
MAX_URI_COMPONENTS = 16


def is_sound(uri: str) -> bool:
    """Tell whether a URI, or a pattern of one, is short and has only characters that can be printed."""
    return len(uri) <= MAX_URI_CHARS and uri.isprintable() and uri.count(".") < MAX_URI_COMPONENTS
