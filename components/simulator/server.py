"""The simulated exchange: listens on loopback, keeps the beat, and lets faults happen; the prices are ``market``'s and
the rules ``protocol``'s.

Usable as a test double inside any Twisted process: ``start`` returns the bound port, ``on_frame`` sees every payload
that goes out, ``inject`` makes faults, ``send`` sends a payload of the test's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from components.core.recording import Findings, RecordingError, read_recording, recorded_streams
from components.instruments import INSTRUMENTS, Instrument
from components.settings import SimulatorSettings
from components.simulator.connection import ExchangeCounters, SimulatorProtocol
from components.simulator.faults import Fault, FaultKind, FaultyWire, parse_fault
from components.simulator.listener import ExchangeStartError, Listener
from components.simulator.market import FrameSource, SimulatedMarket
from components.simulator.player import RecordingPlayer
from components.simulator.protocol import POLICY_VIOLATION, ConnectionAttempts, ConnectionRules
from components.simulator.routing import StreamRouter
from components.simulator.symbol import Frame

ROUND_S = 0.005
"""How often gathered frames are written, one write per client."""

MAX_MESSAGE_BYTES = 65_536
DEFAULT_DOWN_S = 5.0
LISTEN_AGAIN_S = 1.0
NORMAL_CLOSURE = 1000
CLOSE_TIMEOUT_S = 5.0
"""How long a client may take to read the rest and answer a close frame."""

DEFAULT_SHUTDOWN_NOTICE_S = 1.0


class SimulatedExchange:
    """A WebSocket server that speaks Binance's spot stream protocol."""

    log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: SimulatorSettings,
        *,
        instruments: Sequence[Instrument] = INSTRUMENTS,
        rules: ConnectionRules | None = None,
        clock: Any = None,
        on_frame: Callable[[str, bytes], None] | None = None,
        source: FrameSource | None = None,
        waits_for_clients: bool = False,
    ) -> None:
        """Prepare an exchange; nothing listens before ``start``.

        ``clock`` (``seconds`` and ``callLater``) tells the time instead of the reactor. ``on_frame`` is called with
        stream and bare payload of each frame that has a listener, faults included. ``source`` replaces prices and
        recording. With ``waits_for_clients`` it is asked for frames only while all clients read, so that nobody is
        disconnected for being slow.
        """
        self.rules = rules or ConnectionRules()
        self.counters = ExchangeCounters()
        self.router = StreamRouter(self._first_listener, self._last_listener)
        self._reactor = reactor
        self._clock = clock or reactor
        self._settings = settings
        self._instruments = instruments
        self._on_frame = on_frame
        self._given_source = source
        self._source: FrameSource | None = source
        self._waits_for_clients = waits_for_clients
        self._wire = FaultyWire()
        self._sockets: set[SimulatorProtocol] = set()
        self._clients: dict[SimulatorProtocol, None] = {}
        self._attempts = ConnectionAttempts(self.rules)
        self._listener = Listener(reactor, settings.host, settings.port, self._factory())
        self._beat: LoopingCall | None = None
        self._beat_ended: Deferred[Any] | None = None
        self._delayed: set[Any] = set()
        self._wait_for_all_gone: list[Deferred[None]] = []
        self._pings_suspended = False

    @property
    def url(self) -> str:
        """The base address clients add ``/ws`` or ``/stream`` to."""
        return f"ws://{self._settings.host}:{self._listener.port}"

    @property
    def clients(self) -> int:
        """How many clients are connected (not counting ``/control``)."""
        return len(self._clients)

    @property
    def is_held_up(self) -> bool:
        """Whether some client has not read what was sent to it."""
        return any(client.paused for client in self._clients)

    @property
    def market(self) -> SimulatedMarket:
        """The market behind it; ``TypeError`` while a recording or another source plays."""
        if not isinstance(self._source, SimulatedMarket):
            raise TypeError("this exchange has no market of its own, or has not started")
        return self._source

    @property
    def recording_ended(self) -> bool:
        """Whether a recording that plays once has come to its end."""
        return isinstance(self._source, RecordingPlayer) and self._source.ended

    def now_s(self) -> float:
        """The exchange's time, in seconds."""
        return float(self._clock.seconds())

    async def start(self) -> int:
        """Listen, open the market or make the recording ready; return the bound port.

        Raises:
            ExchangeStartError: the port cannot be had, or the recording not be read.
        """
        self._source = self._given_source or self._make_source()
        port = self._listener.listen()
        self._beat = LoopingCall(self._round)
        self._beat.clock = self._clock
        self._beat_ended = self._beat.start(ROUND_S, now=False)
        self._beat_ended.addErrback(self._beat_failed)
        self.log.info("simulated exchange listens at {url}", url=self.url)
        return port

    async def stop(self) -> None:
        """Stop listening, cut every connection, and return when all are gone."""
        self._cancel_delayed()
        if self._beat is not None and self._beat.running:
            self._beat.stop()
        self._beat = None
        await self._listener.close()
        for socket in list(self._sockets):
            socket.cut()
        if self._sockets:
            gone: Deferred[None] = Deferred()
            self._wait_for_all_gone.append(gone)
            await gone

    async def finish(self, reason: str) -> None:
        """Stop as ``stop`` does, but let each client have what was sent to it, and then a close frame with 1000."""
        if self._beat is not None and self._beat.running:
            self._beat.stop()
        await self._listener.close()
        for client in list(self._clients):
            client.close(NORMAL_CLOSURE, reason)
        until_s = self.now_s() + CLOSE_TIMEOUT_S
        while self._sockets and self.now_s() < until_s:
            await deferLater(self._clock, ROUND_S, lambda: None)
        await self.stop()

    async def inject(self, fault: Fault) -> None:
        """Make a fault happen; return when it has begun."""
        self.counters.faults += 1
        now_s = self.now_s()
        self.log.info("fault {kind} on {symbol}", kind=fault.kind, symbol=fault.symbol or "all")
        match fault.kind:
            case FaultKind.CUT:
                self._cut_all()
            case FaultKind.DOWN:
                seconds = DEFAULT_DOWN_S if fault.seconds is None else fault.seconds
                self._cancel_delayed()
                await self._listener.close()
                self._cut_all()
                self._later(seconds, self._listen_again)
            case FaultKind.POLICY_VIOLATION:
                for client in list(self._clients):
                    self.counters.policy_closes += 1
                    client.close(POLICY_VIOLATION, "Policy violation")
            case FaultKind.SHUTDOWN:
                self._shut_down(DEFAULT_SHUTDOWN_NOTICE_S if fault.seconds is None else fault.seconds)
            case FaultKind.RESUME:
                self._wire.clear()
                self._cancel_delayed()
                self._listen_again()
            case _:
                self._wire.arm(fault, now_s)
        self._suspend_pings(now_s)

    def send(self, stream: str, payload: bytes) -> None:
        """Send a payload to a stream's listeners, now and whatever it is."""
        self._dispatch([(stream, payload)])
        for client in list(self._clients):
            client.flush()

    # What connections tell and ask

    def admit(self, host: str) -> bool:
        """Tell whether an address may connect once more; count the attempt."""
        admitted = self._attempts.admit(host, self.now_s())
        if not admitted:
            self.counters.connections_refused += 1
        return admitted

    def take_fault(self, text: bytes) -> dict[str, object]:
        """Begin a fault asked for in JSON; return what to answer.

        Raises:
            FaultError: there is no such fault.
        """
        fault = parse_fault(text)
        clients = self.clients
        Deferred.fromCoroutine(self.inject(fault)).addErrback(self._fault_failed)
        return {"fault": fault.kind, "symbol": fault.symbol, "clients": clients}

    def connection_made(self, socket: SimulatorProtocol) -> None:
        """Keep a TCP connection in mind until it is lost."""
        self._sockets.add(socket)

    def connection_open(self, client: SimulatorProtocol) -> None:
        """Count a client whose handshake is done."""
        self.counters.connections_made += 1
        self._clients[client] = None
        if client.machine is not None and self._pings_suspended:
            client.machine.suspend_pings(self.now_s(), suspended=True)

    def connection_silent(self, client: SimulatorProtocol) -> None:
        """Route nothing to a client any more."""
        if client in self._clients and client.machine is not None:
            del self._clients[client]
            self.router.unlisten(client.machine.streams, client.outbox)

    def connection_lost(self, socket: SimulatorProtocol) -> None:
        """Forget a TCP connection."""
        self.connection_silent(socket)
        self._sockets.discard(socket)
        if not self._sockets:
            waiting, self._wait_for_all_gone = self._wait_for_all_gone, []
            for gone in waiting:
                gone.callback(None)

    # The beat

    def _round(self) -> None:
        now_s = self.now_s()
        if self._source is not None and not (self._waits_for_clients and self.is_held_up):
            frames = self._source.advance(int(now_s * 1000))
            if frames:
                self._dispatch(self._wire.apply(frames, now_s))
        if self._pings_suspended:
            self._suspend_pings(now_s)
        for client in list(self._clients):
            client.tick(now_s)

    def _dispatch(self, frames: Sequence[Frame]) -> None:
        if self._on_frame is not None:
            for stream, payload in frames:
                if self.router.has_listeners(stream):
                    self._on_frame(stream, payload)
        self.counters.frames_sent += self.router.dispatch(frames)

    def _beat_failed(self, failure: Any) -> None:
        """An exchange without a beat is worse than none: clients would wait for ever on an open socket."""
        self.log.failure("simulated exchange stops", failure)
        Deferred.fromCoroutine(self.stop()).addErrback(self._fault_failed)

    def _first_listener(self, stream: str) -> None:
        if self._source is not None:
            self._source.watch(stream)

    def _last_listener(self, stream: str) -> None:
        if self._source is not None:
            self._source.unwatch(stream)

    # Faults

    def _cut_all(self) -> None:
        for client in list(self._clients):
            client.cut()

    def _shut_down(self, notice_s: float) -> None:
        payload = b'{"e":"serverShutdown","E":%d}' % int(self.now_s() * 1000)
        told = list(self._clients)
        for client in told:
            client.announce("!serverShutdown", payload)

        # Whoever connects anew upon the announcement reaches, at the real exchange, a server that stays.
        def cut_those_told() -> None:
            for client in told:
                if client in self._clients:
                    client.cut()

        self._later(notice_s, cut_those_told)

    def _suspend_pings(self, now_s: float) -> None:
        self._pings_suspended = self._wire.pings_suspended(now_s)
        for client in self._clients:
            if client.machine is not None:
                client.machine.suspend_pings(now_s, suspended=self._pings_suspended)

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        def now() -> None:
            self._delayed.discard(call)
            do()

        call = self._clock.callLater(seconds, now)
        self._delayed.add(call)

    def _listen_again(self) -> None:
        if self._beat is None:
            return
        try:
            self._listener.listen()
        except ExchangeStartError as error:
            self.log.error("{error}; trying again", error=error)  # noqa: TRY400  one line, no traceback
            self._later(LISTEN_AGAIN_S, self._listen_again)
        else:
            self.log.info("simulated exchange listens again at {url}", url=self.url)

    def _cancel_delayed(self) -> None:
        for call in self._delayed:
            call.cancel()
        self._delayed.clear()

    def _fault_failed(self, failure: Any) -> None:
        self.log.failure("a fault could not be made", failure)

    def _make_source(self) -> FrameSource:
        recording = self._settings.recording
        if recording is None:
            return SimulatedMarket(
                seed=self._settings.seed,
                rate_per_s=self._settings.rate_per_s,
                start_ms=int(self.now_s() * 1000),
                instruments=self._instruments,
            )
        try:
            findings = Findings()
            recorded_streams(recording.path, findings)
        except (RecordingError, OSError) as error:
            raise ExchangeStartError(f"the recording cannot be played: {error}") from error
        if findings.torn:
            self.log.warn(
                "{place}: the recording ends in the middle of a line, and is played up to there", place=findings.torn
            )
        return RecordingPlayer(partial(read_recording, recording.path), speed=recording.speed, loop=recording.loop)

    def _factory(self) -> Any:
        factory = WebSocketServerFactory(reactor=self._reactor)
        factory.setProtocolOptions(
            maxMessagePayloadSize=MAX_MESSAGE_BYTES,
            maxFramePayloadSize=MAX_MESSAGE_BYTES,
            closeHandshakeTimeout=CLOSE_TIMEOUT_S,
        )
        factory.protocol = partial(SimulatorProtocol, self)
        factory.noisy = False
        return factory
