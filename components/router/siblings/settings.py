"""Who the workers of a node are: the ``extra`` of the siblings component, as ``crosstick config`` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from components.core.entries import InvalidEntry, checked

MAX_WORKERS = 64
"""Router workers of a node, each of which is asked by each."""

Port = Annotated[int, Meta(ge=1, le=65_535)]


class SiblingsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The names are the configuration's."""

    worker: Annotated[int, Meta(ge=1, le=MAX_WORKERS)] = 0
    """This worker's number."""

    management_ports: Annotated[list[Port], Meta(max_length=MAX_WORKERS)] = []
    """Those of all workers, this one's among them, in their order."""


def parse_siblings(extra: Mapping[str, Any] | None) -> SiblingsSettings:
    """Return the settings in a component's ``extra``; all of them have to be there.

    Raises:
        InvalidEntry: a key is unknown or missing, or a value impossible.
    """
    # Crossbar adds the folder of its configuration.
    given = {name: value for name, value in (extra or {}).items() if name != "cbdir"}
    settings = checked(given, SiblingsSettings, "siblings")
    for name in SiblingsSettings.__struct_fields__:
        if name not in given:
            raise InvalidEntry(f"siblings.{name} must be there, was not")
    ports = settings.management_ports
    if settings.worker > len(ports):
        raise InvalidEntry(f"siblings.worker must be one of {len(ports)} with a management port, was {settings.worker}")
    if len(set(ports)) < len(ports):
        raise InvalidEntry(f"siblings.management_ports must be different, were {ports}")
    return settings
