"""Reasons of closing: clients rely on each word and number."""

from __future__ import annotations

from components.core.closing import CLOSE_CODES, CLOSE_TEXTS, CloseReason


def test_each_reason_has_its_uri_and_its_close_code() -> None:
    assert {reason.value: CLOSE_CODES[reason] for reason in CloseReason} == {
        "crosstick.close.stalled": 4001,
        "crosstick.close.queue_full": 4002,
        "crosstick.close.too_many_bytes": 4003,
        "crosstick.close.token_expired": 4004,
        "crosstick.close.token_revoked": 4005,
        "crosstick.close.limit_exceeded": 4006,
        "crosstick.close.not_joined": 4007,
        "crosstick.close.message_timeout": 4008,
        "crosstick.close.draining": 4009,
        "crosstick.close.by_operator": 4012,
    }


def test_each_reason_has_a_text_of_its_own() -> None:
    assert len({CLOSE_TEXTS[reason] for reason in CloseReason}) == len(CloseReason)
