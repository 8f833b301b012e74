"""How links are set up: the ``extra`` of the links component in the node's configuration, as ``crosstick config`` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from components.core.entries import InvalidEntry, checked, mapping

MAX_PEERS = 64
"""Each is a label of metrics, a connection, and a share of every event."""

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")]


class Peer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another router."""

    endpoint: dict[str, Any]
    """Where it listens for links: a connecting endpoint as in Crossbar's configuration, of type tcp or unix."""


class LinkSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of a router's links. The names are the configuration's."""

    node: Name = ""
    """This router's own name, under which it joins the others."""

    peers: dict[Name, Peer] = {}
    across_nodes: bool = True
    """Whether the peers are, or may be, on other nodes, which need a secret in common."""


def parse_links(extra: Mapping[str, Any] | None) -> LinkSettings:
    """Return the settings in a component's ``extra``.

    Raises:
        InvalidEntry: a key is unknown or a value impossible.
    """
    # Crossbar adds the folder of its configuration.
    given = {name: value for name, value in (extra or {}).items() if name != "cbdir"}
    if "node" not in given:
        raise InvalidEntry("links.node must be this router's name, was not there")
    mapping(given.get("peers", {}), "links.peers")
    settings = checked(given, LinkSettings, "links")
    if len(settings.peers) > MAX_PEERS:
        raise InvalidEntry(f"links.peers must be at most {MAX_PEERS}, were {len(settings.peers)}")
    for name, peer in settings.peers.items():
        needed = {"tcp": ("host", "port"), "unix": ("path",)}.get(peer.endpoint.get("type", ""))
        if needed is None or not all(key in peer.endpoint for key in needed):
            raise InvalidEntry(f"links.peers.{name}.endpoint must be of type tcp with host and port, or unix with path")
    return settings
