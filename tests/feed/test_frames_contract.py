"""What components/feed/frames.py leans on inside Autobahn. A failure here after an upgrade says what has moved."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest
from autobahn.twisted.websocket import WebSocketAdapterProtocol
from autobahn.util import ObservableMixin
from autobahn.websocket.protocol import WebSocketProtocol


def test_the_version_is_the_one_that_this_was_written_against() -> None:
    assert version("autobahn") == "26.10.2"


@pytest.mark.parametrize(
    ("method", "names"),
    [
        (WebSocketAdapterProtocol.dataReceived, {"_dataReceived"}),
        (WebSocketProtocol._dataReceived, {"data", "consumeData"}),
        (WebSocketProtocol.consumeData, {"processData", "state"}),
        (WebSocketProtocol.processData, {"data", "current_frame", "inside_message"}),
        (
            WebSocketProtocol.onFrameBegin,
            {"inside_message", "trackedTimings"},
        ),
        (WebSocketProtocol.onMessageFrameBegin, {"maxMessagePayloadSize", "maxFramePayloadSize"}),
        (
            WebSocketProtocol.onFrameData,
            {"trafficStats", "incomingOctetsWebSocketLevel", "incomingOctetsAppLevel"},
        ),
        (
            WebSocketProtocol.onFrameEnd,
            {
                "logFrames",
                "autoPingTimeoutCall",
                "autoPingRestartOnAnyTraffic",
                "_cancelAutoPingTimeoutCall",
                "incomingWebSocketFrames",
                "incomingWebSocketMessages",
            },
        ),
        (ObservableMixin.fire, {"_listeners"}),
    ],
)
def test_autobahns_methods_use_what_is_used_here(method: Any, names: set[str]) -> None:
    assert names <= set(method.__code__.co_names)
