"""What a listener knows of its clients: its settings, who is connected, and what it refused. Knows nothing of Crossbar."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from math import ceil, inf
from typing import Any, ClassVar

from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger

from components.core.admission import Admission, Bound, Refused
from components.core.client_address import client_address, header_values, network_key
from components.core.entries import InvalidEntry
from components.core.origins import OriginPolicy
from components.router.listeners.http_channel import HttpLimits, HttpPolicy
from components.router.listeners.settings import ListenerSettings
from components.router.listeners.tls import Certificates

SPARE_SOCKETS = 1_024
SPARE_SOCKETS_PER_ADDRESS = 64
"""So many sockets more than connections may be open: those that load a page, are in a handshake or about to be refused."""

LOG_INTERVAL_S = 60.0

MAX_CONNECTIONS = "max_connections"
MAX_CONNECTIONS_PER_ADDRESS = "max_connections_per_address"
CONNECTIONS_PER_S_PER_ADDRESS = "connections_per_s_per_address"
REQUESTS_PER_S_PER_ADDRESS = "requests_per_s_per_address"
PROXY_PROTOCOL = "proxy_protocol"
HANDSHAKE = "handshake"
REFUSALS = (
    *(MAX_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS, CONNECTIONS_PER_S_PER_ADDRESS, REQUESTS_PER_S_PER_ADDRESS),
    *(PROXY_PROTOCOL, HANDSHAKE),
)
"""What a refusal is counted by: a limit, a PROXY protocol header that is missing or not allowed, a bad handshake."""


class Listener:
    """One transport that clients connect to.

    ``sockets`` counts all that is open: what is beyond is closed at once. ``connections`` counts WebSocket and RawSocket
    connections: what is beyond is told so.
    """

    log: ClassVar[Logger] = Logger()

    def __init__(
        self, name: str, settings: ListenerSettings, seconds: Callable[[], float], max_sockets: int | None = None
    ) -> None:
        """``name`` is the transport's id, ``seconds`` never goes back, ``max_sockets`` is the transport's own bound."""
        self.name = name
        self.settings = settings
        self.proxies = settings.proxies
        self.seconds = seconds
        self.refused: Counter[str] = Counter()
        """How often by each of ``REFUSALS``."""
        total = Bound(MAX_CONNECTIONS, settings.max_connections)
        of_address = _bound(MAX_CONNECTIONS_PER_ADDRESS, settings.max_connections_per_address)
        self.connections = Admission(
            total,
            of_address,
            _bound(CONNECTIONS_PER_S_PER_ADDRESS, settings.connections_per_s_per_address),
            settings.connections_burst_per_address,
        )
        self.sockets = Admission(
            Bound(total.name, min(settings.max_connections + SPARE_SOCKETS, max_sockets or inf)),
            None if of_address is None else Bound(of_address.name, of_address.value + SPARE_SOCKETS_PER_ADDRESS),
        )
        self._requests = Admission(
            rate_per_key=_bound(REQUESTS_PER_S_PER_ADDRESS, settings.requests_per_s_per_address),
            burst_per_key=settings.requests_burst_per_address,
        )
        self.http_policy = HttpPolicy(
            HttpLimits(request_timeout_s=settings.request_timeout, max_body_bytes=settings.max_body_bytes),
            origins=OriginPolicy.parse(settings.allowed_origins),
            may_request=self._may_request,
            requests_per_s=settings.requests_per_s_per_address,
        )
        self.certificates: Certificates | None = None
        """What its TLS uses; ``None`` without TLS."""
        self._logged_s: float | None = None
        self.has_stopped = False
        """Whether it takes no new clients, for good."""
        self._port: Any = None

    def listens_on(self, port: Any) -> Any:
        """Take note of the port, and return it."""
        self._port = port
        return port

    async def stop(self) -> None:
        """Take no new clients, and, unless it listens while the node drains, no connections; those that are open stay."""
        self.has_stopped = True
        if self.settings.listens_while_draining:
            return
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)

    def socket_key(self, address: str) -> str | None:
        """Return what a socket is counted by; ``None`` for a proxy's, which stands for many clients."""
        return None if address in self.proxies else network_key(address)

    def client_of(self, peer: str, request: bytes) -> str:
        """Return the client's address, by where its connection comes from and the head of its HTTP request."""
        if peer not in self.proxies:
            return client_address(peer, (), (), self.proxies)
        x_forwarded_for = header_values(request, "x-forwarded-for")
        return client_address(peer, x_forwarded_for, header_values(request, "forwarded"), self.proxies)

    def admit(self, address: str) -> Refused | None:
        """Count a connection of a client in, or count and return what forbids it."""
        refused = self.connections.take(network_key(address), self.seconds())
        if refused is not None:
            self.count_refusal(refused.limit.name)
        return refused

    def _may_request(self, address: str) -> bool:
        """Count an HTTP request, and tell whether its sender may have it answered."""
        key = self.socket_key(address)
        if self._requests.take(key, self.seconds()) is not None:
            self.count_refusal(REQUESTS_PER_S_PER_ADDRESS)
            return False
        # Only how fast they come counts.
        self._requests.release(key)
        return True

    def count_refusal(self, cause: str) -> None:
        """Count, and log now and then what has been counted."""
        self.refused[cause] += 1
        now_s = self.seconds()
        if self._logged_s is None or now_s - self._logged_s >= LOG_INTERVAL_S:
            self._logged_s = now_s
            self.log.warn(
                "listener {name} has refused connections since its start: {refused}",
                name=self.name,
                refused=", ".join(f"{number} by {cause}" for cause, number in self.refused.items()),
            )


def retry_after_s(refused: Refused) -> int:
    """Return the seconds after which a refused client should try again, at least 1."""
    return max(1, ceil(refused.retry_after_s)) if refused.retry_after_s else 5


def _bound(name: str, value: float | None) -> Bound | None:
    return None if value is None else Bound(name, value)


class ListenerRegistry:
    """The listeners of a worker, and what the configuration says of them."""

    def __init__(self) -> None:
        self.listeners: dict[str, Listener] = {}
        """Those that have begun to listen, by transport id."""
        self._settings: Mapping[str, ListenerSettings] | None = None

    def configure(self, settings: Mapping[str, ListenerSettings]) -> None:
        """Put the settings in place, before anything listens.

        Raises:
            InvalidEntry: there are some, or something listens.
        """
        if self._settings is not None:
            raise InvalidEntry("the worker's listeners are set up by another component already")
        if self.listeners:
            raise InvalidEntry("the worker listens already")
        self._settings = settings

    def listen(self, name: str, seconds: Callable[[], float], max_sockets: int | None = None) -> Listener:
        """Return the listener of a transport that begins to listen; without an entry of its own it has the defaults."""
        settings = (self._settings or {}).get(name) or ListenerSettings()
        listener = self.listeners[name] = Listener(name, settings, seconds, max_sockets)
        return listener

    async def stop(self) -> None:
        """Take no new clients, on any of them."""
        for listener in self.listeners.values():
            await listener.stop()


_registry = ListenerRegistry()


def registry() -> ListenerRegistry:
    """Return the worker's listeners."""
    return _registry
