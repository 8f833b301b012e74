"""What operators may ask, and how the answers of several workers become one."""

from __future__ import annotations

from typing import Any

import pytest

from components.core.arguments import InvalidArgument, checked
from components.router.operators.questions import (
    Closing,
    Followed,
    OneSession,
    SessionsQuestion,
    merged_faults,
    merged_followers,
    merged_pages,
    merged_status,
)


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        (SessionsQuestion, {"limit": 0}),
        (SessionsQuestion, {"limit": 501}),
        (SessionsQuestion, {"order": "authid"}),
        (SessionsQuestion, {"after": "5"}),
        (SessionsQuestion, {"after": "5:6; drop"}),
        (SessionsQuestion, {"search": "x" * 201}),
        (SessionsQuestion, {"worker": "router"}),
        (OneSession, {}),
        (OneSession, {"session": "5"}),
        (OneSession, {"session": 0}),
        (OneSession, {"session": 2**53 + 1}),
        (Closing, {"session": 5, "reason": "x" * 201}),
        (Followed, {"symbols": []}),
        (Followed, {"symbols": ["BTC.USDT"]}),
        (Followed, {"symbols": ["A"] * 101}),
    ],
)
def test_what_cannot_be_asked_is_refused(schema: Any, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        checked(schema, (), arguments)


def page(*rows: tuple[int, int], after: str | None = None, total: int = 9) -> dict[str, Any]:
    return {
        "rows": [{"place": f"{-number}:{session}", "session": session} for number, session in rows],
        "next": after,
        "total": total,
        "matching": total,
    }


def test_a_page_of_several_workers_is_in_order_says_whose_each_row_is_and_who_is_silent() -> None:
    by_worker = {"a": page((9, 1), (4, 2), after="-4:2"), "b": page((7, 3), total=1)}
    assert merged_pages(SessionsQuestion(limit=2), by_worker, ["c"]) == {
        "sessions": [{"worker": "a", "session": 1}, {"worker": "b", "session": 3}],
        "next": "-7:3",
        "total": 10,
        "matching": 10,
        "unanswered": ["c"],
    }


def worker(*, ready: bool = True, draining: bool = False) -> dict[str, Any]:
    return {"ready": ready, "draining": draining, "feed": {"state": "live"}}


@pytest.mark.parametrize(
    ("by_worker", "unanswered", "ready"),
    [
        ({"a": worker(), "b": worker()}, [], True),
        ({"a": worker(), "b": worker(ready=False)}, [], False),
        ({"a": worker()}, ["b"], False),
    ],
)
def test_a_node_is_ready_when_all_its_workers_say_so(
    by_worker: dict[str, Any], unanswered: list[str], ready: bool
) -> None:
    status = merged_status({"node": "n"}, "a", by_worker, unanswered)
    assert (status["ready"], status["node"], status["feed"]) == (ready, "n", {"state": "live"})
    assert [row["worker"] for row in status["workers"]] == sorted(by_worker)
    assert all("feed" not in row for row in status["workers"])


def test_what_is_wrong_comes_first_among_the_faults_of_all_workers() -> None:
    over = {"fault": "bus_returned", "since_ms": 1, "until_ms": 50}
    older = {"fault": "feed_lost", "since_ms": 3, "until_ms": 20}
    is_wrong = {"fault": "bus_away", "since_ms": 2, "until_ms": None}
    told = merged_faults(
        {"a": {"active": [], "recent": [over]}, "b": {"active": [is_wrong], "recent": [is_wrong, older]}}, []
    )
    assert told["active"] == [{"worker": "b"} | is_wrong]
    assert [fault["fault"] for fault in told["recent"]] == ["bus_away", "bus_returned", "feed_lost"]


def test_followers_are_added_up() -> None:
    assert merged_followers({"a": {"X": 2, "Y": 0}, "b": {"X": 3, "Y": 0}}, [])["followers"] == {"X": 5, "Y": 0}
