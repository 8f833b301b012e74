"""The socket side of one connection to the simulated exchange; decides nothing about the protocol (see ``protocol``).

Handshake, control frames and close codes are Autobahn's; data frames are written ready-made, joined, once per round.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from components.core.websocket_frames import text_frame
from components.simulator.faults import FaultError
from components.simulator.protocol import (
    Action,
    Close,
    ConnectionRules,
    Drop,
    ExchangeConnection,
    Listen,
    Ping,
    Pong,
    Reply,
    Rewrap,
    TargetError,
    Unlisten,
    parse_target,
)
from components.simulator.routing import Form, Outbox, StreamRouter, in_form

CONTROL_PATH = "/control"


@dataclass(slots=True)
class ExchangeCounters:
    """What happened since the start."""

    connections_made: int = 0
    connections_refused: int = 0
    policy_closes: int = 0
    slow_clients_cut: int = 0
    frames_sent: int = 0
    faults: int = 0


class Exchange(Protocol):
    """What a connection needs of the exchange it belongs to."""

    rules: ConnectionRules
    counters: ExchangeCounters
    router: StreamRouter

    def now_s(self) -> float:
        """Return the exchange's time."""

    def admit(self, host: str) -> bool:
        """Tell whether an address may connect once more; count the attempt."""

    def take_fault(self, text: bytes) -> dict[str, object]:
        """Begin a fault asked for in JSON; return what to answer; raise ``FaultError``."""

    def connection_made(self, socket: SimulatorProtocol) -> None:
        """Keep a TCP connection in mind until it is lost."""

    def connection_open(self, client: SimulatorProtocol) -> None:
        """Take a client whose handshake is done."""

    def connection_silent(self, client: SimulatorProtocol) -> None:
        """Route nothing to a client any more."""

    def connection_lost(self, socket: SimulatorProtocol) -> None:
        """Forget a TCP connection."""


@implementer(IPushProducer)
class _Flow:
    """Learns from the transport whether the client reads; Twisted pauses a producer at 64 KiB unsent."""

    def __init__(self, connection: SimulatorProtocol) -> None:
        self._connection = connection

    def pauseProducing(self) -> None:
        self._connection.paused = True

    def resumeProducing(self) -> None:
        self._connection.paused = False
        self._connection.flush()

    def stopProducing(self) -> None:
        self._connection.paused = True


class SimulatorProtocol(WebSocketServerProtocol):  # type: ignore[misc]  # Autobahn ships no types
    """A client's connection, or one to ``/control``."""

    life_log: ClassVar[Logger] = Logger()
    """Not ``log``: that one is Autobahn's own, with its debug lines."""

    def __init__(self, exchange: Exchange) -> None:
        """Begin before the handshake: neither kind yet."""
        super().__init__()
        self.exchange = exchange
        self.machine: ExchangeConnection | None = None
        self.outbox: Outbox = []
        self.paused = False
        self._held: list[bytes] = []
        self._held_bytes = 0

    def connectionMade(self) -> None:
        """Take the TCP connection."""
        super().connectionMade()
        # Autobahn's tcpNoDelay option does not reach server connections.
        self.transport.setTcpNoDelay(True)
        self.exchange.connection_made(self)

    def connectionLost(self, reason: Any = None) -> None:
        """Forget the connection."""
        super().connectionLost(reason)
        self.exchange.connection_lost(self)

    def onConnect(self, request: Any) -> None:
        """Accept or refuse the URL."""
        if request.path == CONTROL_PATH:
            # A browser always names its origin: no web page shall make faults in somebody's local exchange.
            if "origin" in request.headers:
                raise ConnectionDeny(403, "not for web pages")
            return
        if not self.exchange.admit(self.transport.getPeer().host):
            raise ConnectionDeny(429, "Too Many Requests")
        try:
            target = parse_target(request.path, request.params)
        except TargetError as error:
            raise ConnectionDeny(404, str(error)) from None
        self.machine = ExchangeConnection(target, self.exchange.rules, self.exchange.now_s())

    def onOpen(self) -> None:
        """Begin to send."""
        self.transport.registerProducer(_Flow(self), True)
        if self.machine is not None:
            self.exchange.connection_open(self)
            self._carry_out(self.machine.open())

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Answer a control message, or make a fault."""
        if self.machine is not None:
            self._carry_out(self.machine.on_message(payload, self.exchange.now_s()))
            return
        try:
            answer: dict[str, object] = {"ok": True, **self.exchange.take_fault(payload)}
        except FaultError as error:
            answer = {"error": {"code": "invalid_fault", "message": str(error)}}
        self.outbox.append(text_frame(json.dumps(answer).encode()))
        self.flush()

    def onPing(self, payload: bytes) -> None:
        """Answer a ping, unless a fault forbids it."""
        if self.machine is not None:
            self._carry_out(self.machine.on_ping(payload, self.exchange.now_s()))
        elif self.paused:
            # No message rule limits /control: pings of a client that reads no pongs would gather without end.
            self.cut()
        else:
            self.sendPong(payload)

    def onPong(self, payload: bytes) -> None:
        """Take a pong."""
        if self.machine is not None:
            self._carry_out(self.machine.on_pong(payload, self.exchange.now_s()))

    def tick(self, now_s: float) -> None:
        """Ping or end the connection if it is time, and send what has gathered."""
        if self.machine is not None and (actions := self.machine.on_time(now_s)):
            self._carry_out(actions)
        self.flush()

    def flush(self) -> None:
        """Write what has gathered; while the client does not read, hold it up to the limit, then disconnect."""
        if self.outbox:
            block = b"".join(self.outbox)
            self.outbox.clear()
            self._held.append(block)
            self._held_bytes += len(block)
        if not self._held:
            return
        if not self.paused:
            block = self._held[0] if len(self._held) == 1 else b"".join(self._held)
            self._held.clear()
            self._held_bytes = 0
            self.transport.write(block)
        elif self._held_bytes > self.exchange.rules.max_unsent_bytes:
            self.exchange.counters.slow_clients_cut += 1
            self.life_log.warn(
                "disconnecting {peer}: more than max_unsent_bytes={limit} unread",
                peer=self.peer,
                limit=self.exchange.rules.max_unsent_bytes,
            )
            self.cut()

    def announce(self, stream: str, payload: bytes) -> None:
        """Send what nobody subscribes to, in the connection's form."""
        self.outbox.append(text_frame(in_form(stream, payload, self._form())))
        self.flush()

    def cut(self) -> None:
        """End the connection at once, without a close frame, unsent bytes and all."""
        self._silence()
        self.transport.abortConnection()

    def close(self, code: int, reason: str) -> None:
        """Send what has gathered, then a close frame."""
        if not self.paused:
            self.flush()
        self._silence()
        # Autobahn's sendClose refuses every code below 3000 but 1000.
        self.sendCloseFrame(code=code, reasonUtf8=reason.encode())

    def _silence(self) -> None:
        self.exchange.connection_silent(self)
        self.outbox.clear()
        self._held.clear()
        self._held_bytes = 0

    def _carry_out(self, actions: list[Action]) -> None:
        if self.machine is None:
            return
        for action in actions:
            match action:
                case Reply(text):
                    self.outbox.append(text_frame(text))
                    self.flush()
                case Listen(streams):
                    self.exchange.router.listen(streams, self._form(), self.outbox)
                case Unlisten(streams):
                    self.exchange.router.unlisten(streams, self.outbox)
                case Rewrap():
                    self.exchange.router.unlisten(self.machine.streams, self.outbox)
                    self.exchange.router.listen(self.machine.streams, self._form(), self.outbox)
                case Ping(payload):
                    self.sendPing(payload)
                case Pong(payload):
                    self.sendPong(payload)
                case Close(code, reason):
                    self.exchange.counters.policy_closes += 1
                    self.life_log.info("closing {peer}: {code} {reason}", peer=self.peer, code=code, reason=reason)
                    self.close(code, reason)
                case Drop(reason):
                    self.life_log.info("dropping {peer}: {reason}", peer=self.peer, reason=reason)
                    if self.paused:
                        self.cut()
                        continue
                    self.flush()
                    self._silence()
                    self.transport.unregisterProducer()
                    self.transport.loseConnection()

    def _form(self) -> Form:
        if self.machine is None:
            raise AssertionError("only a client's connection has a form")
        return Form(self.machine.combined, self.machine.microseconds)
