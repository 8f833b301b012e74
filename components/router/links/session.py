"""A router's session at another one: joins as its peer, calls procedures there for clients here, follows services there.

What a call carries is passed on as it is: a client may name its keyword arguments as it likes, so Autobahn's ``call`` and
``register``, which take arguments of their own, are passed by.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import txaio
from autobahn.twisted.wamp import ApplicationSession
from autobahn.wamp import ApplicationError, message
from autobahn.wamp.exception import TransportLost
from autobahn.wamp.request import CallRequest
from autobahn.wamp.types import CallOptions, Challenge, CloseDetails, ComponentConfig, SessionDetails, SubscribeOptions
from twisted.internet.defer import CancelledError, Deferred

from components.core.link_offers import Offered, Offers, read_offered, read_offers
from components.uris import ERROR_CANCELED, LINK_OFFERED, LINK_OFFERS

OnEvent = Callable[[str, tuple[Any, ...], dict[str, Any]], None]
"""Takes topic, arguments and keyword arguments."""


class LinkRefused(Exception):
    """The peer does not let this router join; the text is its reason's URI."""


class LinkLost(Exception):
    """The connection ended; the text says how."""


class PeerSession(ApplicationSession):  # type: ignore[misc]  # Autobahn ships no types
    """One connection's session; what the peer sends is told to the functions that it is made with."""

    def __init__(
        self, realm: str, name: str, token: Callable[[], str], on_offered: Callable[[Offered], None], on_event: OnEvent
    ) -> None:
        super().__init__(ComponentConfig(realm=realm))
        self.joined: Deferred[None] = Deferred()
        """Fails with ``LinkRefused`` or ``LinkLost``."""
        self.lost: Deferred[str] = Deferred()
        """Fires when a session that has joined is over, with why."""
        self.waiting = 0
        """Calls that have not been answered."""
        self._name = name
        self._token = token
        self._on_offered = on_offered
        self._on_event = on_event
        self._over = False

    def onConnect(self) -> None:
        self.join(self.config.realm, ["ticket"], self._name)

    def onChallenge(self, challenge: Challenge) -> str:
        return self._token()

    def onMessage(self, msg: Any) -> None:
        is_answer = isinstance(msg, message.Result) or (
            isinstance(msg, message.Error) and msg.request_type == message.Call.MESSAGE_TYPE
        )
        if is_answer and msg.request not in self._call_reqs:
            # A call that was cancelled while its callee answered has two answers; Autobahn would end the link for it.
            return
        super().onMessage(msg)

    def onJoin(self, details: SessionDetails) -> None:
        if not self.joined.called:
            self.joined.callback(None)

    def onLeave(self, details: CloseDetails) -> None:
        if not self.joined.called:
            self.joined.errback(LinkRefused(details.reason))
        else:
            self.end(details.reason)
        self._errback_outstanding_requests(TransportLost())
        self.disconnect()

    def onDisconnect(self) -> None:
        self.end("the connection was lost")
        self._errback_outstanding_requests(TransportLost())

    def end(self, because: str) -> None:
        """Be over; more than once is no more than once."""
        if not self.joined.called:
            self.joined.errback(LinkLost(because))
        elif not self._over:
            self._over = True
            self.lost.callback(because)

    async def offers(self) -> Offers:
        """Return what services have registered at the peer; changes from here on are told.

        Raises:
            ValueError: the peer told something else.
        """
        await self.subscribe(self._take_offered, LINK_OFFERED)
        return read_offers(await self.call(LINK_OFFERS))

    def _take_offered(self, told: Any) -> None:
        try:
            self._on_offered(read_offered(told))
        except ValueError as error:
            # What the peer has is not known any more; it is asked anew after the next join.
            self.end(f"the peer told what is no offer: {error}")
            self.disconnect()

    async def follow(self, prefix: str) -> Any:
        """Subscribe to all that a service publishes at the peer; return the subscription."""

        def take(*arguments: Any, **keywords: Any) -> None:
            details = keywords.pop(_DETAILS)
            self._on_event(details.topic, arguments, keywords)

        return await self.subscribe(take, prefix, options=SubscribeOptions(match="prefix", details_arg=_DETAILS))

    async def call_for(
        self, caller: dict[str, Any], procedure: str, arguments: Any, keywords: Any, on_progress: Any
    ) -> Any:
        """Call a procedure at the peer for a client here: ``caller`` has its ``session``, ``authid`` and ``authrole``.

        Raises:
            ApplicationError: as the callee answered, or that the link was lost.
        """
        if self._over or not self._transport:
            raise ApplicationError(ERROR_CANCELED, _LOST)
        options = CallOptions(forward_for=[caller], on_progress=on_progress)
        request = self._request_id_gen.next()

        def cancel(_: Any) -> None:
            if self._transport:
                self._transport.send(message.Cancel(request))

        reply: Deferred[Any] = txaio.create_future(canceller=cancel)
        self._call_reqs[request] = CallRequest(request, procedure, reply, options)
        try:
            self._transport.send(
                message.Call(request, procedure, args=arguments, kwargs=keywords, **options.message_attr())
            )
        except Exception:
            del self._call_reqs[request]
            raise
        self.waiting += 1
        try:
            return await reply
        except CancelledError as error:
            # The client has cancelled it, or has gone; the peer has been told.
            raise ApplicationError(ERROR_CANCELED) from error
        except TransportLost as error:
            raise ApplicationError(ERROR_CANCELED, _LOST) from error
        except ApplicationError as error:
            if error.error.startswith("wamp.close."):
                # Autobahn's word for a session that ended meanwhile.
                raise ApplicationError(ERROR_CANCELED, _LOST) from error
            raise
        finally:
            self.waiting -= 1


_DETAILS = "crosstick_link_details"
_LOST = "the link to the callee's node was lost"
PeerSession.log = txaio.make_logger(level="warn")
