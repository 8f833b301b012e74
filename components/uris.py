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
"""The symbols that the token grants."""

MARKET_SNAPSHOT = "market.snapshot"
"""The newest tick and best prices of symbols."""

MARKET_REPLAY = "market.replay"
"""The ticks that followed one."""

MARKET_TIME = "market.time"
"""The gateway's clock."""

MARKET_STATUS = "market.status"
"""How the feed stands. Procedure *and* topic: the topic carries the same object whenever the feed's state changes."""

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
"""Go on with another token; in every client realm."""

AUTH_REVOKE = "auth.revoke"
"""In realm ``ops``: revoke a token, or all tokens of a ``sub``."""

AUTH_REVOCATIONS = "auth.revocations"
"""In realm ``ops``: what is revoked."""

AUTH_LIFT = "auth.lift"
"""In realm ``ops``: take a revocation back."""

NODE_DRAIN = "node.drain"
"""In realm ``ops``: let the node leave."""

NODE_STATUS = "node.status"
"""In realm ``ops``: how all workers of the node stand."""

NODE_FAULTS = "node.faults"
"""In realm ``ops``: what is wrong with the node, and what went wrong lately."""

NODE_SESSIONS = "node.sessions"
"""In realm ``ops``: who is there, a page at a time."""

NODE_SESSION = "node.session"
"""In realm ``ops``: all that is known of one session."""

NODE_CLOSE = "node.close"
"""In realm ``ops``: send one session away."""

NODE_FOLLOWERS = "node.followers"
"""In realm ``ops``: how many sessions follow each of some symbols."""

FEED_SYMBOLS = "feed.symbols"
"""In realm ``ops``: which symbols the feeds follow, and who has chosen them."""

FEED_SET_SYMBOLS = "feed.set_symbols"
"""In realm ``ops``: let the feeds follow these symbols, and no others."""

FEED_RESET_SYMBOLS = "feed.reset_symbols"
"""In realm ``ops``: let each feed follow what its environment says."""

OPERATORS_REALM = "ops"

SUBSCRIPTION_REVOKED = "wamp.subscription.revoked"
"""Why the router ends a subscription: the session's token does not cover it any more."""

# Errors

ERROR_AUTHENTICATION_FAILED = "crosstick.error.authentication_failed"
"""The one answer to every ticket that is not accepted, be it forged, expired or for another realm or role (ABORT)."""

ERROR_NO_AUTH_METHOD = "wamp.error.no_auth_method"
"""WAMP's own: a join without a ticket, anonymous ones above all (ABORT)."""

ERROR_NOT_AUTHORIZED = "wamp.error.not_authorized"
"""The role or the token does not grant this."""

ERROR_UNKNOWN_SYMBOL = "crosstick.error.unknown_symbol"
"""No such symbol, or not one that the token grants; of several it names the first, and the whole request is refused."""

ERROR_INVALID_ARGUMENT = "wamp.error.invalid_argument"
"""An argument of the wrong type or size; the message names it, its rule and what came."""

ERROR_INVALID_PAYLOAD = "wamp.error.invalid_payload"
"""A call's result cannot be sent to this session, since it has what is no text in its serialization."""

ERROR_LIMIT_EXCEEDED = "crosstick.error.limit_exceeded"
"""A limit; kwargs have its name (``limit``) and value (``value``)."""

ERROR_NOT_READY = "crosstick.error.not_ready"
"""The feed has not reported its symbols yet; of a replay also: the gateway still reads the bus's history; at a join (ABORT):
the realm has no gatekeeper, or none yet."""

ERROR_NO_SUCH_PROCEDURE = "wamp.error.no_such_procedure"
"""WAMP's own: nobody has registered the procedure, or its callee is gone."""

ERROR_CANCELED = "wamp.error.canceled"
"""A call whose callee, or the link to its node, was lost; WAMP's own for the former."""

ERROR_RUNTIME = "wamp.error.runtime_error"
"""WAMP's own: a procedure failed by a mistake of its own, which is in its log."""

ERROR_NOT_KEPT = "crosstick.error.not_kept"
"""For operators: what was asked for (a revocation, its lifting, the feed's symbols) is in force but could not be written down:
a restart would undo it."""

ERROR_NO_SUCH_SESSION = "crosstick.error.no_such_session"
"""For operators: no worker of the node that answered has the session; kwargs have those that did not (``unanswered``)."""

ERROR_CHANGED_MEANWHILE = "crosstick.error.changed_meanwhile"
"""For operators: what was to be changed is not what the caller knew; kwargs have its ``version``. Nothing has changed."""

ERROR_BUS_UNAVAILABLE = "crosstick.error.bus_unavailable"
"""For operators: the bus cannot be reached, or does not take what it should keep. Nothing has changed, as far as is known."""

ERROR_INVALID_MESSAGE = "crosstick.error.invalid_message"
"""Plain JSON only: a message that is no request, be it no JSON, of no known type, or with what its type has not."""

ERROR_NOT_FOUND = "crosstick.error.not_found"
"""HTTP only: no such path."""

ERROR_METHOD_NOT_ALLOWED = "crosstick.error.method_not_allowed"
"""HTTP only: a method that the path does not have."""

ERROR_BUS_LOST = "crosstick.error.bus_lost"
"""In the node's log: the feed leaves, since a batch could not be delivered, and the epoch's ``seq`` would have a hole."""

ERROR_FEED_FAILED = "crosstick.error.feed_failed"
"""In the node's log: the feed leaves, after an error of its own."""

ERROR_SIMULATOR_NOT_STARTED = "crosstick.error.simulator_not_started"
"""In the node's log: the simulated exchange leaves, since its port is taken, or its recording cannot be read."""

# Why a session is closed: GOODBYE's reason; see ``components.core.closing``.

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


def tick_topic(symbol: str) -> str:
    """Return the topic of a symbol's ticks: ``BTCUSDT`` → ``market.BTCUSDT``."""
    return MARKET_PREFIX + symbol


def topic_of(symbol: str, family: str) -> str:
    """Return a topic of a symbol: ``("BTCUSDT", "book")`` → ``market.BTCUSDT.book``; without a family that of its ticks."""
    return f"{MARKET_PREFIX}{symbol}.{family}" if family else tick_topic(symbol)
