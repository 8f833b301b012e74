"""A gatekeeper that starts: what it says while it waits for what is revoked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from autobahn.wamp.types import ComponentConfig
from twisted.internet.defer import Deferred
from twisted.logger import Logger, LogLevel, formatEvent

from components.router.access import gatekeeper as gatekeeper_module
from components.router.access.gatekeeper import Gatekeeper


def test_that_a_realm_is_closed_while_its_worker_starts_is_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[dict[str, Any]] = []
    tokens: Deferred[Any] = Deferred()
    monkeypatch.setattr(gatekeeper_module, "when_tokens_are_known", lambda *_: tokens)
    monkeypatch.setattr(gatekeeper_module, "install_limits", lambda _: None)
    monkeypatch.setattr(Gatekeeper, "life_log", Logger(observer=events.append))
    gatekeeper = Gatekeeper(ComponentConfig("market", {"cbdir": "."}))
    details: Any = SimpleNamespace(realm="market")
    with pytest.raises(StopIteration):
        gatekeeper.onJoin(details).send(None)
    assert [(event["log_level"], formatEvent(event)) for event in events] == [
        (LogLevel.info, "realm market is closed until what is revoked is known")
    ]
