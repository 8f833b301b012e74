"""What operators may ask of a node's sessions, and how the answers of its workers become one. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from components.core.paging import CURSOR_PATTERN, cut, read_cursor

MAX_ROWS = 500
"""Of a page of sessions."""

DEFAULT_ROWS = 100
MAX_TEXT_CHARS = 200
MAX_FOLLOWED = 100
"""Symbols whose followers are asked for at once."""

MAX_RECENT = 500
"""Faults that are or were, of all workers together."""

SessionId = Annotated[int, Meta(ge=1, le=2**53)]
Order = Literal["queue_bytes", "blocked_ms", "refusals", "subscriptions", "joined_at", "exp"]


class SessionsQuestion(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What ``node.sessions`` takes."""

    after: Annotated[str, Meta(pattern=CURSOR_PATTERN)] | None = None
    """``next`` of the page before; the other arguments are to be the same as for that one."""

    limit: Annotated[int, Meta(ge=1, le=MAX_ROWS)] = DEFAULT_ROWS
    order: Order = "queue_bytes"
    ascending: bool = False
    """The smallest first, instead of the greatest."""

    authid: Annotated[str, Meta(max_length=MAX_TEXT_CHARS)] | None = None
    """Sessions of this one only."""

    search: Annotated[str, Meta(max_length=MAX_TEXT_CHARS)] | None = None
    """A text, in capital or small letters, in session, authid, role, tier, realm, address or transport."""


class OneSession(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What ``node.session`` takes."""

    session: SessionId


class Closing(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What ``node.close`` takes."""

    session: SessionId
    reason: Annotated[str, Meta(max_length=MAX_TEXT_CHARS)] | None = None
    """For the log; the client is not told."""


class Followed(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What ``node.followers`` takes."""

    symbols: Annotated[
        list[Annotated[str, Meta(pattern=r"^[A-Za-z0-9]{1,20}\Z")]], Meta(min_length=1, max_length=MAX_FOLLOWED)
    ]


def merged_pages(
    question: SessionsQuestion, by_worker: Mapping[str, Mapping[str, Any]], unanswered: Sequence[str]
) -> dict[str, Any]:
    """Return the page of all workers from each answer: ``rows`` with their ``place``, ``next``, ``total``, ``matching``."""
    rows = [
        (
            read_cursor(row["place"]),
            {"worker": worker} | {name: value for name, value in row.items() if name != "place"},
        )
        for worker, page in by_worker.items()
        for row in page["rows"]
    ]
    page, after = cut(rows, question.limit, more=any(page["next"] is not None for page in by_worker.values()))
    return {
        "sessions": [row for _, row in page],
        "next": after,
        "total": sum(page["total"] for page in by_worker.values()),
        "matching": sum(page["matching"] for page in by_worker.values()),
        "unanswered": list(unanswered),
    }


def merged_followers(by_worker: Mapping[str, Mapping[str, int]], unanswered: Sequence[str]) -> dict[str, Any]:
    """Return how many follow each symbol, on all workers together."""
    followers: Counter[str] = Counter()
    for counted in by_worker.values():
        followers.update(counted)
    return {"followers": dict(followers), "unanswered": list(unanswered)}


def merged_faults(by_worker: Mapping[str, Mapping[str, Any]], unanswered: Sequence[str]) -> dict[str, Any]:
    """Return the faults of all workers: what is, by its begin, and what is or was, by its end, the newest first."""

    def together(kind: str) -> list[dict[str, Any]]:
        return [{"worker": worker} | dict(fault) for worker, told in by_worker.items() for fault in told[kind]]

    active = sorted(together("active"), key=lambda fault: -int(fault["since_ms"]))
    recent = sorted(together("recent"), key=lambda fault: -int(fault["until_ms"] or 2**53))
    return {"active": active, "recent": recent[:MAX_RECENT], "unanswered": list(unanswered)}


def merged_status(
    node: Mapping[str, Any], own: str, by_worker: Mapping[str, Mapping[str, Any]], unanswered: Sequence[str]
) -> dict[str, Any]:
    """Return how the node stands: ``node``'s fields, ``own`` worker's view of the feed, and a row for each worker.

    The node is ready when all of its workers are, and have said so.
    """
    workers = [
        {"worker": worker} | {name: value for name, value in told.items() if name != "feed"}
        for worker, told in by_worker.items()
    ]
    return {
        **node,
        "ready": not unanswered and all(told["ready"] for told in by_worker.values()),
        "draining": any(told["draining"] for told in by_worker.values()),
        "answered_by": own,
        "feed": by_worker[own]["feed"],
        "workers": sorted(workers, key=lambda row: str(row["worker"])),
        "unanswered": list(unanswered),
    }
