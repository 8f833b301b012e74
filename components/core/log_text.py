"""Text that clients have a part in, made fit for a log: nothing that a terminal or a reader of lines obeys, of bounded length.

Pure. Escaped is what Python does not call printable: control characters (C0, C1, DEL), line and paragraph separators, marks of
direction, half surrogate pairs, and code points that nobody has given a meaning.
"""

from __future__ import annotations

import re

CONTINUED = "\n    | "
"""What comes between the lines of a text of several, so that none of them looks like one of its own."""

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_TOKEN = re.compile(r"eyJ[\w-]{5,}(?:(?:\.|%2[Ee])[\w-]*){0,2}")
"""Or as much of one as there is."""

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escaped(text: str, most_chars: int, *, keep: str = "") -> str:
    """Return a text of at most ``most_chars``, and how many more there were; the characters of ``keep`` stay as they are."""
    shown = text[:most_chars]
    if not shown.isprintable():
        shown = "".join(char if char.isprintable() or char in keep else _escape(char) for char in shown)
    left_out = len(text) - most_chars
    return shown if left_out <= 0 else f"{shown}… ({left_out} more)"


def log_text(text: str, most_chars: int) -> str:
    """Return what is logged of a text, which may have several lines: without colours, and without tokens."""
    return clean_text(text, most_chars, keep="\n").replace("\n", CONTINUED)


def clean_text(text: str, most_chars: int, *, keep: str = "") -> str:
    """Return a text without colours and tokens, escaped but for the characters of ``keep``, of at most ``most_chars``."""
    plain = _TOKEN.sub("<token>", _COLOUR.sub("", text[: 2 * most_chars]))
    rest = max(0, len(text) - 2 * most_chars)
    shown = escaped(plain, most_chars, keep=keep)
    return f"{shown}… ({rest} more)" if rest and len(plain) <= most_chars else shown


def _escape(char: str) -> str:
    code = ord(char)
    return _NAMED.get(char) or (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65_536 else f"\\U{code:08x}"
    )
