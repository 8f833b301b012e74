"""The router with the fan-out put in: the seam's half inside Crossbar's router, broker and dealer.

- ``RouterSeam`` puts the fan-out between a realm's broker and its sessions. Subscriptions stay Crossbar's: its map is
  watched, so authorisation, patterns and the meta API are what they were. A publish takes the fast path only when nothing
  about it is special; all others take Crossbar's, and reach a session behind the events that wait for it. What
  ``get_retained`` brings of the market is sent behind Crossbar's SUBSCRIBED. Calls of the bus: see ``direct_calls``.
- Subscriptions that others have too are made here as ``Broker`` makes them, without the meta events that nobody hears; the
  first and the last of a subscription, and all refusals, are Crossbar's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, ClassVar, Protocol

from autobahn import util
from autobahn.wamp import message
from autobahn.wamp.message import _URI_PAT_LOOSE_NON_EMPTY
from twisted.logger import Logger

from components.core.closing import CloseReason
from components.core.payload import EncodedPayload, is_plain_value
from components.router.access.gate import Gate
from components.router.engine.backlog import MakeCondenser
from components.router.engine.blocked import HoldLimits
from components.router.engine.fanout import MAX_CACHED_TOPICS, FanOut, MadeMs, no_time
from components.router.engine.groups import Subscriber
from components.router.engine.pending import frames_of
from components.router.engine.requests import is_plain_json
from components.router.engine.serializers import WrappingJsonSerializer
from components.router.plain.market import MarketView
from components.router.seam.direct_calls import DirectCalls
from components.router.seam.gateway_router import (
    GatewayBroker,
    GatewayDealer,
    GatewayRouter,
    WatchedRegistrations,
    WatchedSubscriptions,
    full_of_subscriptions,
    is_peer,
)
from components.uris import SUBSCRIPTION_REVOKED

Decide = Callable[[Any, str, str, dict[str, Any]], dict[str, Any] | None]
"""``(session, action, uri, options)`` → Crossbar's authorization, or ``None`` where the role is not ours to decide."""

Retained = Callable[[Any, str, str], Iterable[tuple[str, EncodedPayload]]]
"""``(session, uri, match)`` → the ``(topic, payload)`` that a subscription with ``get_retained`` begins with."""


class SubscriptionListener(Protocol):
    """Who is told which subscriptions clients have; a subscription is a URI with how it matches."""

    def subscribed(self, uri: str, match: str) -> None:
        """Be told that a subscription has its first client."""

    def unsubscribed(self, uri: str, match: str) -> None:
        """Be told that a subscription has lost its last client."""


RegistrationListener = Callable[[Any, str, int], None]
"""``(session, uri, change)``: told that a session has registered a procedure (1) or does not have it any more (-1)."""

META_TOPICS = tuple(
    f"wamp.subscription.{event}" for event in ("on_create", "on_subscribe", "on_unsubscribe", "on_delete")
)


def _topic_of(observation: Any) -> str | None:
    """Return the one topic that a subscription matches, ``None`` for a pattern."""
    topic: str = observation.uri
    return topic if observation.match == message.Subscribe.MATCH_EXACT else None


class RouterSeam:
    """The router of a realm, seen by a component that runs inside it, with the fan-out put in."""

    life_log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        session: Any,
        clock: Any,
        decide: Decide,
        retained: Retained,
        listener: SubscriptionListener,
        condenser: MakeCondenser,
        window_s: float,
        hold: HoldLimits,
    ) -> None:
        """Take the router that ``session``, an in-router component's session, is attached to.

        ``decide`` authorises client roles; ``retained`` returns what ``get_retained`` brings, beside what Crossbar retains;
        for ``condenser``, ``window_s`` and ``hold`` see ``FanOut``.
        """
        router = session._transport._router
        broker = router._broker
        subscriptions = WatchedSubscriptions(broker._subscription_map, self)
        self.decide = decide
        self.direct_calls = DirectCalls(router)
        self.market: MarketView | None = None
        """What plain sessions need to know of the realm's market."""
        self.fanout = FanOut(clock, self._match, self._overflowed, condenser, window_s, hold)
        self._router = router
        self._broker = broker
        self._subscriptions = subscriptions
        self._retained = retained
        self._listeners = [listener]
        self._registration_listener: RegistrationListener = lambda session, uri, change: None
        self._subscribers: dict[Any, Subscriber] = {}
        self._counts: dict[int, int] = {}
        """How many sessions of the fan-out each subscription has."""
        self._other_subscriptions = sum(
            len(observation.observers) for observation in subscriptions._observation_id_to_observation.values()
        )
        """How many subscriptions sessions have that the fan-out does not serve."""
        self._others: dict[str, tuple[Any, ...]] = {}
        """Per topic, the subscriptions with observers that the fan-out does not serve, such as in-router components."""
        self._meta_heard: bool | None = None
        """Whether somebody hears the meta events of subscriptions; ``None`` when it has to be looked up."""
        self._json = WrappingJsonSerializer()
        service = router._realm.session
        if service is not None and len(service._expose_on_sessions) == 1:
            service.publish = partial(self._publish_meta, service.publish)
        router.__class__, router.seam = GatewayRouter, self
        router._dealer.__class__, router._dealer.seam = GatewayDealer, self
        router._dealer._registration_map = WatchedRegistrations(router._dealer._registration_map, self)
        broker.__class__, broker.seam = GatewayBroker, self
        broker._subscription_map = subscriptions

    def auth_extra(self, session_id: int) -> dict[str, Any] | None:
        """Return what the authenticator noted of a session; ``None`` when it has left."""
        session = self._router._session_id_to_session.get(session_id)
        if session is None:
            return None
        return session._authextra or {}

    def followers(self, topic: str) -> int:
        """Return how many sessions are subscribed to a topic itself."""
        observation = self._subscriptions.get_observation(topic, message.Subscribe.MATCH_EXACT)
        return 0 if observation is None else len(observation.observers)

    # Publishing

    def publish(self, topic: str, payload: EncodedPayload) -> None:
        """Deliver a payload to all who are subscribed to a topic."""
        self.fanout.publish(topic, payload)
        self._publish_to_others(topic, payload)

    def publish_batch(self, events: Sequence[tuple[str, EncodedPayload]], made_ms: MadeMs = no_time) -> None:
        """Deliver events that came together, in their order; for ``made_ms`` see ``FanOut.publish_batch``."""
        self.fanout.publish_batch(events, made_ms)
        if self._other_subscriptions:
            for topic, payload in events:
                self._publish_to_others(topic, payload)

    def publish_from_peer(self, topic: str, payload: EncodedPayload) -> None:
        """Deliver what another router has handed over to all but other routers: it goes one hop."""
        self.fanout.publish(topic, payload)
        if self._other_subscriptions:
            self._publish_to_others(topic, payload, to_peers=False)

    def _publish_to_others(self, topic: str, payload: EncodedPayload, to_peers: bool = True) -> None:
        others = self._others.get(topic)
        if others is None:
            if len(self._others) >= MAX_CACHED_TOPICS:
                self._others.clear()
            others = self._others[topic] = tuple(
                observation
                for observation in self._subscriptions.match_observations(topic)
                if any(observer not in self._subscribers for observer in observation.observers)
            )
        for observation in others:
            event = message.Event(
                observation.id,
                util.id(),
                args=[payload.value()],
                topic=topic if observation.match != message.Subscribe.MATCH_EXACT else None,
            )
            for observer in tuple(observation.observers):
                if (
                    observer not in self._subscribers
                    and getattr(observer, "_transport", None) is not None
                    and (to_peers or not is_peer(observer))
                ):
                    self._router.send(observer, event)

    def published_fast(self, session: Any, publish: Any) -> bool:
        """Deliver a PUBLISH that nothing is special about; return whether it was one."""
        if (
            publish.acknowledge
            or publish.retain
            or publish.kwargs
            or publish.payload is not None
            or publish.exclude_me is False
            or publish.exclude
            or publish.exclude_authid
            or publish.exclude_authrole
            or publish.eligible is not None
            or publish.eligible_authid is not None
            or publish.eligible_authrole is not None
            or publish.forward_for
            or publish.transaction_hash
            or not publish.args
            or len(publish.args) != 1
            or not self.plain
        ):
            return False
        if not self.may_publish(session, publish.topic):
            return False
        argument = publish.args[0]
        if not is_plain_value(argument):
            return False
        payload = (
            argument if isinstance(argument, EncodedPayload) else EncodedPayload(self._json.serialize([argument])[1:-1])
        )
        if not is_plain_json(payload.json):
            return False
        self.publish(publish.topic, payload)
        return True

    def _publish_meta(self, publish: Callable[..., Any], topic: str, *arguments: Any, **options: Any) -> Any:
        """Publish an event of the meta API where somebody hears it; most come with each session, and nobody does."""
        if topic.startswith("wamp.") and options.get("options") is None and not self._is_heard(topic):
            return None
        return publish(topic, *arguments, **options)

    # Plain requests: the realm of ``ingress``

    @property
    def plain(self) -> bool:
        """Whether requests may be taken past Crossbar's code: nobody traces them, stores events or has stricter rules."""
        router, broker = self._router, self._broker
        return not (
            router._is_traced or router._trace_traffic or broker._event_store is not None or broker._option_uri_strict
        )

    def subscribe(self, session: Any, topic: str, match: str, get_retained: bool) -> tuple[int, list[bytes]] | None:
        """Make a session a subscriber; return the subscription's id and the frames of the events that it begins with."""
        subscription = self.add_subscriber(session, topic, match, get_retained)
        if subscription is None:
            return None
        self._count("received", "subscribe")
        self._count("sent", "subscribed")
        if not get_retained:
            return subscription, []
        subscriber = self._subscribers[session]
        retained = self.fanout.retained(subscriber, subscription, self._retained(session, topic, match))
        self._count("sent", "event", len(retained))
        return subscription, [frame for frame in frames_of(subscriber.connection.encoding, retained) if frame]

    def unsubscribe(self, session: Any, subscription: int) -> bool:
        """Make a session no subscriber any more."""
        done = self.drop_subscriber(session, subscription)
        if done:
            self._count("received", "unsubscribe")
            self._count("sent", "unsubscribed")
        return done

    # What of Crossbar's broker is done here, for all kinds of transports

    def add_subscriber(self, session: Any, topic: str, match: str, get_retained: bool) -> int | None:
        """Do what ``Broker.processSubscribe`` does for a subscription that others have, where no meta event is due, and
        nothing that Crossbar retains is wanted.

        That the subscription exists says that its URI was checked.
        """
        observation = self._subscriptions.get_observation(topic, match)
        own = self._broker._session_to_subscriptions.get(session)
        if observation is None or own is None or self._meta_is_heard():
            return None
        gate: Gate | None = getattr(session, "gate", None)
        if gate is not None and observation not in own and full_of_subscriptions(gate, own, match):
            return None
        if get_retained and match == message.Subscribe.MATCH_EXACT and observation.extra.retained_events:
            return None
        decision = self.decide(session, "subscribe", topic, {"match": match})
        if decision is None or not decision["allow"]:
            return None
        self._subscriptions.add_observer(session, topic, match)
        own.add(observation)
        observation_id: int = observation.id
        return observation_id

    def drop_subscriber(self, session: Any, subscription: int) -> bool:
        """Do what ``Broker.processUnsubscribe`` does for a subscription that others keep, where no meta event is due."""
        observation = self._subscriptions.get_observation_by_id(subscription)
        if (
            observation is None
            or session not in observation.observers
            or len(observation.observers) == 1
            or self._meta_is_heard()
        ):
            return False
        self._subscriptions.drop_observer(session, observation)
        self._broker._session_to_subscriptions[session].discard(observation)
        return True

    def end_ungranted(self, session: Any, announce: bool) -> list[str]:
        """End the subscriptions that are not granted to a session any more; return their URIs.

        What was published before is delivered first; nothing that is published from here on is. ``announce`` sends an
        UNSUBSCRIBED for each to a session that has announced ``subscription_revocation``. It is no default, since Autobahn for
        Python announces that too, and ends its connection when such a message comes.
        """
        ended = []
        for observation in tuple(self._broker._session_to_subscriptions.get(session, ())):
            decision = self.decide(session, "subscribe", observation.uri, {"match": observation.match})
            if decision is not None and not decision["allow"]:
                if announce:
                    self._broker.removeSubscriber(observation, session, SUBSCRIPTION_REVOKED)
                else:
                    self._broker._unsubscribe(observation, session)
                ended.append(observation.uri)
        return sorted(ended)

    def leave(self, session: Any) -> bool:
        """Do what ``Broker.detach`` does, where no meta event is due; return whether it was done."""
        own = self._broker._session_to_subscriptions.get(session)
        if own is None or not self.plain or self._meta_is_heard():
            return False
        for observation in own:
            _, was_last = self._subscriptions.drop_observer(session, observation)
            if was_last and not observation.extra.retained_events:
                self._subscriptions.delete_observation(observation)
        del self._broker._session_to_subscriptions[session]
        return True

    def may_publish(self, session: Any, topic: str) -> bool:
        """Tell whether a PUBLISH without options may be delivered by the fan-out."""
        decision = self.decide(session, "publish", topic, {})
        if (
            decision is None
            or not decision["allow"]
            or decision.get("disclose")
            # A topic that something was published to has been looked at.
            or not (topic in self._others or _URI_PAT_LOOSE_NON_EMPTY.match(topic))
        ):
            return False
        # The publisher is excluded from its own event.
        own = self._subscribers.get(session)
        return own is None or not any(id_ in own.subscriptions for id_, _ in self._match(topic))

    def may_publish_now(self, session: Any, topic: str) -> bool:
        """Tell whether a PUBLISH without options may be delivered by the fan-out, and count it against the session's rate."""
        if not self.may_publish(session, topic):
            return False
        gate: Gate | None = getattr(session, "gate", None)
        return gate is None or gate.may_publish()

    def publish_all(self, events: Sequence[tuple[str, EncodedPayload]]) -> None:
        """Deliver publications that came in one read, in their order."""
        self._count("received", "publish", len(events))
        self.publish_batch(events)

    def _count(self, direction: str, kind: str, number: int = 1) -> None:
        # As Router.process and Router.send do.
        stats = self._router._message_stats[direction]
        stats[kind] = stats.get(kind, 0) + number

    def _meta_is_heard(self) -> bool:
        """Tell whether somebody is subscribed to the meta events of subscriptions."""
        if self._meta_heard is None:
            self._meta_heard = any(map(self._is_heard, META_TOPICS))
        return self._meta_heard

    def _is_heard(self, topic: str) -> bool:
        return any(observation.observers for observation in self._subscriptions.match_observations(topic))

    # Subscriptions

    def send_retained(self, session: Any, uri: str, match: str) -> None:
        """Send what a subscription begins with to the session that has made it, behind SUBSCRIBED."""
        observation = self._subscriptions.get_observation(uri, match)
        if observation is None or session not in observation.observers:
            # It was refused.
            return
        events = self._retained(session, uri, match)
        subscriber = self._subscribers.get(session)
        if subscriber is not None:
            self.fanout.send_retained(subscriber, observation.id, events)
            return
        for topic, payload in events:
            shown = topic if match != message.Subscribe.MATCH_EXACT else None
            event = message.Event(observation.id, util.id(), args=[payload.value()], topic=shown, retained=True)
            self._router.send(session, event)

    def observer_added(self, observer: Any, observation: Any) -> None:
        """Be told by Crossbar's map that a session has subscribed."""
        self._meta_may_change(observation)
        outlet = getattr(getattr(observer, "_transport", None), "outlet", None)
        # What a link cannot carry must not be merged on the way: a peer that does not read is closed.
        if outlet is None or is_peer(observer):
            self._other_subscriptions += 1
            self._others.clear()
            return
        subscriber = self._subscribers[observer] = outlet.attach(self.fanout)
        self.fanout.subscribed(subscriber, observation.id, observation.match != message.Subscribe.MATCH_EXACT)
        count = self._counts.get(observation.id, 0)
        self._counts[observation.id] = count + 1
        if count == 0:
            self.fanout.subscriptions_changed(_topic_of(observation))
            for listener in self._listeners:
                listener.subscribed(observation.uri, observation.match)

    def observer_dropped(self, observer: Any, observation: Any) -> None:
        """Be told by Crossbar's map that a subscription has ended."""
        self._meta_may_change(observation)
        subscriber = self._subscribers.get(observer)
        if subscriber is None:
            self._other_subscriptions -= 1
            self._others.clear()
            return
        self.fanout.unsubscribed(subscriber, observation.id)
        count = self._counts.pop(observation.id) - 1
        if count:
            self._counts[observation.id] = count
        else:
            self.fanout.subscriptions_changed(_topic_of(observation))
            for listener in self._listeners:
                listener.unsubscribed(observation.uri, observation.match)
        if not subscriber.subscriptions:
            del self._subscribers[observer]

    # Links

    @staticmethod
    def of(session: Any) -> RouterSeam:
        """Return the seam of the realm that an in-router component's session has joined.

        Raises:
            LookupError: the realm's gateway has put none in.
        """
        router = session._transport._router
        if isinstance(router, GatewayRouter):
            return router.seam
        raise LookupError("the realm has no gateway, or it comes later in the configuration")

    def listen(self, subscriptions: SubscriptionListener, registrations: RegistrationListener) -> None:
        """Tell one more which subscriptions clients have from here on, and who has registered what."""
        self.watch_subscriptions(subscriptions)
        self._registration_listener = registrations

    def watch_subscriptions(self, listener: SubscriptionListener) -> None:
        """Tell one more which subscriptions clients have from here on."""
        self._listeners.append(listener)

    def registrations_changed(self, session: Any, registration: Any, change: int) -> None:
        """Be told by Crossbar's map that a session has registered a procedure (1), or does not have it any more (-1)."""
        if registration.match == message.Register.MATCH_EXACT:
            self._registration_listener(session, registration.uri, change)

    def _meta_may_change(self, observation: Any) -> None:
        if observation.match != message.Subscribe.MATCH_EXACT or observation.uri.startswith("wamp."):
            self._meta_heard = None

    def _match(self, topic: str) -> list[tuple[int, bool]]:
        return [
            (observation.id, observation.match != message.Subscribe.MATCH_EXACT)
            for observation in self._subscriptions.match_observations(topic)
            if observation.id in self._counts
        ]

    @staticmethod
    def _overflowed(subscriber: Subscriber, reason: CloseReason) -> None:
        outlet: Any = subscriber.connection
        outlet.cut(reason)
