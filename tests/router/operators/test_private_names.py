"""What operators' answers lean on inside Crossbar and Autobahn. A failure here after an upgrade says what has moved."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from autobahn.wamp.protocol import ApplicationSession
from crossbar.common.process import NativeProcess
from crossbar.router.broker import Broker
from crossbar.router.dealer import Dealer
from crossbar.worker.router import RouterController


@pytest.mark.parametrize(
    ("function", "texts"),
    [
        # The worker's session in the node's own realm, and the names of worker and node.
        (RouterController.start_router_realm, ["rlm = self.router_realm_class(self, "]),
        (
            NativeProcess.__init__,
            [
                "self._node_id = config.extra.node",
                "self._worker_id = config.extra.worker",
                'self._uri_prefix = "crossbar.worker.{}".format(self._worker_id)',
            ],
        ),
        # What a session is subscribed to, and has registered: sets of observations, by session.
        (Broker.attach, ["self._session_to_subscriptions[session] = set()"]),
        (Dealer.attach, ["self._session_to_registrations[session] = set()"]),
        # A call that is cancelled has two answers where they cross, and the second ends the connection.
        (ApplicationSession.call, ["def canceller(d):"]),
    ],
)
def test_it_is_where_it_was(function: Any, texts: list[str]) -> None:
    source = inspect.getsource(function)
    for text in texts:
        assert text in source
