"""The programs that the documentation shows, run."""

from __future__ import annotations

import os
import sys

import pytest

from tests.clients.command import NODE
from tests.docs.typed import CLIENTS, environ_of, started, wait_for
from tests.harness.documents import block_with
from tests.harness.node import Node


def test_the_python_program_prints_prices(node: Node) -> None:
    program = block_with("lambda tick, missed", "python")
    environ = environ_of(node) | {"CROSSTICK_TOKEN": node.token("alice")}
    with started([sys.executable, "-c", program], environ) as process:
        wait_for(process, r"^\d+\.\d+$")


def test_the_python_program_without_wamp_prints_ticks(node: Node) -> None:
    program = block_with("/ws/trade", "python").replace("ws://127.0.0.1:8080/ws", node.ws_url)
    environ = environ_of(node) | {"CROSSTICK_TOKEN": node.token("alice")}
    with started([sys.executable, "-c", program], environ) as process:
        wait_for(process, r'^\{"symbol":"BTCUSDT","price":')


@pytest.mark.skipif(NODE is None, reason="no node.js on this machine")
def test_the_javascript_programs_print_prices_and_a_services_average(node: Node) -> None:
    # That for who has no WAMP client runs in a browser: tests/clients/test_plain.py.
    subscribe, service = block_with("new autobahn.Connection", "js"), block_with("services.quotes.vwap", "js")
    program = f"""
import autobahn from "autobahn";
import {{ WebSocket }} from "ws";
globalThis.WebSocket ??= WebSocket;
const token = process.env.CROSSTICK_TOKEN;
{subscribe.replace("ws://127.0.0.1:8080/ws", node.ws_url)}
const services = new autobahn.Connection({{
  url: {node.ws_url!r}, realm: "market", authmethods: ["ticket"], authid: "alice", onchallenge: () => token,
}});
services.onopen = (session) => {{
  const print = console.log;
  console.log = (...values) => print("service", ...values);
{service}
}};
setTimeout(() => services.open(), 500);
"""
    environ = environ_of(node)
    quotes = [sys.executable, str(CLIENTS / "service" / "quotes.py")]
    with started(quotes, environ | {"CROSSTICK_TOKEN": node.token("quotes", "service")}) as running:
        wait_for(running, "^live$")
        # Modules are looked up from where the program lies.
        path = CLIENTS / "node" / f"documented-{os.getpid()}.mjs"
        path.write_text(program)
        try:
            environ["CROSSTICK_TOKEN"] = node.token("alice", services=["quotes"])
            with started([str(NODE), str(path)], environ) as process:
                wait_for(process, r"^\d+(\.\d+)?$")
                wait_for(process, r"^service \d+(\.\d+)?$")
        finally:
            path.unlink()
