"""How a node leaves: the ``drain`` entry of the drain component's ``extra`` in the node's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from components.core.entries import InvalidEntry, checked, mapping

Seconds = Annotated[float, Meta(ge=0, le=3600)]


class DrainSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The names are the configuration's; all in seconds, up to an hour."""

    notice_s: Seconds = 2.0
    """Seconds from the turn of ``/readyz`` to the end of listening and the first GOODBYE: a balancer's time to see it."""

    over_s: Seconds = 10.0
    """Seconds over which the clients are sent away; 0: all at once."""


def parse_drain(extra: Mapping[str, Any] | None) -> DrainSettings:
    """Return the settings in a component's ``extra``; what is left out has its default.

    Raises:
        InvalidEntry: a key is unknown or a value impossible.
    """
    # Crossbar adds the folder of its configuration.
    given = {name: value for name, value in (extra or {}).items() if name != "cbdir"}
    unknown = [name for name in given if name != "drain"]
    if unknown:
        raise InvalidEntry(f"extra has an unknown key {unknown[0]!r}; known is drain")
    return checked(mapping(given.get("drain", {}), "drain"), DrainSettings, "drain")
