"""How listeners are set up: the ``listeners`` entry of the listeners component's ``extra`` in the node's configuration."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from components.core.client_address import InvalidNetwork, TrustedProxies
from components.core.entries import InvalidEntry, checked, mapping
from components.core.origins import OriginError, OriginPolicy

Count = Annotated[int, Meta(ge=1, le=10**9)]
PerSecond = Annotated[float, Meta(gt=0, le=1e6)]
Seconds = Annotated[float, Meta(gt=0, le=3600)]
Bytes = Annotated[int, Meta(ge=0, le=2**24)]


class ListenerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of one listener. The names are the configuration's, and of the limits those that clients are told."""

    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks of balancers, such as ``10.0.0.0/8``, whose word is taken for where a client is."""

    proxy_protocol: bool = False
    """``true``: every connection begins with a PROXY protocol header, and comes from a trusted proxy."""

    allow_plaintext: bool = False
    """``true``: clients may come without TLS to more than the loopback."""

    allowed_origins: tuple[str, ...] = ("same",)
    """Pages of which origins may connect; ``same``: those that this listener serves."""

    max_connections: Count = 10_000
    """WebSocket and RawSocket connections."""

    max_connections_per_address: Count | None = 200
    """The same of one client address, an IPv6 one by its /64; ``null``: no limit."""

    connections_per_s_per_address: PerSecond | None = 20.0
    """How fast those may come, after ``connections_burst_per_address`` at once; ``null``: no limit."""

    connections_burst_per_address: Count = 200
    """Enough for all clients of an address to come back at once."""

    requests_per_s_per_address: PerSecond | None = 50.0
    """HTTP requests, after ``requests_burst_per_address`` at once; not those of a trusted proxy; ``null``: no limit."""

    requests_burst_per_address: Count = 500
    """So many at once."""

    request_timeout: Seconds = 10.0
    """Seconds from a connection's first byte, or its last request's end, to the end of its next; a TLS handshake included."""

    handshake_timeout: Seconds = 5.0
    """Seconds for the PROXY protocol's header."""

    hello_timeout: Seconds = 5.0
    """Seconds from the end of the WebSocket or RawSocket handshake to HELLO; also for the RawSocket handshake itself."""

    max_body_bytes: Bytes = 65_536
    """Of one HTTP request's body."""

    listens_while_draining: bool = False
    """``true``: ``/metrics`` and ``/healthz`` are answered to the end of a drain; for a port that no clients come to."""

    tls_min_version: Literal["1.2", "1.3"] = "1.3"
    """The oldest TLS that is spoken; 1.2 with ECDHE and AES-GCM or ChaCha20 only."""

    @property
    def proxies(self) -> TrustedProxies:
        """The trusted proxies."""
        return TrustedProxies(self.trusted_proxies)


def parse_listeners(extra: Mapping[str, Any] | None) -> dict[str, ListenerSettings]:
    """Return the settings in a component's ``extra``, by transport id; what is left out has its default.

    Raises:
        InvalidEntry: a key is unknown or a value impossible.
    """
    # Crossbar adds the folder of its configuration.
    given = {name: value for name, value in (extra or {}).items() if name != "cbdir"}
    unknown = [name for name in given if name != "listeners"]
    if unknown:
        raise InvalidEntry(f"extra has an unknown key {unknown[0]!r}; known is listeners")
    entries = mapping(given.get("listeners", {}), "listeners")
    return {
        name: _settings(mapping(entry, f"listeners.{name}"), f"listeners.{name}") for name, entry in entries.items()
    }


def check_ids(settings: Mapping[str, ListenerSettings], transports: Collection[str]) -> None:
    """See to it that all settings are those of a transport.

    Raises:
        InvalidEntry: some are not.
    """
    for name in settings:
        if name not in transports:
            which = ", ".join(transports) or "none"
            raise InvalidEntry(f"listeners.{name}: no TCP transport has this id; there are {which}")


def _settings(values: Mapping[str, Any], where: str) -> ListenerSettings:
    settings = checked(values, ListenerSettings, where)
    try:
        proxies = settings.proxies
    except InvalidNetwork as error:
        raise InvalidEntry(f"{where}.trusted_proxies: {error}") from None
    try:
        OriginPolicy.parse(settings.allowed_origins)
    except OriginError as error:
        raise InvalidEntry(f"{where}.allowed_origins: {error}") from None
    if settings.proxy_protocol and not proxies:
        raise InvalidEntry(f"{where}.proxy_protocol needs trusted_proxies: whose headers are taken")
    return settings
