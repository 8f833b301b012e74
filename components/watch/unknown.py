"""What is wished for and is not there, with what is meant perhaps. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from urllib.parse import urlsplit

from components.core.globs import any_matches

NEAR = 3
"""Suggestions at most."""

ALIKE = 0.8
"""Of 1: all have the same currency at their end."""

SHOWN = 40
"""Characters of a name at most."""


def unknown_symbols(globs: Sequence[str], listed: Sequence[str]) -> list[str]:
    """Return a sentence, without its stop, for each glob that matches none of the symbols that are listed."""
    said = []
    for glob in globs:
        if any(any_matches((glob,), symbol) for symbol in listed):
            continue
        near = get_close_matches(glob[:SHOWN], listed, n=NEAR, cutoff=ALIKE)
        near = near or [symbol for symbol in listed if symbol.startswith(glob)][:NEAR]
        suggestion = f": did you mean {' or '.join(near)}?" if near else ""
        said.append(f"{glob[:SHOWN]} is none of the {len(listed)} symbols that this token grants{suggestion}")
    return said


def no_gateway(url: str) -> str:
    """Return what is to be said of a plain WebSocket's address at which nothing of that kind is."""
    parts = urlsplit(url)
    said = f"{url}: nothing is there (HTTP 404)"
    if parts.path.endswith("/ws/trade"):
        return f"{said}: is it a gateway of Crosstick's?"
    return f"{said}: did you mean --url {parts.scheme}://{parts.netloc}/ws?"
