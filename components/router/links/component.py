"""The in-router component that links a router with others: tells them what services have registered here, and answers here
for what is registered there.

Clients' calls are authorised and counted by this router, whose clients they are, before they come here as those of any
procedure; the callee's router takes a peer's word for who calls.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar

from autobahn.wamp import ApplicationError, message
from autobahn.wamp.types import RegisterOptions, SessionDetails
from crossbar.common.twisted.endpoint import create_connecting_endpoint_from_config
from twisted.logger import Logger
from twisted.python.failure import Failure

from components.core.entries import InvalidEntry
from components.core.link_offers import (
    Directory,
    Interest,
    Offered,
    Offers,
    OwnOffers,
    builtins,
    is_service_procedure,
    twin,
)
from components.core.payload import EncodedPayload, is_plain_value
from components.environment import INTERNAL_TOKEN_TTL_S, refuse_to_start
from components.router import runtime
from components.router.component import RouterComponent
from components.router.engine.requests import is_plain_json
from components.router.engine.serializers import WrappingJsonSerializer
from components.router.links.link import Link
from components.router.links.reconciler import Reconciler
from components.router.links.settings import LinkSettings, parse_links
from components.router.seam.gateway_router import let_be_interrupted
from components.router.seam.router_seam import RouterSeam
from components.tokens import LINK_ROLES, TokenAuthority, TokenKeyError, load_link_authority
from components.uris import (
    ERROR_CANCELED,
    ERROR_LIMIT_EXCEEDED,
    LINK_OFFERED,
    LINK_OFFERS,
)

MAX_WAITING_CALLS = 1_000
"""Calls that one peer may owe answers to; what is beyond is refused, so that a peer that is stuck costs a bounded memory."""

_DETAILS = "crosstick_link_details"
[_PEER_ROLE] = LINK_ROLES


class Links(RouterComponent):
    """All links of a router, for one realm."""

    life_log: ClassVar[Logger] = Logger()
    """Not ``log``: that one is Autobahn's, which costs nothing for the debug lines that it writes per message."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        # Here rather than in onJoin: an error of a component's constructor stops the node before its transports listen.
        from twisted.internet import reactor

        self._reactor: Any = reactor
        self._directory_path = str(config.extra["cbdir"])
        try:
            self._settings: LinkSettings = parse_links(config.extra)
            self._authority: TokenAuthority = load_link_authority(
                os.environ, Path(self._directory_path), self._settings.across_nodes
            )
        except (InvalidEntry, TokenKeyError) as error:
            refuse_to_start(str(error))
        self._own = OwnOffers(self._settings.node, secrets.token_urlsafe(12))
        self._directory = Directory()
        self._interest = Interest()
        self._instances: dict[str, str] = {}
        self._links: dict[str, Link] = {}
        self._json = WrappingJsonSerializer()
        self._proxies: Reconciler[Any] = Reconciler(
            self._wants_proxy, self._register_proxy, self._unregister_proxy, self._no_proxy
        )

    async def onJoin(self, details: SessionDetails) -> None:
        try:
            await self._install(details.realm)
        except Exception as error:
            # Crossbar would go on and open the transports.
            self.life_log.failure("the links cannot be installed")
            refuse_to_start(f"the links cannot be installed: {error}")
        for link in self._links.values():
            link.start()
        self.life_log.info("router {node} has {number} peers", node=self._settings.node, number=len(self._links))

    async def _install(self, realm: str) -> None:
        self._seam = RouterSeam.of(self)
        let_be_interrupted(self)
        worker = runtime.current()
        if worker is None:
            raise LookupError("the gateway is not there")
        self._seam.listen(self, self._registrations_changed)
        await self.register(self._tell_offers, LINK_OFFERS)
        worker.link_authority = self._authority
        for name, peer in self._settings.peers.items():
            endpoint = create_connecting_endpoint_from_config(
                peer.endpoint, self._directory_path, self._reactor, self.log
            )
            counters = worker.links[name] = runtime.LinkCounters()
            self._links[name] = Link(self._reactor, realm, self._settings.node, name, endpoint, self, counters)

    def onLeave(self, details: Any) -> None:
        for link in self._links.values():
            link.stop()

    def onUserError(self, fail: Failure, msg: str) -> None:
        """Log what a procedure raised by mistake; what a peer or its callee answered is none."""
        if not isinstance(fail.value, ApplicationError):
            self.life_log.failure(msg, failure=fail)

    # What is told to peers

    def _tell_offers(self) -> dict[str, Any]:
        return builtins(self._own.all())

    def _registrations_changed(self, session: Any, procedure: str, change: int) -> None:
        if not is_service_procedure(procedure):
            return
        if session is self:
            if change < 0:
                # A service here has registered it, or it was unregistered.
                proxy = self._proxies.lost(procedure)
                if proxy is not None:
                    # Autobahn is told next, and then keeps what is no registration any more.
                    self._reactor.callLater(0, self._registrations.pop, proxy.id, None)
            return
        offered = self._own.changed(procedure, change)
        if offered is not None:
            # Crossbar is amid its change, and would undo a registration that is made meanwhile.
            self._reactor.callLater(0, self._tell, offered)

    def _tell(self, offered: Offered) -> None:
        self.publish(LINK_OFFERED, builtins(offered))
        self._proxies.check(offered.procedure)

    # What the seam tells of clients' subscriptions

    def subscribed(self, uri: str, match: str) -> None:
        """Be told that a subscription has its first client."""
        self._interest_changed(uri, 1)

    def unsubscribed(self, uri: str, match: str) -> None:
        """Be told that a subscription has lost its last client."""
        self._interest_changed(uri, -1)

    def _interest_changed(self, uri: str, change: int) -> None:
        prefix = self._interest.changed(uri, change)
        if prefix is not None:
            for link in self._links.values():
                link.follow(prefix)

    # What links ask and tell

    def token(self) -> str:
        """Return a token to join a peer with, just long enough for that."""
        return self._authority.mint(
            sub=self._settings.node,
            role=_PEER_ROLE,
            realm=self.config.realm,
            now_s=int(time.time()),
            ttl_s=INTERNAL_TOKEN_TTL_S,
        )

    def met(self, peer: str, offers: Offers) -> str | None:
        """Return why a peer must not be linked: what it brought would come twice."""
        others = {name: instance for name, instance in self._instances.items() if name != peer}
        other = twin(offers.instance, self._own.instance, others)
        if other is not None:
            return f"its address leads to {other}"
        self._instances[peer] = offers.instance
        return None

    def wanted(self) -> Collection[str]:
        """Return the prefixes of the services whose events are wanted."""
        return self._interest.all()

    def wants(self, prefix: str) -> bool:
        """Tell whether a service's events are wanted."""
        return prefix in self._interest

    def offered(self, peer: str, procedure: str, there: bool) -> None:
        """Be told that a procedure can be called by a link, or no longer."""
        if there:
            self._directory.add(peer, procedure)
        else:
            self._directory.remove(peer, procedure)
        self._proxies.check(procedure)

    def parted(self, peer: str) -> None:
        """Be told that a link is down."""
        self._instances.pop(peer, None)

    def took_event(self, topic: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        """Deliver a service's event to the clients here."""
        if len(arguments) == 1 and not keywords and is_plain_value(arguments[0]):
            payload = EncodedPayload(self._json.serialize([arguments[0]])[1:-1])
            if is_plain_json(payload.json):
                self._seam.publish_from_peer(topic, payload)
                return
        request = self._request_id_gen.next()
        self._transport.send(
            message.Publish(request, topic, args=arguments, kwargs=keywords, exclude_authrole=[_PEER_ROLE])
        )

    # Procedures that peers have

    def _wants_proxy(self, procedure: str) -> bool:
        return procedure in self._directory and procedure not in self._own

    async def _register_proxy(self, procedure: str) -> Any:
        async def call(*arguments: Any, **keywords: Any) -> Any:
            return await self._call(procedure, arguments, keywords, keywords.pop(_DETAILS))

        return await self.register(call, procedure, options=RegisterOptions(details_arg=_DETAILS))

    async def _unregister_proxy(self, _procedure: str, registration: Any) -> None:
        await registration.unregister()

    def _no_proxy(self, procedure: str, error: Exception) -> None:
        self.life_log.error("{procedure} of a peer cannot be called here: {error}", procedure=procedure, error=error)

    async def _call(self, procedure: str, arguments: Any, keywords: Any, details: Any) -> Any:
        peer = self._directory.choose(procedure)
        link = None if peer is None else self._links[peer]
        if link is None or link.session is None:
            raise ApplicationError(ERROR_CANCELED, "the link to the callee's node was lost")
        if link.session.waiting >= MAX_WAITING_CALLS:
            link.counters.refused_calls += 1
            raise ApplicationError(
                ERROR_LIMIT_EXCEEDED,
                f"max_waiting_calls is {MAX_WAITING_CALLS}",
                limit="max_waiting_calls",
                value=MAX_WAITING_CALLS,
            )
        link.counters.calls += 1
        caller = {"session": details.caller, "authid": details.caller_authid, "authrole": details.caller_authrole}
        return await link.session.call_for(caller, procedure, arguments, keywords, details.progress)
