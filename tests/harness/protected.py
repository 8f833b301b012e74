"""Makes a node's listeners protected ones, for tests of the protection alone: a component for its router worker."""

from __future__ import annotations

from typing import Any

from autobahn.twisted.wamp import ApplicationSession
from crossbar.worker import transport as crossbar_transport

from components.router.listeners.http_channel import HttpPolicy
from components.router.listeners.tls import tls_factory
from components.router.listeners.web import protect


class Protection(ApplicationSession):
    """Puts the protection around all listeners that its worker opens later."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        stock = crossbar_transport.create_listening_port_from_config

        def create(endpoint: Any, cbdir: str, factory: Any, reactor: Any, log: Any, **options: Any) -> Any:
            protect(factory, HttpPolicy())
            if "tls" in endpoint:
                factory = tls_factory(endpoint["tls"], cbdir, factory, reactor, check_interval_s=0)
                endpoint = {name: value for name, value in endpoint.items() if name != "tls"}
            return stock(endpoint, cbdir, factory, reactor, log, **options)

        crossbar_transport.create_listening_port_from_config = create


def with_protection(config: dict[str, Any]) -> None:
    """Add the component to a node's configuration."""
    gateway = config["workers"][0]["components"][0]
    protection = {"type": "class", "id": "protection", "classname": f"{__name__}.Protection"}
    config["workers"][0]["components"].insert(0, {**protection, "realm": gateway["realm"], "role": gateway["role"]})
