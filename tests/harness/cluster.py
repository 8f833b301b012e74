"""Nodes that are linked: laid out as ``crosstick config`` has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from components.free_ports import free_port
from components.node_config import NodePlan, generate
from tests.harness.node import REPOSITORY, Node

BASE = REPOSITORY / ".crossbar"
LINK_KEY = "a secret of at least thirty-two bytes"


def planned(plan: NodePlan, directory: Path) -> Callable[[dict[str, Any]], None]:
    """Return a change of a test node's configuration by which it is as a plan has it, in its folder and on its port."""

    def change(config: dict[str, Any]) -> None:
        [public] = [each for each in config["workers"][0]["transports"] if each["id"] == "public"]
        port = public["endpoint"]["port"]
        text = generate(
            (BASE / "config.yaml").read_text(), replace(plan, port=port), "a test", str(BASE), str(directory)
        )
        config.clear()
        config.update(yaml.safe_load(text))

    return change


def linked_node(directory: Path, plan: NodePlan, **environ: str) -> Node:
    """Lay out a node as a plan has it."""
    environ = {"CROSSTICK_SIMULATOR_PORT": str(free_port()), "CROSSTICK_LINK_KEY": LINK_KEY} | environ
    return Node(directory, environ, change_config=planned(plan, directory))
