"""Every URI and code that leaves the process: topics, procedures, errors, close reasons.

Clients, scripts and tests rely on these strings; none may change its meaning.
"""

# Topics and procedures

MARKET_PREFIX = "market."
"""Ticks are published to ``market.<SYMBOL>``; lower-case names under the prefix are procedures and node-wide topics."""

BOOK_FAMILY = "book"
"""Best bid and ask are published to ``market.<SYMBOL>.book``."""

DAY_FAMILY = "day"
"""Statistics of the last 24 hours are published to ``market.<SYMBOL>.day``."""

RATE_PREFIX = "every_"
"""Ticks at a rate that the client chooses are published to ``market.<SYMBOL>.every_<N>ms`` and ``.every_<N>s``."""

MARKET_SYMBOLS = "market.symbols"
MARKET_SNAPSHOT = "market.snapshot"
MARKET_REPLAY = "market.replay"
MARKET_TIME = "market.time"
MARKET_STATUS = "market.status"
"""Procedure *and* topic: the topic carries the same object whenever the feed's state changes."""

SERVICES_PREFIX = "services."
"""Backend services publish events and register procedures under ``services.<name>.``."""

BUS_PUSH = "crosstick.bus.push"
"""Procedure by which a feed hands one batch to the node's relay (embedded bus)."""

BUS_STATUS = "crosstick.bus.status"
"""Procedure by which a feed tells the relay its state (embedded bus)."""

FEED_CHOOSE = "crosstick.feed.choose"
"""Procedure by which the node's feed is told which symbols an operator wants (embedded bus)."""

LINK_OFFERS = "crosstick.links.offers"
"""Procedure by which a linked router asks which procedures of services are registered here."""

LINK_OFFERED = "crosstick.links.offered"
"""Topic on which a linked router is told of each that comes or goes."""

AUTHORIZE = "crosstick.authorize"
"""Procedure by which Crossbar asks whether a client session may do something."""

AUTH_RENEW = "auth.renew"
"""Procedure of every client realm: go on with another token."""

AUTH_REVOKE = "auth.revoke"
AUTH_REVOCATIONS = "auth.revocations"
AUTH_LIFT = "auth.lift"
"""Operators' procedures in realm ``ops``."""

NODE_DRAIN = "node.drain"
"""Operators' procedure in realm ``ops``: let the node leave."""

NODE_STATUS = "node.status"
NODE_FAULTS = "node.faults"
NODE_SESSIONS = "node.sessions"
NODE_SESSION = "node.session"
NODE_CLOSE = "node.close"
NODE_FOLLOWERS = "node.followers"
"""Operators' procedures in realm ``ops``: how all workers of the node stand, who is there, and to send one away."""

FEED_SYMBOLS = "feed.symbols"
FEED_SET_SYMBOLS = "feed.set_symbols"
FEED_RESET_SYMBOLS = "feed.reset_symbols"
"""Operators' procedures in realm ``ops``: what the feeds follow."""

OPERATORS_REALM = "ops"

SUBSCRIPTION_REVOKED = "wamp.subscription.revoked"
"""Why the router ends a subscription: the session's token does not cover it any more."""

# Errors

ERROR_NO_SUCH_PROCEDURE = "wamp.error.no_such_procedure"
ERROR_AUTHENTICATION_FAILED = "crosstick.error.authentication_failed"
"""The one answer to every ticket that is not accepted, whatever the cause."""

ERROR_INVALID_ARGUMENT = "wamp.error.invalid_argument"
ERROR_INVALID_PAYLOAD = "wamp.error.invalid_payload"
ERROR_INVALID_MESSAGE = "crosstick.error.invalid_message"
"""What a client of the plain JSON protocol sent is no request: no JSON, of no known type, or with what its type has not."""

ERROR_RUNTIME = "wamp.error.runtime_error"
"""What WAMP answers when a procedure failed by a mistake of its own."""

ERROR_LIMIT_EXCEEDED = "crosstick.error.limit_exceeded"
"""A limit of the realm's gatekeeper; kwargs have its name (``limit``) and value (``value``)."""

ERROR_NOT_KEPT = "crosstick.error.not_kept"
"""What an operator asked for (a revocation, its lifting, the feed's symbols) is in force but could not be written down: a
restart would undo it.
"""

ERROR_CHANGED_MEANWHILE = "crosstick.error.changed_meanwhile"
"""What was to be changed is not what the caller knew; kwargs have its ``version``. Nothing has changed."""

ERROR_BUS_UNAVAILABLE = "crosstick.error.bus_unavailable"
"""The bus cannot be reached, or does not take what it should keep. Nothing has changed, as far as is known."""

ERROR_NOT_SUPPORTED = "crosstick.error.not_supported"
"""It cannot be done on this node's bus."""

ERROR_CANCELED = "wamp.error.canceled"
"""A call whose callee, or the link to its node, was lost; WAMP's own for the former."""

ERROR_NO_SUCH_PROCEDURE = "wamp.error.no_such_procedure"
ERROR_NOT_AUTHORIZED = "wamp.error.not_authorized"
ERROR_NOT_FOUND = "crosstick.error.not_found"
ERROR_METHOD_NOT_ALLOWED = "crosstick.error.method_not_allowed"
"""Of HTTP: no such path, and a method that the path does not have."""

ERROR_UNKNOWN_SYMBOL = "crosstick.error.unknown_symbol"
ERROR_NOT_READY = "crosstick.error.not_ready"
ERROR_NO_SUCH_SESSION = "crosstick.error.no_such_session"
"""No worker of the node that answered has the session; kwargs have those that did not (``unanswered``)."""

CLOSE_STALLED = "crosstick.close.stalled"
CLOSE_QUEUE_FULL = "crosstick.close.queue_full"
CLOSE_TOO_MANY_BYTES = "crosstick.close.too_many_bytes"
CLOSE_TOKEN_EXPIRED = "crosstick.close.token_expired"  # noqa: S105  a URI
CLOSE_TOKEN_REVOKED = "crosstick.close.token_revoked"  # noqa: S105  a URI
CLOSE_LIMIT_EXCEEDED = "crosstick.close.limit_exceeded"
CLOSE_NOT_JOINED = "crosstick.close.not_joined"
CLOSE_MESSAGE_TIMEOUT = "crosstick.close.message_timeout"
CLOSE_DRAINING = "crosstick.close.draining"
CLOSE_BY_OPERATOR = "crosstick.close.by_operator"
"""Why a session is closed: GOODBYE's reason; see ``components.core.closing``."""

ERROR_BUS_LOST = "crosstick.error.bus_lost"
"""Why a feed leaves: a batch could not be delivered, and with it the epoch's ``seq`` would have a hole."""

ERROR_FEED_FAILED = "crosstick.error.feed_failed"
"""Why a feed leaves: an error of its own after which it cannot go on."""

ERROR_SIMULATOR_NOT_STARTED = "crosstick.error.simulator_not_started"
"""Why the simulated exchange leaves: its port is taken, or its recording cannot be read."""


def tick_topic(symbol: str) -> str:
    """Return the topic of a symbol's ticks: ``BTCUSDT`` → ``market.BTCUSDT``."""
    return MARKET_PREFIX + symbol


def topic_of(symbol: str, family: str) -> str:
    """Return a topic of a symbol: ``("BTCUSDT", "book")`` → ``market.BTCUSDT.book``; without a family that of its ticks."""
    return f"{MARKET_PREFIX}{symbol}.{family}" if family else tick_topic(symbol)
