"""What listeners lean on inside Crossbar, Autobahn and Twisted. A failure here after an upgrade says what has moved."""

from __future__ import annotations

import inspect
from importlib.metadata import version
from typing import Any

import pytest
from autobahn.twisted.rawsocket import WampRawSocketServerProtocol
from autobahn.twisted.resource import WebSocketResource
from autobahn.websocket.protocol import WebSocketProtocol, WebSocketServerProtocol
from crossbar.common.twisted import endpoint as crossbar_endpoint
from crossbar.common.twisted.sharedport import CustomTCPPort
from crossbar.worker import transport as crossbar_transport
from twisted.internet import tcp
from twisted.web.resource import Resource
from twisted.web.server import Site

from components.router.listeners import listening


def test_the_versions_are_those_the_listeners_were_written_against() -> None:
    assert (version("crossbar"), version("autobahn")) == ("26.10.1", "26.10.2")


def test_a_transport_of_crossbars_makes_its_port_by_the_function_that_is_replaced() -> None:
    start = inspect.unwrap(crossbar_transport.RouterTransport.start)
    call = inspect.getsource(start)
    assert "yield create_listening_port_from_config(" in call
    for argument in (
        'self._config["endpoint"],',
        "self._cbdir,",
        "self._transport_factory,",
        "self._worker._reactor,",
        "self.log,",
        'max_connections=self._config.get("max_connections", DEFAULT_MAX_CONNECTIONS),',
        "name=self._transport_id,",
    ):
        assert argument in call


def test_the_replacement_takes_what_crossbars_function_does() -> None:
    assert list(inspect.signature(listening.create_listening_port).parameters) == list(
        inspect.signature(crossbar_endpoint.create_listening_port_from_config).parameters
    )


def test_installing_twice_is_installing_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossbar_transport, "create_listening_port_from_config", listening.create_stock_port)
    listening.install_listeners()
    listening.install_listeners()
    assert crossbar_transport.create_listening_port_from_config is listening.create_listening_port
    assert listening.create_stock_port is crossbar_endpoint.create_listening_port_from_config


@pytest.mark.parametrize(
    ("function", "texts"),
    [
        # Crossbar's own counter and TLS are left out where they are not asked for.
        (crossbar_endpoint.create_listening_port_from_config, ["if max_connections is not None:", '"tls" in config']),
        (crossbar_endpoint._create_tls_server_context, ["(config, cbdir, log)"]),
        # An upgraded connection keeps what stands before it, and TLS's below it.
        (
            WebSocketResource.render,
            ["transport.wrappedProtocol = protocol", "transport.protocol.wrappedProtocol = protocol"],
        ),
        # The client's address of a PROXY protocol header is asked for there.
        (tcp.Server.getPeer, ["self.client"]),
        (tcp.Port.doRead, ["if protocol is None:", "skt.close()", "protocol.makeConnection(transport)"]),
        (WebSocketServerProtocol.failHandshake, ["(self, reason: str, code: int=400, responseHeaders=None)"]),
        (
            WebSocketServerProtocol.processHandshake,
            ["self.http_request_data", "self.failHandshake(err.value.reason, err.value.code)"],
        ),
        (WebSocketProtocol.dropConnection, ["if self.wasClean:", "self._closeConnection(abort)"]),
        (WampRawSocketServerProtocol.dataReceived, ["self._handshake_bytes"]),
    ],
    ids=lambda value: getattr(value, "__qualname__", None),
)
def test_what_is_leant_on_is_there(function: Any, texts: list[str]) -> None:
    source = inspect.getsource(function)
    assert [text for text in texts if text not in source] == []


class Ended(Exception):
    """The worker would have ended."""


@pytest.mark.parametrize(
    ("bus", "refused"),
    [(None, True), ("wamp", True), ("redis://h", False), ("redis+sentinel://h", False), ("kafka://h", False)],
)
def test_a_shared_port_needs_a_bus_that_each_worker_reads(
    monkeypatch: pytest.MonkeyPatch, bus: str | None, refused: bool
) -> None:
    def end(reason: str) -> None:
        raise Ended(reason)

    monkeypatch.setattr(listening, "refuse_to_start", end)
    monkeypatch.setattr(listening, "registry", lambda: end("it goes on"))
    if bus is None:
        monkeypatch.delenv("CROSSTICK_BUS", raising=False)
    else:
        monkeypatch.setenv("CROSSTICK_BUS", bus)
    expected = "transport public shares its port: several router workers need a bus" if refused else "it goes on"
    with pytest.raises(Ended, match=expected):
        listening.create_listening_port(
            {"type": "tcp", "shared": True}, "", Site(Resource()), None, None, name="public"
        )


def test_a_shared_port_accepts_as_any_other() -> None:
    assert CustomTCPPort.doRead is tcp.Port.doRead
