"""One client's connection to the exchange as a state machine without I/O: what it listens to, what it is answered, when
it is pinged, and when it is cut. Times (seconds) and messages come in, actions go out; it never touches a socket.

The rules, from Binance's documentation of its spot streams:

- ``/ws/<stream>[/<stream>…]`` sends bare payloads, ``/stream?streams=<stream>/…`` wraps them; SUBSCRIBE adds to either.
- A sixth incoming message (PING, PONG or JSON) within any one second closes with 1008.
- A ping goes out every 20 s; one that stays without its pong (or a later one's) for 60 s ends the connection.
- After 24 h the connection is dropped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.simulator.requests import (
    GetCombined,
    ListSubscriptions,
    RequestError,
    SetCombined,
    Subscribe,
    Unsubscribe,
    error_reply,
    parse_request,
    result_reply,
)

POLICY_VIOLATION = 1008


@dataclass(frozen=True, slots=True)
class ConnectionRules:
    """The exchange's limits; the defaults are the documented ones, tests shorten them."""

    ping_interval_s: float = 20.0
    pong_timeout_s: float = 60.0
    max_life_s: float = 86_400.0
    messages_per_s: int = 5
    max_streams: int = 1024
    attempts_per_window: int = 300
    """Connection attempts of one address in ``attempt_window_s``; more are refused with HTTP 429."""

    attempt_window_s: float = 300.0
    max_unsent_bytes: int = 8 * 2**20
    """A client that leaves more than this unread is disconnected. Undocumented at the exchange; the number is ours."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a connection's URL asks for."""

    streams: tuple[str, ...]
    combined: bool
    microseconds: bool


class TargetError(ValueError):
    """The URL is none of the exchange's."""


def parse_target(path: str, query: Mapping[str, Sequence[str]]) -> Target:
    """Return what a URL asks for.

    Raises:
        TargetError: the path or ``timeUnit`` is unknown.
    """
    unit = (query.get("timeUnit") or ["MILLISECOND"])[0].upper()
    if unit not in ("MILLISECOND", "MICROSECOND"):
        raise TargetError(f"timeUnit must be MILLISECOND or MICROSECOND, was {unit!r}")
    if path == "/ws" or path.startswith("/ws/"):
        combined, names = False, path[4:]
    elif path == "/stream":
        combined, names = True, (query.get("streams") or [""])[0]
    else:
        raise TargetError(f"path must be /ws, /ws/<stream> or /stream, was {path!r}")
    streams = tuple(dict.fromkeys(name for name in names.split("/") if name))
    return Target(streams, combined, unit == "MICROSECOND")


@dataclass(frozen=True, slots=True)
class Reply:
    """Send a text message."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Ping:
    """Send a ping."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """Answer a ping."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Listen:
    """Begin to send these streams' frames."""

    streams: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unlisten:
    """Send no more of these streams' frames."""

    streams: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rewrap:
    """The connection changed between bare and combined frames."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close with a close frame."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Drop:
    """End the TCP connection without a close frame."""

    reason: str


Action = Reply | Ping | Pong | Listen | Unlisten | Rewrap | Close | Drop

_TOO_MANY_REQUESTS = Close(POLICY_VIOLATION, "Too many requests")
_PONG_TIMEOUT = Close(POLICY_VIOLATION, "Pong timeout")


class ExchangeConnection:
    """One client's connection. Every method returns the actions to carry out, in order."""

    def __init__(self, target: Target, rules: ConnectionRules, now_s: float) -> None:
        """Begin at ``now_s``; call ``open`` for the streams of the URL."""
        self._target = target
        self._rules = rules
        self._arrivals_s: deque[float] = deque(maxlen=rules.messages_per_s)
        self._streams: dict[str, None] = {}
        self._pings: deque[tuple[float, bytes]] = deque(maxlen=128)
        self._pings_sent = 0
        self._end_s = now_s + rules.max_life_s
        self._next_ping_s = now_s + rules.ping_interval_s
        self._suspended = False
        self.combined = target.combined
        self.microseconds = target.microseconds
        self.closed = False

    @property
    def streams(self) -> tuple[str, ...]:
        """What the connection listens to, in the order of subscribing."""
        return tuple(self._streams)

    def open(self) -> list[Action]:
        """Listen to the streams of the URL."""
        if len(self._target.streams) > self._rules.max_streams:
            return self._end(Close(POLICY_VIOLATION, "Too many streams"))
        self._streams.update(dict.fromkeys(self._target.streams))
        return [Listen(self._target.streams)] if self._target.streams else []

    def on_message(self, text: bytes, now_s: float) -> list[Action]:
        """Answer a JSON control message."""
        if self.closed:
            return []
        if self._over_the_rate(now_s):
            return self._end(_TOO_MANY_REQUESTS)
        try:
            return self._carry_out(text)
        except RequestError as error:
            return [Reply(error_reply(error))]

    def on_ping(self, payload: bytes, now_s: float) -> list[Action]:
        """Answer a ping; while pings are suspended it counts, and stays unanswered."""
        if self.closed:
            return []
        if self._over_the_rate(now_s):
            return self._end(_TOO_MANY_REQUESTS)
        return [] if self._suspended else [Pong(payload)]

    def on_pong(self, payload: bytes, now_s: float) -> list[Action]:
        """Take a pong; only one with the payload of an unanswered ping settles it, and the pings before it."""
        if self.closed:
            return []
        if self._over_the_rate(now_s):
            return self._end(_TOO_MANY_REQUESTS)
        if any(sent == payload for _, sent in self._pings):
            while self._pings.popleft()[1] != payload:
                pass
        return []

    def on_time(self, now_s: float) -> list[Action]:
        """Ping, or end the connection, if it is time."""
        if self.closed:
            return []
        if now_s >= self._end_s:
            return self._end(Drop("24 hours are over"))
        if self._suspended:
            return []
        if self._pings and now_s - self._pings[0][0] >= self._rules.pong_timeout_s:
            return self._end(_PONG_TIMEOUT)
        if now_s < self._next_ping_s:
            return []
        self._next_ping_s = now_s + self._rules.ping_interval_s
        self._pings_sent += 1
        # The exchange's payload is its time; the count keeps two pings of one millisecond apart.
        payload = b"%d%d" % (int(now_s * 1000), self._pings_sent)
        self._pings.append((now_s, payload))
        return [Ping(payload)]

    def suspend_pings(self, now_s: float, *, suspended: bool) -> None:
        """Neither ping nor answer pings (a fault), or do so again."""
        if suspended != self._suspended:
            self._suspended = suspended
            self._pings.clear()
            self._next_ping_s = now_s + self._rules.ping_interval_s

    def _over_the_rate(self, now_s: float) -> bool:
        arrivals = self._arrivals_s
        over = len(arrivals) == arrivals.maxlen and now_s - arrivals[0] < 1.0
        arrivals.append(now_s)
        return over

    def _end(self, action: Action) -> list[Action]:
        self.closed = True
        return [action]

    def _carry_out(self, text: bytes) -> list[Action]:
        match parse_request(text):
            case Subscribe(request_id, streams):
                added = tuple(dict.fromkeys(name for name in streams if name not in self._streams))
                if len(self._streams) + len(added) > self._rules.max_streams:
                    raise RequestError(2, f"Invalid request: more than {self._rules.max_streams} streams")
                self._streams.update(dict.fromkeys(added))
                return [Reply(result_reply(None, request_id)), Listen(added)]
            case Unsubscribe(request_id, streams):
                removed = tuple(dict.fromkeys(name for name in streams if name in self._streams))
                for name in removed:
                    del self._streams[name]
                return [Unlisten(removed), Reply(result_reply(None, request_id))]
            case ListSubscriptions(request_id):
                return [Reply(result_reply(list(self._streams), request_id))]
            case SetCombined(request_id, combined):
                self.combined = combined
                return [Reply(result_reply(None, request_id)), Rewrap()]
            case GetCombined(request_id):
                return [Reply(result_reply(self.combined, request_id))]


class ConnectionAttempts:
    """How often each address tried to connect; remembers the ``MAX_ADDRESSES`` that tried last."""

    MAX_ADDRESSES = 1_000

    def __init__(self, rules: ConnectionRules) -> None:
        """Begin without a memory."""
        self._rules = rules
        self._attempts_s: dict[str, deque[float]] = {}

    def admit(self, host: str, now_s: float) -> bool:
        """Tell whether an address may connect once more, and if so count the attempt."""
        attempts = self._attempts_s.pop(host, None) or deque(maxlen=self._rules.attempts_per_window)
        self._attempts_s[host] = attempts
        if len(self._attempts_s) > self.MAX_ADDRESSES:
            del self._attempts_s[next(iter(self._attempts_s))]
        if len(attempts) == attempts.maxlen and now_s - attempts[0] < self._rules.attempt_window_s:
            return False
        attempts.append(now_s)
        return True
