"""What to do about each condition, for people: the operators' page shows it, and docs/how-to/monitor.md says the same. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from components.core.faults import Fault

REMEDIES: Mapping[Fault, str] = {
    Fault.BUS_AWAY: (
        "See whether Redis or Kafka runs, and whether this machine reaches it; `/readyz` of gateways and feeds "
        "says what the client of the bus was told. Feeds keep what comes for about a minute, and write again what "
        "the bus had lost."
    ),
    Fault.BUS_AT_RISK: (
        "`degraded` of `/readyz` says which setting: Redis' eviction policy, or topics of Kafka that lose what is "
        "confirmed. Change it before it matters."
    ),
    Fault.FEED_LOST: "If a feed runs, ask its `/readyz`. Clients keep their connections, snapshots and replays meanwhile.",
    Fault.EXCHANGE_UNREACHABLE: (
        "`market.status` and `/readyz` have the last error. A feed tries for ever; where another feed has a "
        "connection, that one leads."
    ),
    Fault.SYMBOLS_STALE: (
        "A symbol that is seldom traded is silent for a while, and the exchange suspends some. Many at once are a "
        "subscription that went silent: the feed asks anew by itself."
    ),
    Fault.GATEWAY_NOT_READY: (
        "`because` of `/readyz` says what it waits for. At a start it is so for some seconds, and is not listed "
        "when those are over."
    ),
    Fault.NODE_DRAINING: (
        "Somebody asked for it: an operator by `node.drain`, or a supervisor by SIGTERM. A balancer sends nobody "
        "there any more."
    ),
    Fault.LINK_DOWN: (
        "If the peer runs, look at both logs: who refuses a link says so, and why. It is tried again within 3 s, "
        "after a refusal within 2 minutes."
    ),
    Fault.CERTIFICATE_STALE: (
        "The log says what is wrong with the files; most often key and certificate do not go together. Put right, "
        "they are taken without a restart."
    ),
    Fault.CERTIFICATE_EXPIRES: "Renew it. Nodes take what is in the files without a restart.",
    Fault.KEYS_STALE: "See whether the JWKS address or file can be read. Tokens of keys that are known go on being accepted.",
    Fault.REALM_CLOSED: (
        "`because` of `/readyz` says which: a realm without a gatekeeper is a mistake in the configuration, "
        "revocations that cannot be read are the trouble of Redis."
    ),
}
"""Each a few sentences; what stands in backticks is a name as machines have it."""
