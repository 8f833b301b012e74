"""Whatever a client says wherever it can, the node's log has no line of its making, and stays small."""

from __future__ import annotations

import json
import re
import time

from components.logs.safe_log import LINES_BURST, LINES_PER_S
from tests.harness.node import Node
from tests.harness.wire import UPGRADE, Wire

FORGED = "2026-01-01T00:00:00+0000 [Router          1] FORGED"
HOSTILE = f"x\r\n{FORGED}\x1b[31m\x1b]0;title\x07\x9b2J\u2028\u202e{{0}}{{log_failure}}\x1e" + "y" * 5000
PLAIN_LINE = re.compile(r"^\d{4}-\d\d-\d\dT\S+ \[|^    \| |^\s*$")


def said(wire: Wire, *message: object) -> None:
    wire.text(json.dumps(message))


def test_what_clients_say_is_neither_a_line_of_the_log_nor_obeyed(node: Node) -> None:
    begin = len(node.log)
    hello = {"roles": {"subscriber": {}, "caller": {}}, "authmethods": ["ticket"], "authid": "alice"}
    token = node.token("alice")
    before_joining = [
        [1, "market", {**hello, "authid": HOSTILE}],
        [1, HOSTILE, hello],
        [1, "market", {**hello, "authmethods": [HOSTILE]}],
        [1, "market", {**hello, "authextra": {HOSTILE: HOSTILE}}],
        [1, "market", {**hello, "authrole": HOSTILE}],
        [1, "market", {"roles": {HOSTILE: {}}}],
        [1, "market", {HOSTILE: HOSTILE}],
        [3, {"message": HOSTILE}, "a.b"],
        [3, {}, HOSTILE],
        [HOSTILE],
        {HOSTILE: 1},
        [999, HOSTILE],
    ]
    for message in before_joining:
        with Wire(node) as wire:
            wire.upgrade()
            wire.text(json.dumps(message))
            wire.text(json.dumps([5, HOSTILE, {HOSTILE: HOSTILE}]))
            wire.close_frame(1000)
            wire.rest()
    after_joining = [
        [1, "market", hello],
        [32, 1, {}, HOSTILE],
        [32, 1, {}, "market.\x1b[31m"],
        [32, 1, {"match": HOSTILE}, "market.a"],
        [48, 1, {}, HOSTILE, []],
        [48, 1, {}, "market.snapshot", [[HOSTILE]]],
        [48, 1, {}, "market.symbols", [], {HOSTILE: 1}],
        [16, 1, {HOSTILE: 1}, "market.a"],
        [8, 68, 1, {}, HOSTILE, [HOSTILE]],
        [6, {"message": HOSTILE}, "wamp.close.normal"],
        [6, {}, HOSTILE],
    ]
    for message in after_joining:
        with Wire(node) as wire:
            wire.upgrade()
            wire.join("alice", token)
            wire.text(json.dumps(message))
            wire.close_frame(1000, HOSTILE.encode()[:100].decode("utf-8", "ignore"))
            wire.rest()
    for head in (
        UPGRADE.replace(b"wamp.2.json", HOSTILE.encode()[:300]),
        UPGRADE.replace(b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: \x1b[31m"),
        UPGRADE.replace(b"Host: x", b"Host: \x1b[31m\x07"),
        UPGRADE.replace(b"/ws ", b"/ws?\x1b[31m%0d%0a" + b"z" * 300 + b" "),
        b"\x1b[31m\x07\x00 HTTP/1.1\r\n\r\n",
        b"GET /" + b"\x9b" * 500 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ):
        with Wire(node) as wire:
            wire.send(head)
            wire.shut()
            wire.rest()
    assert node.ready() == (True, [])
    log = node.log[begin:]
    assert not [line for line in log.splitlines() if line.startswith(FORGED[:16])]
    assert all(char.isprintable() or char in "\n" for char in log), sorted({c for c in log if not c.isprintable()})
    assert [line for line in log.split("\n") if not PLAIN_LINE.match(line)] == []
    assert token not in log
    assert 1000 < len(log) < 60_000, len(log)


def test_a_flood_of_violations_is_counted_rather_than_logged(node: Node) -> None:
    begin = len(node.log)
    began_s = time.monotonic()
    for _ in range(150):
        with Wire(node) as wire:
            wire.upgrade()
            wire.text("no json")
            assert wire.close_code() == 1002
    assert node.log[begin:].count("no json") == 0
    at_most = LINES_BURST + LINES_PER_S * (time.monotonic() - began_s) + 1
    assert 0 < node.log[begin:].count("failing WebSocket connection (code=1002)") <= at_most
