"""A listener's log says that it refuses, and what it came to."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock
from twisted.logger import Logger, formatEvent

from components.router.listeners.listener import HANDSHAKE, MAX_CONNECTIONS_PER_ADDRESS, Listener
from components.router.listeners.settings import ListenerSettings


def test_a_flood_is_a_line_at_its_beginning_and_one_with_its_number_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(Listener, "log", Logger(observer=lambda event: lines.append(formatEvent(event))))
    clock = Clock()
    listener = Listener("public", ListenerSettings(), clock.seconds)
    listener.log_refusals()
    listener.count_refusal(HANDSHAKE)
    for _ in range(1_936):
        listener.count_refusal(MAX_CONNECTIONS_PER_ADDRESS)
    for _ in range(200):
        clock.advance(1)
        listener.log_refusals()
    assert lines == [
        "listener public has refused connections since its start: 1 by handshake",
        (
            "listener public refuses none for now; it has refused connections since its start: "
            "1936 by max_connections_per_address, 1 by handshake"
        ),
    ]
