"""What the parts of one router worker share: the node's environment and how far the start got.

Crossbar makes authenticators, components and web resources on its own, each without a way to the others; they meet here.
Nobody is let in before a component has put the runtime in place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from components.environment import NodeEnvironment


@dataclass(slots=True)
class Runtime:
    """One per router worker."""

    environment: NodeEnvironment
    readiness: Callable[[], list[str]]
    """Returns why the node is not ready, one line each; empty when it is."""

    refused_tickets: dict[str, int] = field(default_factory=dict)
    """Count by cause. The causes are ``TokenError`` texts, a fixed few."""


_runtime: Runtime | None = None


def install(runtime: Runtime) -> None:
    """Put the worker's runtime in place."""
    global _runtime
    _runtime = runtime


def current() -> Runtime | None:
    """Return the worker's runtime, ``None`` before it is in place."""
    return _runtime
