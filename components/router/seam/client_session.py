"""A client's session on its way from the connection's opening to the join, through its requests, to its end: the seam's part
inside Crossbar's session.

Written against crossbar 26.10.1 and autobahn 26.10.2; ``tests/router/test_seam.py`` fails loudly when an upgrade moves
something. Nobody is let into a realm without a gatekeeper, and each message passes the session's gate.
"""

from __future__ import annotations

from functools import partial
from types import FunctionType
from typing import Any, ClassVar

from autobahn import util
from autobahn.wamp import message
from autobahn.wamp.exception import ProtocolError
from autobahn.wamp.types import Accept, CloseDetails, Deny
from crossbar.router import session as crossbar_session
from twisted.internet.defer import Deferred

from components.core.closing import CloseReason
from components.core.limits import Limits, Refusal
from components.core.seats import Seat, Seats
from components.router import runtime
from components.router.access.gate import Gate
from components.router.access.lifetimes import Lifetime
from components.router.seam.gateway_router import GatewayRouter, is_awaited, is_peer, limit_error, limit_text
from components.tokens import INTERNAL_ROLES, LINK_ROLES
from components.uris import ERROR_LIMIT_EXCEEDED, ERROR_NOT_READY

ARRIVING = Limits(messages_per_s=2.0, messages_burst=10, max_message_bytes=16_384, refusals_burst=1)
"""What a connection may do before it has joined: a few tries, and none of them long."""

DENIED_TIME_S = 1.0
"""How long a connection may stay after its join was denied, however often."""

UNLIMITED_ROLES = INTERNAL_ROLES | LINK_ROLES
"""The node's own components and the routers that it is linked with; what these carry was limited where it came from."""
MAX_ATTEMPT = 1_000_000
"""The highest number of an attempt that is believed."""

_JOINING = (message.Hello, message.Authenticate)

_REQUESTS = (
    message.Publish,
    message.Subscribe,
    message.Unsubscribe,
    message.Register,
    message.Unregister,
    message.Call,
)


def is_another_attempt(auth_extra: dict[str, Any] | None) -> bool:
    """Tell whether a HELLO's ``authextra`` says ``attempt`` with a number above 0; what else it may say counts for nothing."""
    attempt = (auth_extra or {}).get("attempt")
    return type(attempt) is int and 0 < attempt <= MAX_ATTEMPT


class _Decision(Deferred[Any]):
    """What Crossbar waits for when it is asked for a join."""

    def addCallbacks(self, callback: Any, *arguments: Any, **options: Any) -> Any:
        """Add what Crossbar does with the decision, and untie it when it has been done."""
        super().addCallbacks(callback, *arguments, **options)
        untie = partial(_untie, callback)
        return super().addCallbacks(untie, untie)


def _untie(function: Any, result: Any) -> Any:
    """Make a closure use no more what it uses: functions that refer to themselves, and to the session. Return ``result``."""
    for cell in function.__closure__ or ():
        used = cell.cell_contents
        if isinstance(used, FunctionType):
            for own in used.__closure__ or ():
                if own.cell_contents is used:
                    own.cell_contents = None
    return result


class GatewaySession(crossbar_session.RouterSession):  # type: ignore[misc]
    """A client's session: with its limits, and without what each of Crossbar's makes for itself, never uses, and drops."""

    clock: ClassVar[Any]
    """Set by ``install_transports``."""

    _router: Any
    gate: Gate | None = None
    """``None`` for whom nothing limits."""

    _alike: dict[str, Any] | None = None
    """What all new sessions have in common."""

    _deadline: Any = None
    _greeted = False
    _comes_back = False
    """Whether the client says that it has been here, or tried to be."""

    _denied = False
    _was_joined = False
    """Whether it has joined since it arrived: Crossbar takes an ABORT that comes before for one more leave."""

    _place: tuple[Seats, Seat] | None = None
    """Where the session is counted, while it is joined."""

    _deciding = False
    """Whether a HELLO or AUTHENTICATE has not been decided on: a key may have to be fetched."""

    _arrival: Gate | None = None
    """The gate before a join: one for all joins of a connection, so that none gives a new start."""

    _last_gate: Gate | None = None
    """The gate of the session before on this connection, or of the token before."""

    _lifetime: Lifetime | None = None
    _authextra: dict[str, Any]

    def __init__(self, router_factory: Any) -> None:
        if self._alike is None:
            super().__init__(router_factory)
            GatewaySession._alike = {
                name: value
                for name, value in vars(self).items()
                if name not in ("log", "_testaments", "_request_id_gen", "_router_factory")
            }
            del self.log
            return
        self.__dict__.update(self._alike)
        self._router_factory = router_factory
        self._testaments: dict[str, list[Any]] = {"destroyed": [], "detached": []}
        self._request_id_gen = util.IdGenerator()

    # On the way in

    def onOpen(self, transport: Any) -> None:
        super().onOpen(transport)
        self._arrive()

    def _arrive(self) -> None:
        """Be a connection that has not joined."""
        if self._arrival is None:
            self._arrival = Gate(ARRIVING, self.clock.seconds, self._not_counted, self._close_for_abuse)
        self._use(self._arrival)
        self._greeted = self._denied = False
        self._set_deadline(self._transport.hello_timeout_s)

    def _use(self, gate: Gate | None) -> None:
        self.gate = gate
        if self._transport is not None:
            self._transport.take_limits(gate)

    def _set_deadline(self, timeout_s: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if timeout_s is None else self.clock.callLater(timeout_s, self._not_joined_in_time)

    def _not_joined_in_time(self) -> None:
        self._deadline = None
        if self._transport is None:
            return
        if self._denied:
            # It has been told why, and has not gone.
            self._transport.finish()
        else:
            self._transport.cut(CloseReason.NOT_JOINED)

    def onHello(self, realm: str, details: Any) -> Any:
        seats = runtime.gatekeeper(realm)
        # The first HELLO counts: further ones give no more time.
        if seats is not None and not self._greeted:
            self._greeted = True
            self._set_deadline(seats.limits.authenticate_timeout_s)
        self._comes_back = is_another_attempt(details.authextra)
        node = runtime.current()
        if self._comes_back and node is not None:
            node.reconnect_attempts += 1
        return self._when_decided(super().onHello(realm, details))

    def onAuthenticate(self, signature: Any, extra: Any) -> Any:
        return self._when_decided(super().onAuthenticate(signature, extra))

    def _when_decided(self, decision: Any) -> Any:
        decided = _Decision()
        if isinstance(decision, Deferred):
            self._deciding = True
            decision.addBoth(self._decided).addCallback(self._admit).addCallback(self._note_denial)
            decision.addBoth(decided.callback)
        else:
            decided.callback(self._note_denial(self._admit(decision)))
        return decided

    def _note_denial(self, decision: Any) -> Any:
        """Leave who is told that it may not join a moment to go, or to try once more."""
        if isinstance(decision, Deny) and self._transport is not None and not self._denied:
            self._denied = True
            self._set_deadline(DENIED_TIME_S)
        return decision

    def _decided(self, decision: Any) -> Any:
        self._deciding = False
        return decision

    def _admit(self, decision: Any) -> Any:
        """Return what Crossbar decided on a join, or that there is no room; what follows happens in the same turn."""
        if not isinstance(decision, Accept):
            return decision
        if self._pending_session_id is None:
            return Deny(message="the join was given up")
        if decision.authrole in UNLIMITED_ROLES:
            return decision
        seats = runtime.gatekeeper(decision.realm)
        if seats is None:
            return Deny(ERROR_NOT_READY, "this realm has no gatekeeper")
        extra = decision.authextra or {}
        tier = extra.get("tier")
        seat = seats.seat(decision.authid, decision.authrole, tier, self._transport.network)
        limits = seats.limits.of(decision.authrole, tier)
        refusal = seats.full(seat, limits)
        return decision if refusal is None else Deny(ERROR_LIMIT_EXCEEDED, limit_text(refusal))

    def onJoin(self, details: Any) -> None:
        self._set_deadline(None)
        self._was_joined = True
        super().onJoin(details)
        # It holds a second copy of all that is known of the connection.
        self._pending_auth = None
        if self._authrole in UNLIMITED_ROLES:
            self._use(None)
            return
        seats = runtime.gatekeeper(self._realm)
        if seats is None:
            raise RuntimeError("a session was let in without a gatekeeper")
        tier = self._authextra.get("tier")
        seat = seats.seat(self._authid, self._authrole, tier, self._transport.network)
        seats.enter(seat)
        self._place = seats, seat
        self.limit()
        node = runtime.current()
        if self._comes_back and node is not None:
            node.resumed_joins += 1
        tokens = runtime.live_tokens()
        if tokens is not None:
            grace_s = seats.limits.expiry_grace_s
            self._lifetime = Lifetime(self, self._session_id, self._authid, self._authextra, grace_s, self._close_for)
            tokens.joined(self._lifetime)

    def limit(self) -> None:
        """Put a joined session under the limits of its role and its token's tier."""
        if self._place is None:
            return
        seats = self._place[0]
        limits = seats.limits.of(self._authrole, self._authextra.get("tier"))
        if self.gate is None or self.gate.limits is not limits:
            gate = Gate(limits, self.clock.seconds, seats.count, self._close_for_abuse, self._last_gate)
            self._last_gate = gate
            self._use(gate)

    # With another token

    def take_token(self, extra: dict[str, Any]) -> Refusal | None:
        """Go on with what the authenticator notes of another token, its entitlements and limits.

        Return the limit that leaves no room for one more of its tier; nothing has changed then.
        """
        if self._place is not None:
            seats, seat = self._place
            tier = extra.get("tier")
            wanted = seats.seat(seat.authid, self._authrole, tier, seat.address)
            if wanted != seat:
                seats.leave(seat)
                refusal = seats.full(wanted, seats.limits.of(self._authrole, tier))
                if refusal is not None:
                    seats.enter(seat)
                    return refusal
                seats.enter(wanted)
                self._place = seats, wanted
        # Another object: what was made of the one before is made anew. What Crossbar noted beside stays.
        self._authextra = self._authextra | extra
        self.limit()
        return None

    def end_ungranted(self, announce: bool) -> list[str]:
        """End the subscriptions that the session's token does not cover; return their URIs."""
        router: Any = self._router
        return router.seam.end_ungranted(self, announce) if type(router) is GatewayRouter else []

    # Requests

    def onMessage(self, msg: Any) -> None:
        outlet = getattr(self._transport, "outlet", None)
        if outlet is not None and outlet.given_up and not isinstance(msg, message.Goodbye):
            # It has been told that it is closed, and does nothing more in the second that it may take to go.
            return
        if getattr(msg, "forward_for", None) and not is_peer(self):
            # Whom a call comes from is another router's to say; a client could pass for anybody.
            msg.forward_for = None
        if self._deciding and isinstance(msg, _JOINING):
            raise ProtocolError(f"{type(msg).__name__} while the one before is being decided on")
        gate = self.gate
        if gate is not None and not gate.counted and not gate.take_message() and not self._is_due(msg):
            refusal = gate.refuse("messages_per_s")
            # What is no request, such as AUTHENTICATE, cannot be answered.
            if isinstance(msg, _REQUESTS) and (msg.MESSAGE_TYPE != message.Publish.MESSAGE_TYPE or msg.acknowledge):
                self._transport.send(limit_error(msg, refusal))
            return
        if self._session_id is not None or isinstance(msg, _JOINING):
            super().onMessage(msg)
        elif isinstance(msg, message.Abort):
            # Crossbar does as much, and nothing about others; but what it makes for each refers to itself, and to the session.
            self.onLeave(CloseDetails(msg.reason, msg.message))
            self._previous_session_id = self._pending_session_id = None

    def _is_due(self, msg: Any) -> bool:
        """Tell whether a message is one that is never refused: an answer that somebody waits for, or the session's end."""
        if self._session_id is None:
            return False
        if isinstance(msg, message.Yield) and not msg.progress:
            return is_awaited(self._router, self, msg.request)
        if isinstance(msg, message.Error) and msg.request_type == message.Invocation.MESSAGE_TYPE:
            return is_awaited(self._router, self, msg.request)
        return isinstance(msg, message.Goodbye)

    @staticmethod
    def _not_counted(limit: str) -> None:
        """Take no note of what a connection without a realm is refused: that it is closed for it is counted."""

    def _close_for_abuse(self) -> None:
        self._close_for(CloseReason.LIMIT_EXCEEDED)

    def _close_for(self, reason: CloseReason) -> None:
        if self._transport is not None:
            self._transport.cut(reason)

    # On the way out

    def onLeave(self, details: Any) -> None:
        super().onLeave(details)
        tokens, lifetime = runtime.live_tokens(), self._lifetime
        if tokens is not None and lifetime is not None:
            tokens.left(lifetime.session_id)
            self._lifetime = None
        if self._session_id is None:
            # Crossbar would take an ABORT that comes next for one more leave of the session that has left.
            self._router = None
        if self._place is not None:
            seats, seat = self._place
            seats.leave(seat)
            self._place = None
        if self._was_joined and self._transport is not None:
            # The connection stays, for another join.
            self._was_joined = False
            self._arrive()

    def onClose(self, wasClean: bool) -> None:
        self._set_deadline(None)
        super().onClose(wasClean)
        for gate in (self._arrival, self._last_gate):
            if gate is not None:
                gate.let_go()
