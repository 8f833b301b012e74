"""What operators call the node: the ``extra`` of the operators' component, as ``crosstick config --name`` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from components.core.entries import checked


class OperatorsSettings(msgspec.Struct, frozen=True):
    """What the entry may say."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}$")] | None = None
    """The node's; ``None``: host and process, by which Crossbar calls it."""


def parse_operators(extra: Mapping[str, Any] | None) -> OperatorsSettings:
    """Return the settings in a component's ``extra``.

    Raises:
        InvalidEntry: a key is unknown, or a value impossible.
    """
    # Crossbar adds the folder of its configuration.
    given = {name: value for name, value in (extra or {}).items() if name != "cbdir"}
    return checked(given, OperatorsSettings, "operators")
