"""Crossbar's router, broker, dealer and their maps, with what a realm's seam puts in: the seam's part inside them.

See ``seam``. Each asks the seam first, and does what Crossbar's does where that has no answer; what is past a session's limits
is refused here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from autobahn.wamp import message
from autobahn.wamp.exception import ProtocolError
from autobahn.wamp.role import RoleCalleeFeatures
from crossbar.router.broker import Broker
from crossbar.router.dealer import Dealer
from crossbar.router.observation import UriObservationMap
from crossbar.router.router import Router
from crossbar.router.wildcard import WildcardTrieMatcher
from twisted.internet.defer import succeed

from components.core.limits import Refusal
from components.core.topics import is_rate_topic, receives
from components.router.access.gate import Gate
from components.tokens import LINK_ROLES
from components.uris import ERROR_LIMIT_EXCEEDED, ERROR_NO_SUCH_PROCEDURE, SERVICES_PREFIX

if TYPE_CHECKING:
    from components.router.seam.router_seam import RouterSeam


_CHOOSING = ("exclude", "exclude_authid", "exclude_authrole", "eligible", "eligible_authid", "eligible_authrole")
"""The options by which a publisher chooses receivers."""

LINKS_ROLE = "links"
"""The role of the in-router component that answers for what other routers have."""


class _Wildcards(WildcardTrieMatcher):  # type: ignore[misc]
    """Crossbar's wildcard patterns, gone through without a function that refers to itself: that is one for each event."""

    _root: Any

    def iter_matches(self, key: str) -> Iterator[Any]:
        nodes = [self._root]
        for part in key.split("."):
            nodes = [child for node in nodes for name in (part, "") if (child := node.get(name)) is not None]
        return (node.value for node in nodes if hasattr(node, "value"))


class WatchedMap(UriObservationMap):  # type: ignore[misc]
    """A map of Crossbar's whose changes the seam is told."""

    def __init__(self, watched: UriObservationMap, seam: RouterSeam) -> None:
        """Take over what a map holds."""
        super().__init__()
        for name in UriObservationMap.__slots__:
            setattr(self, name, getattr(watched, name))
        self._observations_wildcard.__class__ = _Wildcards
        self.seam = seam


class WatchedRegistrations(WatchedMap):
    """Crossbar's map of registrations."""

    def add_observer(self, observer: Any, *arguments: Any, **options: Any) -> Any:
        added = super().add_observer(observer, *arguments, **options)
        registration, was_already_registered, _ = added
        if not was_already_registered:
            self.seam.registrations_changed(observer, registration, 1)
        return added

    def drop_observer(self, observer: Any, observation: Any) -> Any:
        dropped = super().drop_observer(observer, observation)
        was_registered, _ = dropped
        if was_registered:
            self.seam.registrations_changed(observer, observation, -1)
        return dropped


class WatchedSubscriptions(WatchedMap):
    """Crossbar's map of subscriptions; patterns reach derived topics as ``topics`` says."""

    def match_observations(self, uri: str) -> Any:
        found = super().match_observations(uri)
        if is_rate_topic(uri):
            return [observation for observation in found if receives(observation.uri, observation.match, uri)]
        return found

    def add_observer(self, observer: Any, *arguments: Any, **options: Any) -> Any:
        added = super().add_observer(observer, *arguments, **options)
        observation, was_already_observed, _ = added
        if not was_already_observed:
            self.seam.observer_added(observer, observation)
        return added

    def drop_observer(self, observer: Any, observation: Any) -> Any:
        dropped = super().drop_observer(observer, observation)
        was_observed, _ = dropped
        if was_observed:
            self.seam.observer_dropped(observer, observation)
        return dropped


class GatewayRouter(Router):  # type: ignore[misc]
    """Crossbar's router, which decides on client roles without a call."""

    seam: RouterSeam

    def authorize(self, session: Any, uri: str, action: str, options: dict[str, Any]) -> Any:
        decision = self.seam.decide(session, action, uri, options or {})
        return super().authorize(session, uri, action, options) if decision is None else succeed(decision)


class LimitedBroker(Broker):  # type: ignore[misc]
    """Crossbar's broker, with the limits of sessions."""

    def processPublish(self, session: Any, publish: Any) -> None:
        gate: Gate | None = getattr(session, "gate", None)
        refusal = None if gate is None else gate.publish()
        if refusal is None:
            self.publish_allowed(session, publish)
        elif publish.acknowledge:
            # Who wants no acknowledgement cannot be answered: its client library would take an ERROR for a mistake.
            self._router.send(session, limit_error(publish, refusal))

    def processSubscribe(self, session: Any, subscribe: Any) -> None:
        gate: Gate | None = getattr(session, "gate", None)
        own = self._session_to_subscriptions.get(session, ())
        limit = None if gate is None else full_of_subscriptions(gate, own, subscribe.match)
        if (
            gate is None
            or limit is None
            or self._subscription_map.get_observation(subscribe.topic, subscribe.match) in own
        ):
            super().processSubscribe(session, subscribe)
        else:
            self._router.send(session, limit_error(subscribe, gate.refuse(limit)))

    def publish_allowed(self, session: Any, publish: Any) -> None:
        """Do what Crossbar's ``processPublish`` does."""
        if any(getattr(publish, option) is not None for option in _CHOOSING):
            # Another router does not know whom the publisher has chosen.
            publish.exclude_authrole = [*(publish.exclude_authrole or ()), *LINK_ROLES]
        super().processPublish(session, publish)


class GatewayBroker(LimitedBroker):
    """The broker with the fast path and the retained events of the market."""

    seam: RouterSeam

    def detach(self, session: Any) -> None:
        if not self.seam.leave(session):
            super().detach(session)

    def publish_allowed(self, session: Any, publish: Any) -> None:
        if not self.seam.published_fast(session, publish):
            super().publish_allowed(session, publish)

    def processSubscribe(self, session: Any, subscribe: Any) -> None:
        topic, match, get_retained = subscribe.topic, subscribe.match, bool(subscribe.get_retained)
        made = None
        if self.seam.plain and not subscribe.forward_for:
            made = self.seam.add_subscriber(session, topic, match, get_retained)
        if made is None:
            super().processSubscribe(session, subscribe)
        else:
            self._router.send(session, message.Subscribed(subscribe.request, made))
        if get_retained:
            self.seam.send_retained(session, topic, match)

    def processUnsubscribe(self, session: Any, unsubscribe: Any) -> None:
        if (
            self.seam.plain
            and not unsubscribe.forward_for
            and self.seam.drop_subscriber(session, unsubscribe.subscription)
        ):
            self._router.send(session, message.Unsubscribed(unsubscribe.request))
        else:
            super().processUnsubscribe(session, unsubscribe)


class LimitedDealer(Dealer):  # type: ignore[misc]
    """Crossbar's dealer, with the limits of sessions."""

    def processCall(self, session: Any, call: Any) -> None:
        gate: Gate | None = getattr(session, "gate", None)
        if (session._session_id, call.request) in self._invocations_by_call:
            # Crossbar would lose sight of the one before, and could not let the session go.
            raise ProtocolError(f"CALL with the request id {call.request} of one that has not been answered")
        refusal = None if gate is None else gate.call(len(self._caller_to_invocations.get(session, ())))
        if refusal is None:
            self.call_allowed(session, call)
        else:
            self._router.send(session, limit_error(call, refusal))

    def processRegister(self, session: Any, register: Any) -> None:
        gate: Gate | None = getattr(session, "gate", None)
        if gate is None or gate.room_for_registration(len(self._session_to_registrations.get(session, ()))):
            super().processRegister(session, register)
        else:
            self._router.send(session, limit_error(register, gate.refuse("max_registrations")))

    def call_allowed(self, session: Any, call: Any) -> None:
        """Do what Crossbar's ``processCall`` does."""
        super().processCall(session, call)


class GatewayDealer(LimitedDealer):
    """The dealer which answers some calls without an invocation."""

    seam: RouterSeam

    def processRegister(self, session: Any, register: Any) -> None:
        registration = self._registration_map.get_observation(register.procedure, register.match)
        if self._is_only_linked(registration):
            # What is registered here goes before what another router has.
            register.force_reregister = True
        super().processRegister(session, register)

    def call_allowed(self, session: Any, call: Any) -> None:
        if is_peer(session) and self._is_far(call.procedure):
            # One hop: the peer took this router for the callee's, which it was until a moment ago.
            text = f"no callee is registered for procedure {call.procedure}"
            error = message.Error(message.Call.MESSAGE_TYPE, call.request, ERROR_NO_SUCH_PROCEDURE, args=[text])
            self._router.send(session, error)
        elif not self.seam.direct_calls.answered(session, call):
            super().call_allowed(session, call)

    def _is_far(self, procedure: str) -> bool:
        """Tell whether a procedure is only another router's."""
        return procedure.startswith(SERVICES_PREFIX) and self._is_only_linked(
            self._registration_map.get_observation(procedure, message.Register.MATCH_EXACT)
        )

    @staticmethod
    def _is_only_linked(registration: Any) -> bool:
        return registration is not None and all(callee._authrole == LINKS_ROLE for callee in registration.observers)


def full_of_subscriptions(gate: Gate, own: Collection[Any], match: str) -> str | None:
    """Return the limit that leaves a session with its own subscriptions no room for one more."""
    if not gate.room_for_subscription(len(own)):
        return "max_subscriptions"
    if match == message.Subscribe.MATCH_EXACT:
        return None
    patterns = sum(observation.match != message.Subscribe.MATCH_EXACT for observation in own)
    return None if gate.room_for_pattern(patterns) else "max_pattern_subscriptions"


def install_limits(session: Any) -> None:
    """Let the router of a realm keep its sessions to their limits; ``session`` is that of an in-router component."""
    router = session._transport._router
    for part, limited in ((router._broker, LimitedBroker), (router._dealer, LimitedDealer)):
        # A realm with the fan-out has them already.
        if not isinstance(part, limited):
            part.__class__ = limited


def let_be_interrupted(session: Any) -> None:
    """Let an in-router component's session be told when a call that it answers is cancelled, as a client's is.

    Crossbar takes it for granted that a callee has announced what it can, and hands no INTERRUPT to such a session.
    """
    session._session_roles = {"callee": RoleCalleeFeatures(call_canceling=True)}
    transport = session._transport
    send = transport.send

    def send_also_interrupts(msg: Any) -> None:
        if isinstance(msg, message.Interrupt):
            session.onMessage(msg)
        else:
            send(msg)

    transport.send = send_also_interrupts


def is_peer(session: Any) -> bool:
    """Tell whether a session is that of another router."""
    return getattr(session, "_authrole", None) in LINK_ROLES


def is_awaited(router: Any, session: Any, invocation: int) -> bool:
    """Tell whether a session has been asked for something and has not answered yet."""
    request = router._dealer._invocations.get(invocation)
    return request is not None and request.callee is session


def limit_error(request: Any, refusal: Refusal) -> Any:
    """Return the ERROR by which a request is refused for a limit."""
    limit, value = refusal
    return message.Error(
        request.MESSAGE_TYPE,
        request.request,
        ERROR_LIMIT_EXCEEDED,
        args=[limit_text(refusal)],
        kwargs={"limit": limit, "value": value},
    )


def limit_text(refusal: Refusal) -> str:
    """Return what a client is told of a limit."""
    limit, value = refusal
    return f"{limit} is {int(value) if value == int(value) else value}"
