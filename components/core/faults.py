"""The names of all faults: what can be wrong with a node, how it is in time, and how far it goes. Pure.

Rules:

- A *condition* begins and ends, a *moment* happens; ``FaultLog`` keeps both. What is seen from *outside* alone, such as that a
  process is not there, nobody in it can tell: Prometheus' rules do.
- What all router workers of a node see alike is of the *node*'s reach, and counts as often as the one that has seen most of it;
  what one of them may be alone with is of the *worker*'s, and counts for each.
"""

from __future__ import annotations

from enum import Enum, StrEnum


class FaultKind(Enum):
    """How a fault is in time, and who sees it."""

    CONDITION = "condition"
    MOMENT = "moment"
    OUTSIDE = "outside"


class FaultReach(Enum):
    """How far a fault goes in a node of several router workers, and so how their counts become the node's."""

    NODE = "node"
    """It is outside the workers: in the feed, on the bus, in files. All see the same one; the greatest count is the node's."""

    WORKER = "worker"
    """It is a worker's own, or that of its clients: the node's count is the sum."""


class Fault(StrEnum):
    """The names of all faults: labels of metrics, and what dashboards and alerts show."""

    kind: FaultKind
    reach: FaultReach
    help: str
    """What is so while it is, a sentence."""

    def __new__(cls, value: str, kind: FaultKind, reach: FaultReach, help_text: str) -> Fault:
        """Make a member of its name, its kind, its reach and its sentence."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.kind = kind
        member.reach = reach
        member.help = help_text
        return member

    BUS_AWAY = (
        "bus_away",
        FaultKind.CONDITION,
        FaultReach.NODE,
        "The bus cannot be read or written; prices stand still until it is back.",
    )
    BUS_AT_RISK = (
        "bus_at_risk",
        FaultKind.CONDITION,
        FaultReach.NODE,
        "The bus is set up so that it may lose what it has; nothing is lost yet.",
    )
    FEED_LOST = (
        "feed_lost",
        FaultKind.CONDITION,
        FaultReach.NODE,
        "No feed has been heard for 5 s; prices stand still.",
    )
    EXCHANGE_UNREACHABLE = (
        "exchange_unreachable",
        FaultKind.CONDITION,
        FaultReach.NODE,
        "The feed has no complete connection to the exchange.",
    )
    SYMBOLS_STALE = (
        "symbols_stale",
        FaultKind.CONDITION,
        FaultReach.NODE,
        "Symbols are silent for longer than they should be.",
    )
    GATEWAY_NOT_READY = (
        "gateway_not_ready",
        FaultKind.CONDITION,
        FaultReach.WORKER,
        "The gateway serves no clients; /readyz says why, and balancers send it none.",
    )
    NODE_DRAINING = (
        "node_draining",
        FaultKind.CONDITION,
        FaultReach.NODE,
        "The node leaves: its clients are being sent elsewhere.",
    )
    LINK_DOWN = (
        "link_down",
        FaultKind.CONDITION,
        FaultReach.WORKER,
        "A link to another router is down; its services cannot be reached from here.",
    )
    CERTIFICATE_STALE = (
        "certificate_stale",
        FaultKind.CONDITION,
        FaultReach.NODE,
        "A listener's files hold a certificate that cannot be used; it goes on with the one before.",
    )
    CERTIFICATE_EXPIRES = (
        "certificate_expires",
        FaultKind.CONDITION,
        FaultReach.NODE,
        "A listener's certificate expires within a week, or has.",
    )
    KEYS_STALE = (
        "keys_stale",
        FaultKind.CONDITION,
        FaultReach.NODE,
        "The keys that verify tokens could not be fetched anew for a while, or there are none.",
    )
    REALM_CLOSED = (
        "realm_closed",
        FaultKind.CONDITION,
        FaultReach.NODE,
        "A realm lets nobody in: it has no gatekeeper, or what is revoked is not known.",
    )

    EPOCH_BEGAN = (
        "epoch_began",
        FaultKind.MOMENT,
        FaultReach.NODE,
        "The feed began to count anew; clients cannot tell what they missed.",
    )
    FEED_TOOK_OVER = (
        "feed_took_over",
        FaultKind.MOMENT,
        FaultReach.NODE,
        "Another feed leads; the one before ended, or was cut off.",
    )
    BUS_RETURNED = ("bus_returned", FaultKind.MOMENT, FaultReach.NODE, "The bus was away, and is there again.")
    BATCHES_MISSED = (
        "batches_missed",
        FaultKind.MOMENT,
        FaultReach.WORKER,
        "Batches could no longer be had from the bus; their trades are missing here.",
    )
    TRADES_MISSED = ("trades_missed", FaultKind.MOMENT, FaultReach.NODE, "The exchange made trades that no feed got.")
    EXCHANGE_RECONNECTED = (
        "exchange_reconnected",
        FaultKind.MOMENT,
        FaultReach.NODE,
        "A connection to the exchange was lost and made anew.",
    )
    CLIENTS_CUT = (
        "clients_cut",
        FaultKind.MOMENT,
        FaultReach.WORKER,
        "Clients were closed since they did not read, or kept going past their limits.",
    )
    CLIENTS_VANISHED = (
        "clients_vanished",
        FaultKind.MOMENT,
        FaultReach.WORKER,
        "Clients were dropped since they did not answer pings.",
    )
    CLIENTS_REFUSED = (
        "clients_refused",
        FaultKind.MOMENT,
        FaultReach.WORKER,
        "Connections, joins or requests were refused by limits, many in a second.",
    )
    LOOP_BLOCKED = (
        "loop_blocked",
        FaultKind.MOMENT,
        FaultReach.WORKER,
        "The worker's event loop stood still; all its clients waited for it.",
    )

    GATEWAY_DOWN = (
        "gateway_down",
        FaultKind.OUTSIDE,
        FaultReach.NODE,
        "A gateway does not answer Prometheus: killed, hung or cut off.",
    )
    FEED_DOWN = (
        "feed_down",
        FaultKind.OUTSIDE,
        FaultReach.NODE,
        "A feed does not answer Prometheus: killed, hung or cut off.",
    )
    WORKER_SILENT = (
        "worker_silent",
        FaultKind.OUTSIDE,
        FaultReach.WORKER,
        "A node answers, but one of its router workers does not.",
    )


CONDITIONS = tuple(fault for fault in Fault if fault.kind is FaultKind.CONDITION)
MOMENTS = tuple(fault for fault in Fault if fault.kind is FaultKind.MOMENT)
