"""A line of the log as JSON: whatever was logged, one object in ASCII, in bounds."""

from __future__ import annotations

import json
import math
from enum import Enum
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from components.core.log_line import MAX_FIELDS, MAX_ITEMS, event_fields, json_log_line

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"


class Reason(Enum):
    STALLED = "crosstick.close.stalled"


def made(message: str = "m", traceback: str = "", **fields: Any) -> dict[str, Any]:
    line = json_log_line(
        time_s=1_800_000_000.0625,
        level="info",
        worker="router",
        pid=7,
        namespace="components.router.gateway.Gateway",
        message=message,
        traceback=traceback,
        fields=fields,
    )
    assert line.isascii()
    assert line.isprintable()
    read: dict[str, Any] = json.loads(line)
    return read


def test_it_says_when_who_and_what_and_then_the_events_own() -> None:
    line = made("session closed", reason=Reason.STALLED, authid="alice", session=5, took_s=0.5, since=None, found=True)
    assert line == {
        "ts": "2027-01-15T08:00:00.062Z",
        "level": "info",
        "worker": "router",
        "pid": 7,
        "component": "router.gateway.Gateway",
        "message": "session closed",
        "reason": "crosstick.close.stalled",
        "authid": "alice",
        "session": 5,
        "took_s": 0.5,
        "since": None,
        "found": True,
    }


def test_an_events_field_does_not_hide_one_of_the_lines_own() -> None:
    line = made(level="grave", pid="x")
    assert (line["level"], line["level_"], line["pid"], line["pid_"]) == ("info", "grave", 7, "x")


def test_a_token_is_in_none_of_it() -> None:
    line = made(TOKEN, f"Traceback\n  {TOKEN}", url=f"/ws?token={TOKEN}", all=[TOKEN], other={"ticket": TOKEN})
    assert "c2lnbmF0dXJl" not in json.dumps(line)
    assert "c2lnbmF0dXJl" not in made(TOKEN.replace(".", "%2E"))["message"]
    assert line["url"] == "/ws?token=<token>"
    assert line["traceback"] == "Traceback\n  <token>"


def test_fields_are_bounded_in_number_and_size() -> None:
    line = made("x" * 10_000, "y" * 100_000, **{f"f{number}": "z" * 10_000 for number in range(100)})
    assert len(line) == 7 + MAX_FIELDS
    assert len(json.dumps(line)) < 15_000
    items = made(many=list(range(1000)))["many"]
    assert items[MAX_ITEMS:] == [f"… ({1000 - MAX_ITEMS} more)"]


def test_what_is_no_number_of_json_is_a_text() -> None:
    assert made(a=math.nan, b=math.inf, c=b"bytes") | {"a": "nan", "b": "inf", "c": "b'bytes'"} == made(
        a=math.nan, b=math.inf, c=b"bytes"
    )


def test_only_what_our_own_log_calls_name_is_a_field() -> None:
    event = {
        "log_namespace": "components.router.relay.Relay",
        "log_level": 1,
        "log_time": 1.0,
        "epoch": 5,
        "failure": 1,
    }
    assert event_fields(event) == {"epoch": 5}
    assert event_fields({**event, "log_namespace": "autobahn.twisted"}) == {}
    assert event_fields({**event, "log_namespace": "components.node_controller.LeavingController"}) == {}


@given(st.text(max_size=50), st.recursive(st.none() | st.floats() | st.text(max_size=20), st.lists, max_leaves=5))
def test_whatever_it_is_the_line_is_one_object(text: str, value: Any) -> None:
    assert set(made(text, text, value=value)) >= {"ts", "message", "value"}
