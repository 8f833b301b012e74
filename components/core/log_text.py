"""Text that clients have a part in, made fit for a log: one line, nothing that a terminal or a parser obeys, of bounded length.

Pure. Escaped are control characters (C0, C1, DEL), line and paragraph separators, marks of direction and whatever else
Python does not print, such as half a surrogate pair.
"""

from __future__ import annotations

import re

_OBEYED = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_OBEYED_BUT_LINES = re.compile(_OBEYED.pattern.replace(r"\x00-\x1f", r"\x00-\x08\x0b-\x1f", 1))
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(found: re.Match[str]) -> str:
    character = found.group()
    code = ord(character)
    return _NAMED.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def escaped(text: str, most_chars: int, *, keep_lines: bool = False) -> str:
    """Return a text of at most ``most_chars``, and how many more there were; ``keep_lines`` is for tracebacks."""
    pattern = _OBEYED_BUT_LINES if keep_lines else _OBEYED
    left_out = len(text) - most_chars
    shown = pattern.sub(_escape, text[:most_chars])
    return shown if left_out <= 0 else f"{shown}… ({left_out} more)"
