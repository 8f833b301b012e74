"""A reactor whose sockets are real and whose time is the test's."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorPluggableNameResolver
from twisted.internet.task import Clock
from zope.interface import implementer


@implementer(IReactorPluggableNameResolver)
class ReactorOnClock(Clock):
    """Connects through the global reactor; ``advance`` alone lets time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.lookups = 0
        """How often the resolver was asked for: once for a ``HostnameEndpoint``, and each time that it begins to connect."""

    @property
    def nameResolver(self) -> Any:
        """Return the global reactor's, and count."""
        self.lookups += 1
        return reactor.nameResolver  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)
