"""A session of Crossbar's whose client only listens: an HTTP answer without end, of server-sent events.

Of the seam: see ``connections``. Written against crossbar 26.10.1, whose sessions take a transport by its class, and Twisted,
whose web server leaves the connection to this when the answer has begun.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from autobahn.twisted.util import create_transport_details
from autobahn.wamp.serializer import JsonSerializer
from crossbar.bridge.mqtt.wamp import WampTransport

from components.core import plain_json
from components.core.closing import CloseReason, Ending
from components.router.access.gate import Gate
from components.router.authenticator import Principal
from components.router.engine.encodings import PROBLEM, STREAM, StreamEncoding
from components.router.engine.outlet import Outlet
from components.router.engine.sockets import writer
from components.router.listeners.connection import ListenerConnection
from components.router.seam.gateway_router import GatewayRouter
from components.router.seam.plain_session import PlainTransport, closing, last_object, session_factory
from components.router.seam.router_seam import RouterSeam
from components.router.seam.transports import (
    GOODBYE_TIME_S,
    ClientConnection,
    TransportSettings,
    limit_queue,
    prepare,
)

HEARTBEAT_S = 15.0
"""A proxy drops a connection on which nothing comes for a minute or so, and a client that has gone is found out by writing."""

_COMMENT = b":\n\n"
_REFUSED = b"event: %b\n" % PROBLEM


class StreamConnection(PlainTransport, ClientConnection, WampTransport):  # type: ignore[misc]
    """One answer, from its head to the connection's end."""

    kind: ClassVar[str] = "sse"

    def __init__(self, request: Any, connection: ListenerConnection | None, address: str, network: str) -> None:
        """Take over the connection of a request that may be answered; its head has been set."""
        self.factory: Any = self
        self._config: dict[str, Any] = {}
        self.connection, self.client_address, self.network = connection, address, network
        self._channel = request.channel
        self._session = None
        self._serializer = JsonSerializer()
        self._is_over = self._in_turn = self._is_queued = False
        self._heartbeat: Any = None
        request.notifyFinish().addErrback(self._gone)
        # The head goes with the first that is written.
        request.write(_COMMENT)
        self.transport = request.channel.transport
        self.transport_details = create_transport_details(self.transport, is_server=True)
        self.peer = self.transport_details.peer
        self.plain_encoding: StreamEncoding = STREAM[bool(request.chunked)]
        """What makes frames of objects."""
        self._write = writer(self.transport)

    def begin(self, principal: Principal, requests: Sequence[plain_json.Request]) -> None:
        """Have a session, which follows what is asked for."""
        clock = TransportSettings.clock
        # Twisted has a deadline for answers, which it sets behind this.
        clock.callLater(0, self._channel.setTimeout, None)
        self.outlet = Outlet(
            clock,
            TransportSettings.queue,
            TransportSettings.counters,
            self.plain_encoding,
            self._write,
            self._write,
            self._give_up,
        )
        prepare(self.transport, self.outlet)
        TransportSettings.open_connections.opened(self)
        self.introduce(principal)
        session = self._session = session_factory()()
        session._transport = self
        session.onOpen(self)
        self.join(principal)
        if self._conversation is None or self.is_over:
            return
        for request in requests:
            self._conversation.take_request(request)
        self._heartbeat = clock.callLater(HEARTBEAT_S, self._beat)
        self.go_on()

    def _beat(self) -> None:
        self._heartbeat = None
        if self.is_over:
            return
        if not self.is_blocked:
            self.begin_reply()
            self.send_frames([_COMMENT])
        self._heartbeat = TransportSettings.clock.callLater(HEARTBEAT_S, self._beat)

    # What ``Turns`` asks

    def take_turn(self, until_s: float) -> bool:
        """Do what is to be done until a time; return whether there is more."""
        self._is_queued = False
        if self._conversation is None or self.is_over:
            return False
        self._in_turn = True
        try:
            self._is_queued = self._conversation.run(until_s)
        finally:
            self._in_turn = False
        return self._is_queued

    def fail(self) -> None:
        """Be dropped."""
        self.abort()

    # What the conversation asks

    def go_on(self) -> None:
        """Have what is to be done, done when it is this connection's turn."""
        if not self._in_turn and not self._is_queued:
            self._is_queued = True
            TransportSettings.turns.ready(self)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be done for the client."""
        return self._is_over or self.outlet is None or self.outlet.given_up

    def joined(self) -> tuple[RouterSeam | None, Any]:
        """Return the realm, where requests may be taken past Crossbar's code, and the session."""
        session: Any = self._session
        router = None if session is None or session._session_id is None else session._router
        return (router.seam if type(router) is GatewayRouter and router.seam.plain else None), session

    def begin_reply(self) -> None:
        """Send the events that wait."""
        if self.outlet is not None:
            self.outlet.catch_up()

    def send_frames(self, frames: list[bytes]) -> None:
        """Send what the encoding has made; an error is the last, since the client cannot ask for anything else."""
        if self._is_over or self.outlet is None:
            return
        self.outlet.write(self.plain_encoding.pieces(frames)[0])
        if not self.is_over and any(frame.startswith(_REFUSED) for frame in frames):
            self.finish()

    def violated(self, reason: str) -> None:
        """Close the connection: what was asked for broke WAMP's rules."""
        self.finish()

    def broke(self) -> None:
        """Close the connection: an error of our own."""
        self.finish()

    # What the session asks

    def take_limits(self, gate: Gate | None) -> None:
        """Be told what the session on this connection may do."""
        limit_queue(self.outlet, gate)

    def isOpen(self) -> bool:
        """Tell whether there is a session."""
        return self._session is not None

    def close_for(self, uri: str, text: str) -> None:
        """Say why, and close."""
        self.begin_reply()
        self.send_frames(self.plain_encoding.objects([closing(uri, text)]))
        self.finish()

    def finish(self) -> None:
        """End the answer, and the connection with it."""
        if self._is_over:
            return
        if self.outlet is not None:
            self.outlet.close()
        self._end()

    def _end(self) -> None:
        self._is_over = True
        self._write(self.plain_encoding.end)
        # TLS would wait for a producer.
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        TransportSettings.clock.callLater(GOODBYE_TIME_S, self.transport.abortConnection)

    def close(self) -> None:
        """End the answer."""
        self.finish()

    def abort(self) -> None:
        """Drop the connection."""
        self.transport.abortConnection()

    def _give_up(self, reason: CloseReason | None) -> None:
        if reason is None or self._is_over:
            self.end_by(Ending.UNWRITABLE)
            self.transport.abortConnection()
            return
        self.end_by(reason)
        TransportSettings.on_cut(reason, getattr(self._session, "_authid", None), self.client_address)
        self._write(self.plain_encoding.pieces(self.plain_encoding.objects([last_object(reason)]))[0])
        self._end()

    def _gone(self, _reason: Any) -> None:
        self._is_over = True
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            self._heartbeat = None
        if self.outlet is not None:
            self.outlet.close()
        self.end_conversation()
        session, self._session = self._session, None
        if session is not None:
            session.onClose(False)
        if self.outlet is not None:
            self.outlet.let_go()
        # What refers to itself is freed by no count of references.
        self.factory = self._channel = None
        self.gone()
