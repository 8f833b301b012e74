"""What the service behind a key may ask for."""

from __future__ import annotations

from typing import Any

import pytest

from components.core.entries import InvalidEntry
from components.router.bridge.requests import Action, bridge_grants, check_request
from components.router.http_api.problems import ApiError
from components.uris import ERROR_INVALID_ARGUMENT, ERROR_NOT_AUTHORIZED

GRANTS = bridge_grants("quotes", ("other",))


@pytest.mark.parametrize(
    ("action", "event"),
    [
        ("publish", {"topic": "services.quotes.a"}),
        ("publish", {"topic": "services.quotes.a.b", "args": [1], "kwargs": {"a": 2}}),
        ("call", {"procedure": "services.quotes.a"}),
        ("call", {"procedure": "services.other.a", "args": []}),
    ],
)
def test_it_publishes_below_its_own_name_and_calls_itself_and_those_that_are_named(
    action: Action, event: dict[str, Any]
) -> None:
    check_request(event, action, GRANTS)


@pytest.mark.parametrize(
    ("action", "uri"),
    [
        ("publish", "market.BTCUSDT"),
        ("publish", "market.status"),
        ("publish", "services.other.a"),
        ("publish", "services.quotes"),
        ("publish", "services.quotes."),
        ("publish", "services.quotesX.a"),
        ("publish", "services..a"),
        ("publish", "wamp.session.on_join"),
        ("call", "market.snapshot"),
        ("call", "auth.renew"),
        ("call", "crosstick.bus.push"),
        ("call", "services.third.a"),
        ("call", "wamp.session.kill"),
        ("call", ""),
    ],
)
def test_nothing_else_is_granted(action: Action, uri: str) -> None:
    with pytest.raises(ApiError) as caught:
        check_request({"topic" if action == "publish" else "procedure": uri}, action, GRANTS)
    assert (caught.value.uri, caught.value.status) == (ERROR_NOT_AUTHORIZED, 403)


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"topic": 1},
        {"topic": ["services.quotes.a"]},
        {"procedure": "services.quotes.a"},
        {"topic": "services.quotes.a", "args": {}},
        {"topic": "services.quotes.a", "args": "abc"},
        {"topic": "services.quotes.a", "kwargs": []},
        {"topic": "services.quotes.a", "kwargs": {"options": {}}},
        {"topic": "services.quotes.a", "options": {"retain": True}},
    ],
)
def test_what_is_no_request_is_an_invalid_argument(event: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as caught:
        check_request(event, "publish", GRANTS)
    assert caught.value.uri == ERROR_INVALID_ARGUMENT


def test_a_field_that_there_is_not_is_named() -> None:
    with pytest.raises(ApiError) as caught:
        check_request({"topic": "services.quotes.a", "retain": True}, "publish", GRANTS)
    assert caught.value.detail == "unknown field retain; known are topic, args, kwargs"


@pytest.mark.parametrize("name", ["", "a.b", "a b", "ü", "*"])
def test_a_service_has_a_name(name: str) -> None:
    with pytest.raises(InvalidEntry, match=r"bridge\.service"):
        bridge_grants(name, ())
