"""The description says what the node does."""

from __future__ import annotations

import json
import re
from typing import Any

from components.core.limits import Limits
from components.core.plain_json import STREAMS
from components.core.topics import STREAMS as STREAMS_OF_SYMBOLS
from components.router.http_api.description import describe
from components.router.http_api.problems import PROBLEMS, ApiError, ProblemDetails, limit_exceeded, unknown_symbol
from components.router.plain.stream import NAMES


def described(limits: Limits = Limits()) -> dict[str, Any]:  # noqa: B008  it cannot change
    document: dict[str, Any] = json.loads(describe(limits))
    return document


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if "$ref" in value else set()
        return own.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def test_every_schema_that_is_referred_to_is_there() -> None:
    document = described()
    schemas = document["components"]["schemas"]
    assert {reference.removeprefix("#/components/schemas/") for reference in references(document)} <= set(schemas)


def test_every_status_of_a_problem_is_described() -> None:
    statuses = {status for path in described()["paths"].values() for status in path["get"]["responses"]}
    # What is not granted looks like what is not there; only the bridge says so.
    assert {str(status.value) for status, _ in PROBLEMS.values()} - {"403"} <= statuses
    kinds = described()["components"]["schemas"]["ProblemDetails"]["properties"]["type"]["enum"]
    assert set(kinds) == set(PROBLEMS) - {"wamp.error.not_authorized"}


def test_every_parameter_of_a_stream_is_described() -> None:
    parameters = described()["paths"]["/api/stream"]["get"]["parameters"]
    assert [parameter["name"] for parameter in parameters] == list(NAMES)


def test_the_streams_of_a_stream_are_those_that_plain_clients_have() -> None:
    parameters = described()["paths"]["/api/stream"]["get"]["parameters"]
    pattern = next(each["schema"]["pattern"] for each in parameters if each["name"] == "streams")
    for name in STREAMS:
        assert re.search(pattern, f"tick,{name}")
    assert re.search(pattern, ",".join(STREAMS))
    assert not re.search(pattern, "tick,")
    assert not re.search(pattern, "trade")


def test_a_symbols_newest_events_are_described_by_their_streams() -> None:
    schemas = described()["components"]["schemas"]
    assert list(schemas["Newest"]["properties"]) == list(STREAMS_OF_SYMBOLS)


def test_the_limits_are_those_of_the_realm() -> None:
    assert described(Limits(calls_per_s=7.0))["x-limits"]["calls_per_s"] == 7.0
    assert described(Limits(calls_per_s=None))["x-limits"]["calls_per_s"] is None


def test_a_problem_has_its_fields_and_no_others() -> None:
    body = json.loads(limit_exceeded("calls_per_s", 20.0, 0.0).body())
    assert body == {
        "type": "crosstick.error.limit_exceeded",
        "title": "Limit exceeded",
        "status": 429,
        "limit": "calls_per_s",
        "value": 20.0,
    }
    fields = set(ProblemDetails.__struct_fields__)
    assert all(set(json.loads(ApiError(uri, "why").body())) <= fields for uri in PROBLEMS)


def test_a_symbol_that_could_be_none_is_not_repeated() -> None:
    assert b"NOPE" in unknown_symbol("NOPE").body()
    assert b"script" not in unknown_symbol("<script>").body()
    assert b"AAAA" not in unknown_symbol("A" * 21).body()
