"""A node's log as JSON: every line is an object, whatever clients say, and no token is in any."""

from __future__ import annotations

import http.client
import json
import signal
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.harness.node import Node
from tests.harness.wire import UPGRADE, Wire

SHORTEST_PART = 12
"""So many characters of a signature are none by chance."""

ALWAYS = ["ts", "level", "worker", "pid", "component", "message"]


def records(node: Node) -> list[dict[str, Any]]:
    return [json.loads(line) for line in node.log.splitlines()]


def whatever(node: Node, *messages: object) -> None:
    with Wire(node) as wire:
        wire.upgrade()
        for message in messages:
            wire.text(json.dumps(message))
        wire.close_frame(1000)
        wire.rest()


def requested(node: Node, path: str, **headers: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=10)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        connection.getresponse().read()
    finally:
        connection.close()


def attacked(node: Node, token: str) -> None:
    """Put a token wherever a client can put one."""
    encoded = token.replace(".", "%2E")
    for path in ("/ws", "/ws/trade", "/api/ticks", "/api/stream", "/nothing"):
        for query in (f"?token={token}", f"?{encoded}=1&token={encoded}", f"/{token}"):
            requested(node, path + query)
    requested(node, "/api/ticks", Authorization=f"Bearer {token}", Cookie=token, Origin=f"https://{token}")
    for head in (
        UPGRADE.replace(b"wamp.2.json", b"bearer." + token.encode()),
        UPGRADE.replace(b"/ws ", b"/ws?token=" + token.encode() + b" "),
        UPGRADE.replace(b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: " + token.encode()),
        UPGRADE.replace(b"Host: x", b"Host: " + token.encode()),
        UPGRADE.replace(b"Host: x", b"Host: x\r\nOrigin: http://" + token.encode()),
        token.encode() + b" / HTTP/1.1\r\n\r\n",
    ):
        with Wire(node) as wire:
            wire.send(head)
            wire.shut()
            wire.rest()
    hello = {"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": "alice"}
    for details in (
        {**hello, "authid": token},
        {**hello, "authrole": token},
        {**hello, "authmethods": [token]},
        {**hello, "authextra": {"ticket": token, token: token}},
        {"roles": {token: {}}},
        hello,
    ):
        whatever(node, [1, "market", details], [5, token, {"token": token}], [6, {"message": token}, token])
    whatever(node, [1, token, hello], [5, token + token, {}], [3, {"message": token}, "a.b"])
    whatever(node, [token], {"token": token})


def attacked_from_within(node: Node, token: str) -> None:
    """Do the same from a session."""
    with Wire(node) as wire:
        wire.upgrade()
        wire.join("alice", token)
        wire.say(48, 1, {}, token, [token])
        wire.say(32, 2, {"match": token}, f"market.{token}")
        wire.say(16, 3, {token: token}, token)
        wire.say(6, {"message": token}, token)
        wire.close_frame(1000, token[:100])
        wire.rest()


def test_every_line_is_an_object_without_a_token(make_node: Callable[..., Node]) -> None:
    node = make_node(command=("crosstick", "node"), CROSSTICK_LOG="json", CROSSTICK_FEED_NAME="feed-1")
    node.start()
    token = node.token("alice")
    forged = token[:-6] + "AAAAAA"
    for each in (token, forged):
        attacked(node, each)
    attacked_from_within(node, token)
    # The log is told once a second how the node stands.
    deadline_s = time.monotonic() + 20
    while "ready: clients are served" not in node.log:
        assert time.monotonic() < deadline_s, node.log
        time.sleep(0.05)
    node.worker("feed").send_signal(signal.SIGKILL)
    assert node.process.wait(20) is not None

    assert signatures_in(node.log, token, forged) == []
    assert node.log.count("<token>") > 5
    lines = records(node)
    for line in lines:
        assert list(line)[: len(ALWAYS)] == ALWAYS
        assert datetime.fromisoformat(line["ts"]).utcoffset() is not None
        assert line["level"] in ("info", "warn", "error", "critical")
    told = {(line["worker"], line["component"].rpartition(".")[2]): line for line in lines}
    assert {"controller", "router", "feed"} == {worker for worker, _ in told}
    leads = told["feed", "Feed"]
    assert (leads["name"], type(leads["epoch"])) == ("feed-1", int)
    [begins] = [line for line in lines if line["message"].startswith("epoch ")]
    assert begins["epoch"] == leads["epoch"]
    refused = [line for line in lines if line["message"].startswith("ticket refused: ")]
    assert {"authid", "peer", "cause"} <= set(refused[0])
    assert {"<token>", "alice"} <= {line["authid"] for line in refused}
    for message, times in (
        ("node starts: Crosstick ", 1),
        ("gateway of realm market is up: bus wamp", 1),
        ("ready: clients are served", 1),
        ("exchange connection live: ", 1),
        ("Node worker feed ended with error", 1),
        ("node has ended", 1),
    ):
        assert sum(line["message"].startswith(message) for line in lines) == times, message


def signatures_in(text: str, *tokens: str) -> list[str]:
    """Return which parts of the tokens' signatures are in a text, and of the parts before them."""
    found = [part for token in tokens for part in token.split(".")[:2] if part in text]
    for token in tokens:
        signature = token.split(".")[2]
        parts = {signature[at : at + SHORTEST_PART] for at in range(len(signature) - SHORTEST_PART + 1)}
        found += [part for part in parts if part in text]
    return found
