"""Which transports there are: read from the node's configuration, since Crossbar tells a worker of each when it starts it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

CLASSNAME = "components.router.listeners.component.Listeners"
FILES = ("config.yaml", "config.json")
"""What ``crossbar start`` reads unless it is told another file, the first that there is."""


def transport_ids(directory: Path, listeners: Collection[str]) -> tuple[str, ...] | None:
    """Return the ids of the worker's transports that have TCP endpoints.

    ``listeners`` are the ids that its listeners component has settings for. ``None`` when there is no telling: the node has
    been started with another file, which shows in its having no component with these settings.
    """
    path = next((path for name in FILES if (path := directory / name).is_file()), None)
    if path is None:
        return None
    try:
        text = path.read_text()
        config = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        found = [_tcp_ids(worker) for worker in config["workers"] if _settings_of(worker) == set(listeners)]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return None
    # Workers that share a port have the same.
    return found[0] if len(set(found)) == 1 else None


def _settings_of(worker: Mapping[str, Any]) -> set[str] | None:
    for component in worker.get("components", ()):
        if component.get("classname") == CLASSNAME:
            return set((component.get("extra") or {}).get("listeners") or {})
    return None


def _tcp_ids(worker: Mapping[str, Any]) -> tuple[str, ...]:
    # One without an id has no settings: Crossbar numbers it as it comes to start it.
    endpoints = {transport.get("id"): transport["endpoint"]["type"] for transport in worker.get("transports", ())}
    return tuple(name for name, kind in endpoints.items() if name is not None and kind == "tcp")
