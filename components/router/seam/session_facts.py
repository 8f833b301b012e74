"""What operators are shown of a client's session, read where Crossbar, Autobahn and the connection keep it.

Of the seam: see ``client_session``. Nothing is counted or kept for this; what a session's place in a listing takes is read
in a microsecond.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from components.router.access.lifetimes import Lifetime
from components.router.engine.outlet import Outlet

MAX_SHOWN_URIS = 200
"""Of a session's subscriptions, and of its registrations."""

_SERIALIZED = ("wamp", "rawsocket")


def _outlet(lifetime: Lifetime) -> Outlet | None:
    outlet: Outlet | None = getattr(lifetime.session._transport, "outlet", None)
    return outlet


def _waiting_bytes(lifetime: Lifetime) -> int:
    size_bytes: int = lifetime.session._transport.waiting().bytes
    return size_bytes


def _blocked_ms(lifetime: Lifetime) -> int:
    outlet = _outlet(lifetime)
    return 0 if outlet is None else int(outlet.blocked_s * 1000)


def _refusals(lifetime: Lifetime) -> int:
    gate = lifetime.session.gate
    return 0 if gate is None or gate.refused is None else sum(gate.refused.values())


def _observations(lifetime: Lifetime) -> Any:
    router = lifetime.session._router
    return () if router is None else router._broker._session_to_subscriptions.get(lifetime.session, ())


def _registrations(lifetime: Lifetime) -> Any:
    router = lifetime.session._router
    return () if router is None else router._dealer._session_to_registrations.get(lifetime.session, ())


ORDERS: dict[str, Callable[[Lifetime], int]] = {
    "queue_bytes": _waiting_bytes,
    "blocked_ms": _blocked_ms,
    "refusals": _refusals,
    "subscriptions": lambda lifetime: len(_observations(lifetime)),
    "joined_at": lambda lifetime: int(lifetime.joined_s * 1000),
    "exp": lambda lifetime: lifetime.exp,
}
"""By what sessions are put in order: whole numbers, in the units of the rows or finer ones."""


def is_there(lifetime: Lifetime) -> bool:
    """Tell whether a session has not left, and still has its connection."""
    return lifetime.session is not None and lifetime.session._transport is not None


def transport_of(lifetime: Lifetime) -> str:
    """Return what a connection speaks: ``wamp.json``, ``wamp.msgpack.batched``, ``rawsocket.cbor``, ``plain``, ``sse``."""
    transport = lifetime.session._transport
    kind = str(transport.kind)
    if kind not in _SERIALIZED:
        return kind
    serializer = transport._serializer._serializer
    return f"{kind}.{serializer.NAME}" + (".batched" if serializer._batched else "")


def text_of(lifetime: Lifetime) -> str:
    """Return what a search of sessions looks through, in small letters."""
    session = lifetime.session
    parts = (
        *(lifetime.session_id, lifetime.sub, session._authrole, session._realm, session._authextra.get("tier") or ""),
        *(session._transport.client_address, transport_of(lifetime)),
    )
    return "\n".join(map(str, parts)).casefold()


def row_of(lifetime: Lifetime) -> dict[str, Any]:
    """Return a session's row: numbers, texts and one object, ``queue``."""
    session = lifetime.session
    transport, outlet = session._transport, _outlet(lifetime)
    listener = transport.listener
    row = {
        "session": lifetime.session_id,
        "authid": lifetime.sub,
        "role": session._authrole,
        "tier": session._authextra.get("tier"),
        "realm": session._realm,
        "address": transport.client_address,
        "listener": None if listener is None else listener.name,
        "transport": transport_of(lifetime),
        "joined_at": int(lifetime.joined_s),
        "exp": lifetime.exp,
        "subscriptions": len(_observations(lifetime)),
        "refusals": _refusals(lifetime),
        "is_closing": outlet is not None and outlet.given_up,
    }
    if outlet is not None:
        waiting = transport.waiting()
        row["queue"] = {
            "entries": waiting.entries,
            "bytes": waiting.bytes,
            "max_bytes": outlet.queue.max_bytes,
            "blocked_ms": _blocked_ms(lifetime),
            "stall_timeout_ms": int(outlet.queue.stall_timeout_s * 1000),
            "times_blocked": outlet.times_blocked,
        }
    return row


def details_of(lifetime: Lifetime) -> dict[str, Any]:
    """Return a session's row, and what its token, its limits and its requests come to."""
    session = lifetime.session
    extra, gate = session._authextra, session.gate
    return row_of(lifetime) | {
        "ends_at": int(lifetime.ends_s),
        "now": int(time.time()),
        "jti": lifetime.jti,
        "iat": lifetime.iat,
        "symbols": extra.get("symbols"),
        "services": extra.get("services"),
        "limits": None if gate is None else msgspec.to_builtins(gate.limits),
        "refused": {} if gate is None else dict(gate.refused or {}),
        "subscribed": _uris(_observations(lifetime)),
        "registrations": len(_registrations(lifetime)),
        "registered": _uris(_registrations(lifetime)),
    }


def _uris(observations: Any) -> list[dict[str, str]]:
    shown = sorted((observation.uri, observation.match) for observation in observations)[:MAX_SHOWN_URIS]
    return [{"uri": uri, "match": match} for uri, match in shown]
