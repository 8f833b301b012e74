"""What a plain client's session asks of its router: SUBSCRIBE, UNSUBSCRIBE and CALL; and what it is sent, as objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autobahn.wamp import message
from msgspec import UNSET

from components.core import plain_json
from components.core.payload import EncodedPayload
from components.core.plain_json import Following, OptionalId
from components.core.topics import symbol_and_family
from components.router.access.gate import Gate
from components.router.plain.connection import Connection
from components.router.plain.replies import Replies
from components.uris import MARKET_STATUS


@dataclass(frozen=True, slots=True)
class Renewed:
    """The session has another token, which may grant more than the one before."""

    request_id: OptionalId
    """Of the client's request."""


class Requests:
    """One per session."""

    def __init__(self, connection: Connection, session: Any, replies: Replies) -> None:
        """Ask on behalf of a session that has joined; what it is sent goes to ``replies``."""
        self.following = Following()
        self._connection = connection
        self._session = session
        self._replies = replies
        self._number = 0
        """Of WAMP's last request."""
        self._subscribes: dict[int, tuple[str, OptionalId]] = {}
        """SUBSCRIBEs without an answer: topic, and the client's request."""
        self._calls: dict[int, tuple[str, OptionalId]] = {}
        """CALLs without a result: the type of the reply, and the client's request. ``max_concurrent_calls`` bounds them."""

    # What the session's limits have room for

    def afford(self, messages: int, subscriptions: int, request_id: OptionalId) -> bool:
        """Tell whether there is room for so many messages and subscriptions more; else say that there is not."""
        gate: Gate | None = self._session.gate
        if gate is None:
            return True
        refusal = None
        if subscriptions > 0 and not gate.room_for_subscription(len(self.following.topics) + subscriptions - 1):
            refusal = gate.refuse("max_subscriptions")
        refusal = refusal or gate.pay(messages)
        if refusal is not None:
            self._replies.say_refused(refusal, request_id)
        return refusal is None

    def afford_call(self, request_id: OptionalId) -> bool:
        """Tell whether there is room for what is as much as a call; else say that there is not."""
        gate: Gate | None = self._session.gate
        refusal = None if gate is None else gate.call(len(self._calls))
        if refusal is not None:
            self._replies.say_refused(refusal, request_id)
        return refusal is None

    # What it is asked for

    def follow(self, topic: str, request_id: OptionalId, *, retained: bool = True) -> None:
        """Subscribe, where the topic is not followed yet; with its last event, if it is to be ``retained``."""
        if self._connection.is_over or topic in self.following.topics:
            return
        realm, session = self._connection.joined()
        self.following.topics[topic] = None
        made = None if realm is None else realm.subscribe(session, topic, message.Subscribe.MATCH_EXACT, retained)
        if made is not None:
            self.following.topics[topic], frames = made
            self._replies.send(frames)
            return
        number = self._next_number()
        self._subscribes[number] = topic, request_id
        self._ask(message.Subscribe(number, topic, get_retained=retained or None))

    def unfollow(self, topic: str) -> None:
        """Unsubscribe, where the topic is followed."""
        subscription = self.following.topics.pop(topic, None)
        if subscription is None or self._connection.is_over:
            return
        realm, session = self._connection.joined()
        if realm is None or not realm.unsubscribe(session, subscription):
            self._ask(message.Unsubscribe(self._next_number(), subscription))

    def call(self, kind: str, request_id: OptionalId, procedure: str, *arguments: Any) -> None:
        """Call a procedure; its answer becomes an object of the type ``kind``."""
        number = self._next_number()
        self._calls[number] = kind, request_id
        self._ask(message.Call(number, procedure, args=list(arguments)))

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _ask(self, request: Any) -> None:
        # Of Crossbar's answer a part may be written past what has been gathered.
        self._replies.flush()
        self._session.onMessage(request)

    # What it is sent

    def told(self, sent: Any) -> Renewed | None:
        """Make an object of what the session is sent, where it is one for the client; return that its token was renewed."""
        if isinstance(sent, message.Result):
            return self._answer(sent)
        if isinstance(sent, message.Error):
            self._answer_error(sent)
        elif isinstance(sent, message.Subscribed):
            topic, _ = self._subscribes.pop(sent.request, ("", UNSET))
            if topic in self.following.topics:
                self.following.topics[topic] = sent.subscription
        elif isinstance(sent, message.Unsubscribed):
            if not sent.request:
                # The session's token does not cover it any more.
                self._forget(sent.subscription)
        elif isinstance(sent, message.Event) and sent.args:
            self._tell(sent.subscription, sent.args[0])
        return None

    def _tell(self, subscription: int, event: Any) -> None:
        if self.following.topics.get(MARKET_STATUS) == subscription:
            if isinstance(event, EncodedPayload):
                self._replies.say(plain_json.status(event.json))
            else:
                self._replies.say(plain_json.typed("status", **event))
        elif isinstance(event, EncodedPayload):
            self._replies.say(event.json)

    def _answer(self, result: Any) -> Renewed | None:
        kind, request_id = self._calls.pop(result.request, ("", UNSET))
        answer = result.args[0] if result.args else None
        if kind == "symbols":
            self._replies.say(plain_json.typed(kind, request_id, symbols=answer))
        elif kind == "status":
            self._replies.say(plain_json.typed(kind, request_id, **(answer or {})))
        elif kind == "renewed" and isinstance(answer, dict):
            ended = [topic for topic in answer["ended"] if topic in self.following.topics]
            for topic in ended:
                del self.following.topics[topic]
            symbols = sorted({symbol_and_family(topic)[0] for topic in ended}) or UNSET
            self._replies.say(plain_json.typed(kind, request_id, expires=answer["exp"], ended=symbols))
            return Renewed(request_id)
        return None

    def _answer_error(self, error: Any) -> None:
        if error.request_type == message.Subscribe.MESSAGE_TYPE:
            topic, request_id = self._subscribes.pop(error.request, ("", UNSET))
            self.following.topics.pop(topic, None)
        elif error.request_type == message.Call.MESSAGE_TYPE:
            _, request_id = self._calls.pop(error.request, ("", UNSET))
        else:
            request_id = UNSET
        text = str(error.args[0]) if error.args else error.error
        said = error.kwargs or {}
        limits = {name: said[name] for name in ("limit", "value") if name in said}
        self._replies.say(plain_json.error(error.error, text, request_id, **limits))

    def _forget(self, subscription: int) -> None:
        topics = self.following.topics
        for topic in [topic for topic, held in topics.items() if held == subscription]:
            del topics[topic]
