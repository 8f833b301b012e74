"""A session of Crossbar's for a client that speaks plain JSON: what its transports have in common.

Of the seam: see ``connections``. The client has been verified before, so its HELLO, which is said here, is accepted as one of
whom Crossbar knows by its transport; whether there is a seat, the session finds out as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autobahn.wamp import message
from autobahn.wamp.exception import TransportLost
from autobahn.wamp.role import RoleCallerFeatures, RoleSubscriberFeatures

from components.core import plain_json
from components.core.closing import CLOSE_CODES, CLOSE_TEXTS, CloseReason
from components.router.authenticator import Principal
from components.router.engine.outlet import Outlet
from components.router.plain.conversation import Conversation
from components.router.plain.entry import hello_details
from components.router.seam.gateway_router import GatewayRouter
from components.router.seam.transports import TransportSettings
from components.uris import ERROR_LIMIT_EXCEEDED, ERROR_NOT_READY

NO_ROOM = 4010
JOIN_REFUSED = 4011
NORMAL = 1000
"""Of close codes of their own, Autobahn lets an application send 1000 and those from 3000 on (RFC 6455 section 7.4.2)."""

_ROLES = {"subscriber": RoleSubscriberFeatures(), "caller": RoleCallerFeatures()}
_AUTHPROVIDER = "ticket"


class NoSessions(RuntimeError):
    """The worker's gateway is not up."""


class WorkerSessions:
    """What makes the sessions of this worker; set once by ``install_sessions``."""

    factory: Any = None


def install_sessions(session: Any) -> None:
    """Let transports of ours have sessions like Crossbar's; ``session`` is that of an in-router component."""
    WorkerSessions.factory = session._transport._router._factory._worker._router_session_factory


def session_factory() -> Any:
    """Return what makes the worker's sessions.

    Raises:
        NoSessions: the gateway is not up.
    """
    if WorkerSessions.factory is None:
        raise NoSessions("the realm market has no gateway, or it has not joined")
    return WorkerSessions.factory


class PlainTransport:
    """Of a client's connection: its session's way in and out."""

    outlet: Outlet | None
    isOpen: Callable[[], bool]
    _session: Any
    _conversation: Conversation | None = None
    _authid: str | None
    _authrole: str | None
    _authmethod: str | None
    _authprovider: str | None
    _authrealm: str | None

    def introduce(self, principal: Principal) -> None:
        """Take note, before the session, of whose the connection is."""
        self._authid, self._authrole = principal["authid"], principal["role"]
        self._authmethod = self._authprovider = _AUTHPROVIDER
        self._authrealm = None

    def join(self, principal: Principal) -> None:
        """Have the session, which is there, join."""
        self._session.onMessage(message.Hello(principal["realm"], _ROLES, **hello_details(principal)))

    def send(self, msg: Any) -> None:
        """Be told by the session what it sends; of the transport, in the place of Autobahn's."""
        if self.outlet is not None and self.outlet.given_up:
            return
        if not self.isOpen():
            raise TransportLost
        self.say(msg)

    def say(self, msg: Any) -> None:
        """Hand on what the session is sent."""
        if isinstance(msg, message.Welcome):
            seam = self._seam
            market = None if seam is None else seam.market
            self._conversation = Conversation(self, self._session, market, TransportSettings.clock)  # type: ignore[arg-type]
            if self.outlet is not None:
                self.outlet.when_free = self._conversation.released
        elif isinstance(msg, message.Abort | message.Goodbye):
            self.close_for(msg.reason, msg.message or "")
        elif self._conversation is not None:
            self._conversation.told(msg)

    @property
    def _seam(self) -> Any:
        router = self._session._router
        return router.seam if type(router) is GatewayRouter else None

    def end_conversation(self) -> None:
        """Do nothing more for the client, which has gone, and hold nothing of it."""
        if self._conversation is not None:
            self._conversation.close()
            self._conversation = None

    def close_for(self, uri: str, text: str) -> None:
        """Say why, and close; of the transport."""
        raise NotImplementedError

    @property
    def is_blocked(self) -> bool:
        """Whether the connection takes no more bytes at the moment."""
        return self.outlet is not None and self.outlet.blocked


def last_object(reason: CloseReason) -> bytes:
    """Return what a client is told before its connection closes."""
    return closing(reason.value, CLOSE_TEXTS[reason])


def closing(uri: str, text: str) -> bytes:
    """Return the object that says why a connection closes."""
    return plain_json.typed("closing", code=uri, message=text[: plain_json.MAX_TEXT_CHARS])


def close_code(uri: str) -> int:
    """Return the WebSocket close code for a reason that a session has been given."""
    try:
        return CLOSE_CODES[CloseReason(uri)]
    except ValueError:
        if uri in (ERROR_LIMIT_EXCEEDED, ERROR_NOT_READY):
            return NO_ROOM
        return JOIN_REFUSED if "error" in uri else NORMAL
