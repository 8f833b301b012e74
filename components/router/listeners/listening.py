"""How a transport of Crossbar's begins to listen: the seam's part where its listening port is made.

This touches Crossbar's private names. Written against crossbar 26.10.1; ``tests/router/listeners/test_listening.py`` fails
loudly when an upgrade moves something.

From the outside in, a connection passes the listener's own bounds and its PROXY protocol header (``ListenerFactory``), TLS
(``tls_factory``), and then the factory of the transport, whose web site is protected (``protect``). Crossbar's function makes
the port; its own counter of connections is left out, since ``ListenerFactory`` takes its place. Unix sockets are left to
Crossbar.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from crossbar.common.twisted import endpoint as crossbar_endpoint
from crossbar.router.protocol import WampRawSocketServerFactory, WampWebSocketServerFactory
from crossbar.worker import transport as crossbar_transport
from twisted.web.server import Site

from components.environment import refuse_to_start
from components.router.listeners.connection import ListenerFactory
from components.router.listeners.listener import Listener, registry
from components.router.listeners.plaintext import check_plaintext
from components.router.listeners.tls import TlsError, tls_factory
from components.router.listeners.web import protect
from components.settings import why_one_worker_only

create_stock_port: Callable[..., Any] = crossbar_endpoint.create_listening_port_from_config


def install_listeners() -> None:
    """Make transports that begin to listen from here on do so by this module; more than once is no more than once."""
    crossbar_transport.create_listening_port_from_config = create_listening_port


def create_listening_port(
    config: Mapping[str, Any],
    cbdir: str,
    factory: Any,
    reactor: Any,
    log: Any,
    max_connections: int | None = None,
    name: str | None = None,
) -> Any:
    """Do what Crossbar's ``create_listening_port_from_config`` does, for a listener of ours; ``name`` is a transport's id."""
    if config["type"] == "unix":
        return create_stock_port(config, cbdir, factory, reactor, log, max_connections=max_connections, name=name)
    if config["type"] != "tcp":
        # What such an endpoint puts around our connections could take them away.
        refuse_to_start(f"transport {name}: an endpoint must be of type tcp or unix, was {config['type']!r}")
    if not isinstance(factory, Site | WampWebSocketServerFactory | WampRawSocketServerFactory):
        # Its connections would pass the limits by.
        refuse_to_start(f"transport {name}: its type must be web, websocket or rawsocket")
    if config.get("shared"):
        because = why_one_worker_only(os.environ)
        if because is not None:
            refuse_to_start(f"transport {name} shares its port: {because}")
    listener = registry().listen(str(name), reactor.seconds, max_connections)
    problem = check_plaintext(config, listener.settings.allow_plaintext)
    if problem is not None:
        refuse_to_start(f"transport {name}: {problem}")
    protect(factory, listener.http_policy)
    outermost = ListenerFactory(listener, _with_tls(config, cbdir, factory, reactor, listener), reactor)
    endpoint = {key: value for key, value in config.items() if key != "tls"}
    return create_stock_port(endpoint, cbdir, outermost, reactor, log).addCallback(listener.listens_on)


def _with_tls(config: Mapping[str, Any], cbdir: str, factory: Any, reactor: Any, listener: Listener) -> Any:
    if "tls" not in config:
        return factory
    try:
        secure = tls_factory(config["tls"], cbdir, factory, reactor, min_version=listener.settings.tls_min_version)
    except TlsError as error:
        refuse_to_start(f"transport {listener.name}: {error}")
    listener.certificates = secure.certificates
    return secure
