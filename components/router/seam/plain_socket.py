"""``/ws/trade``: a WebSocket connection that speaks plain JSON, with a session of Crossbar's like any other.

Of the seam: see ``connections``. Written against crossbar 26.10.1 and autobahn 26.10.2. Who it is, by a token, and whether
there is room, is found out before the upgrade; what is sent after it is ``Conversation``'s to understand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from crossbar.common import checkconfig
from crossbar.router.protocol import WampWebSocketServerFactory
from twisted.internet.defer import Deferred

from components.core.client_address import header_values
from components.core.closing import CloseReason
from components.core.entries import InvalidEntry, checked, mapping
from components.core.plain_json import NOT_TEXT
from components.environment import refuse_to_start
from components.router.authenticator import Principal
from components.router.bearer import PROTOCOL_PREFIX
from components.router.engine.encodings import PLAIN, PlainEncoding
from components.router.engine.events import Encoding
from components.router.engine.requests import RequestCodec
from components.router.http_api.access import ApiSettings
from components.router.http_api.problems import PROBLEM_TYPE, ApiError
from components.router.listeners.web import PlainAnswer
from components.router.plain.entry import Entry, reads_batched
from components.router.seam.connections import GatewayWebSocketProtocol
from components.router.seam.plain_session import (
    NoSessions,
    PlainTransport,
    close_code,
    closing,
    last_object,
    session_factory,
)
from components.router.seam.socket_paths import SocketResource
from components.uris import ERROR_NOT_FOUND

JSON = "crosstick.json"
BATCHED = "crosstick.json.batched"
_SECRET_HEADERS = ("authorization", "sec-websocket-protocol")

_MAX_REASON_BYTES = 123
"""Of a close frame (RFC 6455 section 5.5)."""


def choose_protocol(offered: list[str]) -> str | None:
    """Return the subprotocol that is agreed on: a browser that offers some must get one of them."""
    for name in offered:
        if name in (JSON, BATCHED):
            return name
    return next((name for name in offered if name.startswith(PROTOCOL_PREFIX)), None)


class PlainSocket(PlainTransport, GatewayWebSocketProtocol):
    """A client's connection."""

    kind: ClassVar[str] = "plain"
    _principal: Principal
    _problem: ApiError | None = None
    http_headers: dict[str, str]
    websocket_protocols: list[str]
    http_request_params: dict[str, list[str]]

    _is_batched = False
    _is_deciding = False
    """Whether the token is being verified."""

    _is_paused = False
    """Whether nothing is read meanwhile."""

    _in_turn = False
    _off_turn = False
    """Whether it waits for the connection to take bytes again, rather than for its turn."""

    # The upgrade

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        if self._is_deciding:
            # Autobahn keeps what comes behind the request, however much that is.
            self._is_paused = True
            self.transport.pauseProducing()

    def processHandshake(self) -> None:
        if not self._is_deciding:
            super().processHandshake()

    def onConnect(self, request: Any) -> Any:
        # What Crossbar notes of a request, anybody may ask for who may use its meta API.
        headers = {name: value for name, value in request.headers.items() if name not in _SECRET_HEADERS}
        shown = ConnectionRequest(
            self.peer, headers, request.host, request.path, {}, request.version, request.origin, [], request.extensions
        )
        _, response_headers = super().onConnect(shown)
        return Deferred.fromCoroutine(self._admit(list(request.protocols), response_headers))

    async def _admit(self, offered: list[str], headers: dict[str, str]) -> tuple[str | None, dict[str, str]]:
        # Without urllib's cache, which would keep the token.
        query = self.http_request_uri.partition("#")[0].partition("?")[2]
        protocol = choose_protocol(offered)
        self._is_deciding = True
        try:
            authorization = header_values(self.http_request_data, "authorization")
            self._principal = await self.factory.entry.admit(
                query, authorization, offered, self.client_address, self.network
            )
            self._is_batched = reads_batched(query) or protocol == BATCHED
        except ApiError as problem:
            # With its traceback it would refer to this connection for ever.
            self._problem = problem.with_traceback(None)
            raise ConnectionDeny(problem.status) from None
        finally:
            self._is_deciding = False
            self._forget_request()
            if self._is_paused:
                self._is_paused = False
                if self.state == self.STATE_CONNECTING:
                    self.transport.resumeProducing()
        return protocol, headers

    def _forget_request(self) -> None:
        """Keep no token, and no memory for what nobody asks for again."""
        self.http_request_data, self.http_request_uri, self.http_status_line = b"", "", ""
        self.http_headers, self.http_request_params = {}, {}

    def succeedHandshake(self, accepted: Any) -> None:
        # It may have gone while a key was fetched.
        if self.state == self.STATE_CONNECTING:
            super().succeedHandshake(accepted)

    def failHandshake(self, reason: str, code: int = 400, responseHeaders: Any = None) -> None:
        # It refers to where it was raised, and so to this.
        problem, self._problem = self._problem, None
        if problem is None:
            super().failHandshake(reason, code, responseHeaders)
        elif self.state == self.STATE_CONNECTING:
            headers = {name.decode(): value.decode() for name, value in problem.headers.items()}
            self._answer_upgrade(code, problem.body(), {"Content-Type": PROBLEM_TYPE.decode(), **headers})

    def onOpen(self) -> None:
        # The token may be one of the subprotocols.
        self.websocket_protocols, self.websocket_protocol_in_use, self.http_response_data = [], None, ""
        self.introduce(self._principal)
        super().onOpen()
        if self._session is not None:
            self.join(self._principal)

    def _encoding(self, kind: tuple[str, bool], *, compressed: bool) -> Encoding:
        return self.plain_encoding

    # On the way in

    def _is_busy(self) -> bool:
        return self._conversation is not None and self._conversation.is_busy

    def take_turn(self, until_s: float) -> bool:
        if self._in_turn:
            return False
        self._in_turn = True
        try:
            more = self._take_turn(until_s)
        finally:
            self._in_turn = False
        self._off_turn = not more and self._is_busy()
        return more

    def _take_turn(self, until_s: float) -> bool:
        while True:
            conversation = self._conversation
            if conversation is not None and conversation.is_busy:
                if conversation.is_held:
                    return False
                if conversation.run(until_s):
                    return True
                continue
            if super().take_turn(until_s):
                if not self._is_busy():
                    return True
            elif not self._is_busy():
                return False

    def go_on(self) -> None:
        """Have what is to be done, done when it is this connection's turn."""
        if self._in_turn or (self._waits and not self._off_turn):
            return
        self._off_turn = False
        self._begin_turn()

    def _take_messages(self, codec: RequestCodec, messages: list[bytes]) -> None:
        conversation, gate = self._conversation, self._gate
        if conversation is None:
            return
        allowed = len(messages)
        if gate is not None:
            allowed = gate.begin(allowed)
            gate.end()
        conversation.take(messages[:allowed])
        conversation.refuse(messages[allowed:])

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        conversation, gate = self._conversation, self._gate
        if conversation is None or self.is_over:
            return
        if gate is None or gate.take_message():
            conversation.take([NOT_TEXT if isBinary else payload])
        else:
            conversation.refuse([payload])
        self.go_on()

    def onAutoPingTimeout(self) -> None:
        if self._is_busy():
            # Its answer is not read meanwhile; who does not read what is sent is closed for that.
            timer = self.factory._batched_timer
            self.autoPingTimeoutCall = timer.call_later(self.autoPingTimeout, self.onAutoPingTimeout)
        else:
            super().onAutoPingTimeout()

    # What the conversation asks

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be done for the client."""
        return self._session is None or self.state != self.STATE_OPEN or self.outlet is None or self.outlet.given_up

    @property
    def plain_encoding(self) -> PlainEncoding:
        """What makes frames of objects."""
        return PLAIN[self._perMessageCompress is None, self._is_batched]

    def send_frames(self, frames: list[bytes]) -> None:
        """Send what the encoding has made."""
        pieces = self.plain_encoding.pieces(frames)
        if self.plain_encoding.joined:
            self.send_replies(pieces)
        else:
            for piece in pieces:
                self._write_message(piece)

    def violated(self, reason: str) -> None:
        """Close the connection: what came broke WAMP's rules."""
        self._violated(reason)

    def broke(self) -> None:
        """Close the connection: an error of our own."""
        self._bailout(1011, "internal error")

    # On the way out

    def close_for(self, uri: str, text: str) -> None:
        self.begin_reply()
        self.send_frames(self.plain_encoding.objects([closing(uri, text)]))
        self.sendClose(close_code(uri), uri[:_MAX_REASON_BYTES])

    def _say_last(self, reason: CloseReason) -> None:
        self.send_frames(self.plain_encoding.objects([last_object(reason)]))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.end_conversation()
        super().onClose(wasClean, code, reason)


class _Extra(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    realm: str = "market"
    roles: list[str] | None = None
    options: dict[str, Any] = {}


class PlainSocketFactory(WampWebSocketServerFactory):  # type: ignore[misc]
    """Of one path."""

    protocol = PlainSocket

    def __init__(self, entry: Entry, options: Mapping[str, Any]) -> None:
        """``options`` are those of Crossbar's WebSocket services."""
        config = {
            "type": "websocket",
            "serializers": ["json"],
            "options": {**options, "require_websocket_subprotocol": False},
        }
        super().__init__(session_factory(), None, config, None)
        self.entry = entry


def _answer(problem: ApiError) -> PlainAnswer:
    headers = {b"Content-Type": PROBLEM_TYPE, **problem.headers}
    return PlainAnswer(problem.status, problem.body().decode().rstrip(), headers)


class TradeSocket(SocketResource):
    """The resource of the configuration: ``extra`` has ``realm``, ``roles`` and ``options``."""

    isLeaf = False
    _nothing = _answer(ApiError(ERROR_NOT_FOUND))

    def __init__(self, extra: Any = None) -> None:
        try:
            said = checked(mapping(extra or {}, "extra"), _Extra, "extra")
            settings = {"realm": said.realm} | ({} if said.roles is None else {"roles": said.roles})
            entry = Entry(ApiSettings.from_extra(settings))
            checkconfig.check_websocket_options(dict(said.options))
            factory = PlainSocketFactory(entry, said.options)
        except (InvalidEntry, checkconfig.InvalidConfigException, NoSessions) as error:
            refuse_to_start(f"/ws/trade: {error}")
        factory.startFactory()
        super().__init__(factory)

    def getChildWithDefault(self, name: bytes, request: Any) -> Any:
        return self if name == b"" else self._nothing
