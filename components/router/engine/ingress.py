"""What a client sends, on its way in: requests about which nothing is special are answered here, all others by Crossbar.

Rules:

- Messages are taken in the order in which they came, and each one here or by Crossbar, never by both.
- The replies of one read are written together, or as soon as they have ``MAX_REPLY_BYTES``. They are written before anything
  is published or handled by Crossbar: an event of a subscription never comes before its SUBSCRIBED. What waits for the
  session is written before the first reply.
- A run of publications is handed to the fan-out together, a few dozen at a time, so that a long one is not sent late.

Knows what a request and a reply are, nothing of Crossbar or of sockets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from components.core.payload import EncodedPayload
from components.router.engine.requests import Publish, RequestCodec, Subscribe, Unsubscribe, is_plain_json

MAX_RUN = 64
"""Publications that are handed over together."""

MAX_REPLY_BYTES = 65_536
"""Replies that are gathered; with more, they are written, and count against a session that does not read them."""


class Realm(Protocol):
    """The realm of a session. Each method answers that the matter is not plain by ``None`` or ``False``, and has then done
    nothing."""

    def subscribe(self, session: Any, topic: str, match: str, get_retained: bool) -> tuple[int, list[bytes]] | None:
        """Add a session to a subscription; return its id and the frames of the events that it begins with."""

    def unsubscribe(self, session: Any, subscription: int) -> bool:
        """Take a session from a subscription."""

    def may_publish_now(self, session: Any, topic: str) -> bool:
        """Tell whether a session may publish to a topic at this moment, and would not get the event itself."""

    def publish_all(self, events: Sequence[tuple[str, EncodedPayload]]) -> None:
        """Publish what ``may_publish_now`` allowed, in order."""


class Connection(Protocol):
    """A client's connection, as far as its messages are concerned."""

    def joined(self) -> tuple[Realm | None, Any]:
        """Return realm and session; no realm where Crossbar is to handle everything."""

    def handle(self, message: bytes) -> None:
        """Have a message handled by Crossbar, unless the connection takes no more."""

    def begin_reply(self) -> None:
        """Send what has to come before a reply."""

    def send_replies(self, frames: list[bytes]) -> None:
        """Send replies, already framed."""


def take(connection: Connection, codec: RequestCodec, messages: Sequence[bytes]) -> None:
    """Handle the messages of one read."""
    realm, session = connection.joined()
    replies: list[bytes] = []
    reply_bytes = 0
    events: list[tuple[str, EncodedPayload]] = []
    for message in messages:
        request = codec.recognise(message) if realm is not None else None
        if realm is not None and request is not None:
            if isinstance(request, Publish):
                argument = bytes(request.arguments[0])
                if is_plain_json(argument) and realm.may_publish_now(session, request.topic):
                    if replies:
                        _send(connection, replies)
                        reply_bytes = 0
                    events.append((request.topic, EncodedPayload(argument)))
                    if len(events) == MAX_RUN:
                        _publish(realm, events)
                    continue
            else:
                if events:
                    _publish(realm, events)
                reply = _subscription_reply(realm, session, codec, request)
                if reply:
                    if not replies:
                        connection.begin_reply()
                    replies += reply
                    reply_bytes += sum(map(len, reply))
                    if reply_bytes >= MAX_REPLY_BYTES:
                        _send(connection, replies)
                        reply_bytes = 0
                        realm, session = connection.joined()
                    continue
        if realm is not None and events:
            _publish(realm, events)
        if replies:
            _send(connection, replies)
            reply_bytes = 0
        connection.handle(message)
        realm, session = connection.joined()
    if realm is not None and events:
        _publish(realm, events)
    if replies:
        _send(connection, replies)


def _subscription_reply(
    realm: Realm, session: Any, codec: RequestCodec, request: Subscribe | Unsubscribe
) -> list[bytes]:
    if isinstance(request, Subscribe):
        options = request.options
        made = realm.subscribe(session, request.topic, options.match, options.get_retained)
        if made is None:
            return []
        subscription, retained = made
        return [codec.subscribed(request.request, subscription), *retained]
    return [codec.unsubscribed(request.request)] if realm.unsubscribe(session, request.subscription) else []


def _publish(realm: Realm, events: list[tuple[str, EncodedPayload]]) -> None:
    realm.publish_all(tuple(events))
    events.clear()


def _send(connection: Connection, replies: list[bytes]) -> None:
    connection.send_replies(list(replies))
    replies.clear()
