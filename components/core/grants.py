"""What a session may do, by its role and its token's entitlements.

Pure. Rules, least privilege first: a viewer reads the market and the services its token names; a service may besides
register and publish below ``services.<its own authid>.``; an operator reads everything and calls what a viewer may. Nobody
from outside publishes or registers anything in the market itself. A kind of stream that there is not, such as a rate that
is not configured, is refused to all: it would be silent for ever. So is a URI that is none (``uri_rules``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from components.core.globs import any_matches
from components.core.topics import reaches_family, symbol_and_family
from components.core.uri_rules import is_sound
from components.uris import (
    AUTH_RENEW,
    MARKET_PREFIX,
    MARKET_REPLAY,
    MARKET_SNAPSHOT,
    MARKET_STATUS,
    MARKET_SYMBOLS,
    MARKET_TIME,
    SERVICES_PREFIX,
)

_PROCEDURES = frozenset({MARKET_SYMBOLS, MARKET_SNAPSHOT, MARKET_REPLAY, MARKET_STATUS, MARKET_TIME, AUTH_RENEW})


@dataclass(frozen=True, slots=True)
class Grants:
    """The rights of one session."""

    role: str
    authid: str
    symbols: tuple[str, ...] | None
    """Globs; ``None`` means all symbols."""

    services: tuple[str, ...]
    """Globs of service names."""

    families: frozenset[str]
    """What a symbol's topics may have as third component: what the feed makes besides ticks, and the rates."""

    def grants_symbol(self, symbol: str) -> bool:
        """Tell whether a symbol's ticks and prices may be seen."""
        return self.symbols is None or any_matches(self.symbols, symbol)

    def allows(self, action: str, uri: str, match: str = "exact") -> bool:
        """Tell whether an action (``subscribe``, ``call``, ``publish``, ``register``) on a URI is granted.

        ``match`` is the subscription's or registration's matching policy. A pattern is granted only where everything it
        could match is.
        """
        if not is_sound(uri, match):
            return False
        if action == "subscribe":
            return self._may_subscribe(uri, match)
        if match != "exact":
            return False
        if action == "call":
            return uri in _PROCEDURES or self._may_use_service(uri)
        return action in ("publish", "register") and self.role == "service" and self._own_service(uri)

    def _may_subscribe(self, uri: str, match: str) -> bool:
        if match == "exact":
            if uri == MARKET_STATUS:
                return True
            if uri.startswith(MARKET_PREFIX):
                symbol, family = symbol_and_family(uri)
                return (not family or family in self.families) and self.grants_symbol(symbol)
            return self._may_read_service(uri)
        # A prefix or wildcard pattern: its first component must be whole, so that it cannot reach past the prefix.
        if uri.startswith(MARKET_PREFIX):
            return self.symbols is None and reaches_family(uri, match, self.families)
        return self._may_read_service(uri)

    def _may_read_service(self, uri: str) -> bool:
        return self._may_use_service(uri) or (self.role == "operator" and _service_name(uri) != "")

    def _may_use_service(self, uri: str) -> bool:
        name = _service_name(uri)
        return name != "" and (self._own_service(uri) or any_matches(self.services, name))

    def _own_service(self, uri: str) -> bool:
        return self.role == "service" and _service_name(uri) == self.authid


def _service_name(uri: str) -> str:
    """Return ``quotes`` for ``services.quotes.vwap``, and nothing where the name is not a component of its own."""
    if not uri.startswith(SERVICES_PREFIX):
        return ""
    name, dot, _ = uri.removeprefix(SERVICES_PREFIX).partition(".")
    return name if dot else ""


def grants_of(
    role: str, authid: str, symbols: Sequence[str] | None, services: Sequence[str], families: frozenset[str]
) -> Grants:
    """Return the rights of a session from what its authenticator noted, in a market whose streams are of ``families``."""
    return Grants(role, authid, None if symbols is None else tuple(symbols), tuple(services), families)
