"""A gatekeeper's limits: what the configuration may say, and which limit a session has."""

from __future__ import annotations

from typing import Any

import pytest

from components.core.entries import InvalidEntry
from components.core.limits import Limits, RealmLimits


def test_what_is_left_out_has_its_default() -> None:
    limits = RealmLimits.from_mapping({"max_sessions": 3}).of("viewer", None)
    assert limits.max_sessions == 3
    assert limits.max_subscriptions == Limits().max_subscriptions


def test_null_is_no_limit() -> None:
    assert RealmLimits.from_mapping({"publishes_per_s": None}).of("viewer", None).publishes_per_s is None


def test_a_tiers_limit_goes_before_its_roles_and_that_before_the_realms() -> None:
    realm = RealmLimits.from_mapping(
        {
            "max_subscriptions": 1,
            "max_registrations": 1,
            "calls_burst": 1,
            "roles": {"service": {"max_registrations": 2, "calls_burst": 2}},
            "tiers": {"gold": {"calls_burst": 3}},
        }
    )
    limits = realm.of("service", "gold")
    assert (limits.max_subscriptions, limits.max_registrations, limits.calls_burst) == (1, 2, 3)
    assert realm.of("viewer", "gold").max_registrations == 1


def test_a_role_or_tier_that_is_not_configured_has_the_realms_limits() -> None:
    realm = RealmLimits.from_mapping({"max_subscriptions": 7, "tiers": {"gold": {"max_subscriptions": 9}}})
    assert realm.of("viewer", "platinum") == realm.of(None, None) == realm.base


def test_sessions_with_the_same_role_and_tier_share_one_object() -> None:
    realm = RealmLimits.from_mapping({"tiers": {"gold": {}}})
    assert realm.of("viewer", "gold") is realm.of("service", "gold")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"max_session": 1}, "limits has an unknown key 'max_session'; known are max_sessions, "),
        ({"max_sessions": -1}, "limits.max_sessions: expected `int` >= 1, was -1"),
        ({"max_sessions": "many"}, "limits.max_sessions: expected `int | null`, got `str`, was 'many'"),
        ({"max_sessions": True}, "limits.max_sessions: expected `int | null`, got `bool`, was True"),
        ({"messages_per_s": 0}, "limits.messages_per_s: expected `float` > 0"),
        ({"messages_per_s": float("nan")}, "limits.messages_per_s: expected `float` "),
        ({"messages_burst": None}, "limits.messages_burst: expected `int`, got `null`, was None"),
        ({"max_message_bytes": 10}, "limits.max_message_bytes: expected `int` >= 1024, was 10"),
        ({"expiry_grace": -1}, "limits.expiry_grace: expected `float` >= 0"),
        ({"authenticate_timeout": 0}, "limits.authenticate_timeout: expected `float` > 0"),
        ({"roles": {"admin": {}}}, "limits.roles has an unknown role 'admin'; known are service, viewer"),
        ({"roles": {"viewer": {"max_session": 1}}}, "limits.roles.viewer has an unknown key 'max_session'"),
        ({"tiers": {"gold": {"calls_burst": 0}}}, "limits.tiers.gold.calls_burst: expected `int` >= 1, was 0"),
        ({"tiers": {"gold": 1}}, "limits.tiers.gold must be a mapping, was 1"),
        ({"tiers": []}, "limits.tiers must be a mapping, was []"),
        ([], "limits must be a mapping, was []"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(values: Any, reason: str) -> None:
    with pytest.raises(InvalidEntry) as refusal:
        RealmLimits.from_mapping(values, {"viewer", "service"})
    assert str(refusal.value).startswith(reason)
    assert "\n" not in str(refusal.value)


def test_the_values_of_a_configuration_are_whole_numbers_or_numbers() -> None:
    assert RealmLimits.from_mapping({"messages_per_s": 5}).of(None, None).messages_per_s == 5


def test_sessions_need_not_outlive_their_tokens() -> None:
    assert RealmLimits.from_mapping({"expiry_grace": 0}).expiry_grace_s == 0
