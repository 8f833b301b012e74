"""Why the gateway closes a session, in the words of WAMP (GOODBYE's reason), of WebSocket (close code) and for people."""

from __future__ import annotations

from enum import Enum

from components.uris import (
    CLOSE_BY_OPERATOR,
    CLOSE_DRAINING,
    CLOSE_LIMIT_EXCEEDED,
    CLOSE_MESSAGE_TIMEOUT,
    CLOSE_NOT_JOINED,
    CLOSE_QUEUE_FULL,
    CLOSE_STALLED,
    CLOSE_TOKEN_EXPIRED,
    CLOSE_TOKEN_REVOKED,
    CLOSE_TOO_MANY_BYTES,
)


class CloseReason(Enum):
    """The URI that a session is told."""

    STALLED = CLOSE_STALLED
    """It did not read what its full buffer held within ``stall_timeout``."""

    QUEUE_FULL = CLOSE_QUEUE_FULL
    """An event had to wait for more than ``hold_ms`` on a topic whose policy is ``disconnect``."""

    TOO_MANY_BYTES = CLOSE_TOO_MANY_BYTES
    """More than ``max_bytes`` waited for it."""

    TOKEN_EXPIRED = CLOSE_TOKEN_EXPIRED
    """Its token's ``exp`` has passed, and the realm's ``expiry_grace`` after it."""

    TOKEN_REVOKED = CLOSE_TOKEN_REVOKED
    """An operator has revoked its token, or all tokens of its ``sub``."""

    LIMIT_EXCEEDED = CLOSE_LIMIT_EXCEEDED
    """It was refused more often than ``refusals_per_s`` and ``refusals_burst`` allow."""

    NOT_JOINED = CLOSE_NOT_JOINED
    """No HELLO within ``hello_timeout``, or no join within ``authenticate_timeout`` of it (ABORT)."""

    MESSAGE_TIMEOUT = CLOSE_MESSAGE_TIMEOUT
    """A message that it had begun was not complete within ``message_timeout``."""

    DRAINING = CLOSE_DRAINING
    """The node leaves: reconnect at once, and a balancer has another node."""

    BY_OPERATOR = CLOSE_BY_OPERATOR
    """An operator has closed it. Its token is as good as before: the client may come back."""


class Ending(Enum):
    """What a connection ends by that the gateway has not closed for a reason."""

    CLIENT = "client"
    """The client, or the network between."""

    PING_FAILURE = "ping_failure"
    """It did not answer a ping in time."""

    PROTOCOL_VIOLATION = "protocol_violation"
    """What came broke WebSocket's or WAMP's rules, or was too long."""

    UNWRITABLE = "unwritable"
    """Writing to it failed."""


EndedBy = CloseReason | Ending
ENDED_BY: tuple[EndedBy, ...] = (*CloseReason, *Ending)


CLOSE_CODES = {
    CloseReason.STALLED: 4001,
    CloseReason.QUEUE_FULL: 4002,
    CloseReason.TOO_MANY_BYTES: 4003,
    CloseReason.TOKEN_EXPIRED: 4004,
    CloseReason.TOKEN_REVOKED: 4005,
    CloseReason.LIMIT_EXCEEDED: 4006,
    CloseReason.NOT_JOINED: 4007,
    CloseReason.MESSAGE_TIMEOUT: 4008,
    CloseReason.DRAINING: 4009,
    CloseReason.BY_OPERATOR: 4012,
}
"""WebSocket close codes, with the URI as their reason. 4010 and 4011 are those of plain connections that cannot join."""

CLOSE_TEXTS = {
    CloseReason.STALLED: "this session did not read for longer than stall_timeout",
    CloseReason.QUEUE_FULL: "an event would have had to wait on a topic whose policy is disconnect",
    CloseReason.TOO_MANY_BYTES: "more than max_bytes waited for this session",
    CloseReason.TOKEN_EXPIRED: "this session's token has expired",
    CloseReason.TOKEN_REVOKED: "this session's token has been revoked",
    CloseReason.LIMIT_EXCEEDED: "this session kept going past its limits",
    CloseReason.NOT_JOINED: "this connection did not join a realm in time",
    CloseReason.MESSAGE_TIMEOUT: "a message was begun and not completed in time",
    CloseReason.DRAINING: "this node leaves: reconnect",
    CloseReason.BY_OPERATOR: "an operator has closed this session",
}
