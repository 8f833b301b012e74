"""Every ``CROSSTICK_…`` variable of the environment: what it says, and what holds where it is not set.

The reference of the environment is made of this (``make docs``). ``components.settings`` reads and checks them, and what is of
keys ``components.tokens``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable, described in Markdown."""

    default: str
    """What holds without it."""

    meaning: str
    """What it says, with its unit and what it may be."""


OF_NODES = {
    "CROSSTICK_EXCHANGE_URL": Variable(
        "the simulated exchange",
        "`ws://host[:port]` or `wss://host[:port]`, without path. TLS certificates are verified by the system's authorities "
        "(`SSL_CERT_FILE` names others)",
    ),
    "CROSSTICK_SYMBOLS": Variable("121 USDT pairs", "comma-separated, upper case; at most 2,000"),
    "CROSSTICK_TRADE_STREAM": Variable("`trade`", "`trade` or `aggTrade`: what becomes ticks"),
    "CROSSTICK_DAY": Variable(
        "`yes`",
        "`no`: no statistics of 24 hours; let all feeds of a bus have the same (with a recording: where it has them)",
    ),
    "CROSSTICK_STALE_AFTER": Variable(
        "`60`", "seconds of silence, 1 to 86,400, after which a symbol is stale, and is subscribed to anew"
    ),
    "CROSSTICK_BUS": Variable(
        "`wamp`",
        "what carries batches; `wamp` is the bus of one node, a URL of Redis (`redis://…`) or Kafka (`kafka://…`) one of many",
    ),
    "CROSSTICK_FEED_NAME": Variable(
        "host name and process id",
        "which feed this is, in status, logs and metrics: up to 64 letters, digits and `. _ : @ -`",
    ),
    "CROSSTICK_SIMULATOR_PORT": Variable("`9443`", "where the simulated exchange listens"),
    "CROSSTICK_RATE": Variable("`500`", "its trades per second over all symbols, 1 to 50,000"),
    "CROSSTICK_SEED": Variable("`1`", "the seed of its prices"),
    "CROSSTICK_RECORDING": Variable(
        "none",
        "a recording that it plays instead, which may be compressed; symbols and trade stream are then the recording's",
    ),
    "CROSSTICK_RECORDING_SPEED": Variable("`1`", "10 plays ten times faster; 0.001 to 10,000"),
    "CROSSTICK_RECORDING_LOOP": Variable("`yes`", "`no` plays once"),
    "CROSSTICK_TOKEN_KEY_FILE": Variable(
        "none",
        "file with the key of the tickets: an HS256 secret of at least 32 bytes or a private key in PEM, readable by its owner "
        "only, or public keys in PEM",
    ),
    "CROSSTICK_TOKEN_KEY": Variable("none", "an HS256 secret itself"),
    "CROSSTICK_TOKEN_JWKS": Variable(
        "none", "a JWK Set instead: a file, or `https://…` (`http://` on the loopback only)"
    ),
    "CROSSTICK_TOKEN_JWKS_REFRESH": Variable(
        "`300`", "seconds after which the address is asked again, a tenth more or less"
    ),
    "CROSSTICK_TOKEN_AUDIENCE": Variable("`crosstick`", "the `aud` that tickets must carry"),
    "CROSSTICK_TOKEN_ISSUER": Variable("none", "the `iss` that tickets must carry; any or none where it is not set"),
    "CROSSTICK_TOKEN_LEEWAY": Variable("`5`", "seconds, up to 300, that the clocks of node and issuer may be apart"),
    "CROSSTICK_LINK_KEY_FILE": Variable(
        "none",
        "file with the secret, at least 32 bytes, that linked nodes have in common, readable by its owner only",
    ),
    "CROSSTICK_LINK_KEY": Variable("none", "that secret itself"),
    "CROSSTICK_BRIDGE_SECRET_FILE": Variable(
        "none",
        "file with the secret, at least 32 bytes of ASCII, that signed HTTP requests need, readable by its owner only",
    ),
    "CROSSTICK_BRIDGE_SECRET": Variable("none", "that secret itself"),
    "CROSSTICK_LOG": Variable("`text`", "`json`: the log is one JSON object a line"),
    "CROSSTICK_ENV": Variable("`development`", "`production`: the development key is not used"),
}
"""What a node or a feed reads."""

OF_CLIENTS = {
    "CROSSTICK_TOKEN": Variable("none", "the ticket"),
    "CROSSTICK_URL": Variable(
        "`ws://127.0.0.1:8080/ws`",
        "the gateway, or several with commas between (not for `plain.…`, `crosstick symbols` and `crosstick revoke`)",
    ),
}
"""What the clients and operators' commands read; a node started in the same shell passes them over."""

KNOWN_VARIABLES = frozenset(OF_NODES)
CLIENT_VARIABLES = frozenset(OF_CLIENTS)
