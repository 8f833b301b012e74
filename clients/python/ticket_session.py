"""One WAMP session of asyncio's Autobahn, joined with a ticket, in JSON that keeps every digit."""

import asyncio
import logging
from decimal import Decimal

import msgspec
from autobahn.asyncio.wamp import ApplicationSession
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.interfaces import IObjectSerializer
from autobahn.wamp.message import Event, Invocation
from autobahn.wamp.serializer import JsonSerializer, Serializer
from autobahn.wamp.types import CloseDetails
from ticket import AccessRefused, subject_of

logger = logging.getLogger("crosstick.client")

REFUSALS = {
    "crosstick.error.authentication_failed",
    "wamp.error.authentication_failed",
    "wamp.error.no_auth_method",
    "wamp.error.no_such_realm",
    "wamp.error.no_such_role",
}
"""The gateway's one answer to a ticket it does not accept, and Crossbar's own before it or without its authenticator."""


TOKEN_ENDED = {"crosstick.close.token_expired", "crosstick.close.token_revoked"}
"""Why the gateway closes a session whose token is no longer good: the same token would not open another."""

DRAINING = "crosstick.close.draining"
"""Why a gateway that is about to end closes its sessions: others are up, so there is no reason to wait."""


class _ExactJson:
    """WAMP messages as JSON, with numbers of a fraction as Decimal in both directions."""

    NAME = "json"
    BINARY = False

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(float_hook=Decimal)
        self._encoder = msgspec.json.Encoder(decimal_format="number")

    def serialize(self, obj: object) -> bytes:
        return self._encoder.encode(obj)

    def unserialize(self, payload: bytes) -> list[object]:
        return [self._decoder.decode(payload)]


IObjectSerializer.register(_ExactJson)


class ExactJsonSerializer(JsonSerializer):
    """Autobahn's `wamp.2.json`, keeping every digit. (Its own `use_decimal_from_float` only reads, and is slow at it.)"""

    def __init__(self) -> None:
        Serializer.__init__(self, _ExactJson())


class TicketSession(ApplicationSession):
    """One session: answers the challenge, and tells by futures when it has joined, why it has ended, and that its line has.

    A session that has ended is deaf: its line may still bring what the gateway sent before, and handlers are spared that.
    """

    def __init__(self, realm: str, token: str, another_may_come: bool = False, attempt: int = 0) -> None:
        """Join with a token; `another_may_come` when its end is no refusal.

        `attempt` is what the gateway counts: 0 for the first one, and above it for each that follows a session or a failure.
        """
        super().__init__()
        loop = asyncio.get_running_loop()
        self.joined: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[str] = loop.create_future()
        self.disconnected: asyncio.Future[None] = loop.create_future()
        self._realm_to_join = realm
        self._token = token
        self._another_may_come = another_may_come
        self._attempt = attempt
        self._reason = "the line was cut"
        self._deaf = False
        self.draining = False
        """Whether the gateway has ended this session since it ends itself."""

    @property
    def deaf(self) -> bool:
        """Whether handlers are to be spared."""
        return self._deaf

    def onConnect(self) -> None:
        if self._deaf:  # given up while the WebSocket was opened
            self.disconnect()
        else:
            self.join(
                self._realm_to_join,
                authmethods=["ticket"],
                authid=subject_of(self._token),
                authextra={"attempt": self._attempt},
            )

    def onChallenge(self, challenge: object) -> str:
        return self._token

    def onMessage(self, msg: object) -> None:
        if not (self._deaf and isinstance(msg, (Event, Invocation))):
            super().onMessage(msg)

    def onJoin(self, details: object) -> None:
        self.joined.set_result(None)

    def onLeave(self, details: CloseDetails) -> None:
        self.draining = details.reason == DRAINING
        if details.reason in REFUSALS:
            self._end(AccessRefused("the gateway refused the ticket"))
        elif details.reason in TOKEN_ENDED and not self._another_may_come:
            self._end(AccessRefused(details.message or details.reason))
        elif details.reason != CloseDetails.REASON_TRANSPORT_LOST:
            self._reason = details.message or details.reason
        self.disconnect()

    def onDisconnect(self) -> None:
        super().onDisconnect()  # whoever still waits for an answer gets TransportLost
        self.disconnected.set_result(None)
        self._end(None)

    def onUserError(self, failure: object, message: str) -> None:
        """Log what a handler or procedure raised by mistake. An ApplicationError is none, but an answer to a caller."""
        if not isinstance(failure.value, ApplicationError):
            logger.error("%s", message, exc_info=failure.value)

    def fail(self, error: BaseException) -> None:
        """End this session, and `MarketClient.run()` with this error."""
        self._end(error)

    def turn_deaf(self) -> None:
        """Call no handler and no procedure any more."""
        self._deaf = True

    def _end(self, error: BaseException | None) -> None:
        self.turn_deaf()
        if self.ended.done():
            return
        if error is None:
            self.ended.set_result(self._reason)
        else:
            self.ended.set_exception(error)
