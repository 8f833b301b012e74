"""From the exchange to clients through a whole node: every figure, digit for digit, in every serializer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from components.core.recording import read_recording
from components.core.topics import symbol_and_family
from components.settings import RecordingSettings
from components.simulator.server import SimulatedExchange
from tests.clients.command import CLIENTS, NODE, Command
from tests.harness.client import Clients, until
from tests.harness.node import Node

Key = tuple[str, int]


def decimal(number: object) -> Decimal:
    return Decimal(number if isinstance(number, str) else repr(number))


class Seen:
    """What the exchange sent, and what a client made of it, by topic and exchange id."""

    def __init__(self) -> None:
        self.sent: dict[Key, tuple[str, ...]] = {}

    def note(self, stream: str, payload: bytes) -> None:
        data = json.loads(payload)
        symbol, _, kind = stream.partition("@")
        topic = f"market.{symbol.upper()}"
        if kind == "trade":
            self.sent[topic, data["t"]] = (data["p"], data["q"])
        elif kind == "aggTrade":
            self.sent[topic, data["a"]] = (data["p"], data["q"])
        elif kind == "bookTicker":
            self.sent[f"{topic}.book", data["u"]] = (data["b"], data["B"], data["a"], data["A"])
        elif kind == "miniTicker":
            self.sent[f"{topic}.day", data["E"]] = tuple(data[name] for name in "cohlvq")


NAMES = {
    "": ("price", "volume"),
    "book": ("bid", "bid_volume", "ask", "ask_volume"),
    "day": ("last", "open", "high", "low", "volume", "quote_volume"),
}


def digits(topic: str, argument: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(argument[name] for name in NAMES[symbol_and_family(topic)[1]])


def key_of(topic: str, argument: dict[str, Any]) -> Key:
    return topic, int(argument["ts" if topic.endswith(".day") else "id"])


@pytest_twisted.async_yield_fixture
async def commands() -> AsyncIterator[list[Command]]:
    """Return a list for commands that are to have ended at the test's end."""
    started: list[Command] = []
    yield started
    for command in started:
        await command.stop()


@pytest_twisted.ensureDeferred
async def test_clients_of_all_serializers_see_what_the_exchange_sent(
    make_node: Callable[..., Node],
    make_exchange: Callable[..., Awaitable[SimulatedExchange]],
    clients: Clients,
) -> None:
    seen = Seen()
    exchange = await make_exchange(on_frame=seen.note, rate_per_s=300)
    node = make_node(CROSSTICK_EXCHANGE_URL=exchange.url)
    await deferToThread(node.start)
    received = {}
    for serializer in ("json", "msgpack", "cbor"):
        client = await clients.join(node.ws_url, authid="v", ticket=node.token("v"), serializer=serializer)
        received[serializer] = await client.events("market.", "prefix")
    texts = await clients.raw(node.ws_url, node.token("r"), "r", ["market."], match="prefix")

    def all_have_enough() -> bool:
        return min(len(texts), *(len(events) for events in received.values())) > 1000

    await until(reactor, all_have_enough)
    for serializer, events in received.items():
        for topic, argument, _ in events[:1000]:
            if topic != "market.status":
                texts_sent = seen.sent[key_of(topic, argument)]
                # A client's own reader of JSON makes doubles of all numbers, also where no double prints the same.
                expected = tuple(Decimal(repr(float(text)) if serializer == "json" else text) for text in texts_sent)
                assert tuple(map(decimal, digits(topic, argument))) == expected
    for text in texts[:1000]:
        event = json.loads(text, parse_float=str, parse_int=str)
        topic = event[3]["topic"]
        if topic != "market.status":
            assert digits(topic, event[4][0]) == seen.sent[key_of(topic, event[4][0])]


@pytest_twisted.ensureDeferred
async def test_a_recording_of_the_real_exchange_arrives_whole_and_digit_for_digit(
    make_node: Callable[..., Node],
    make_exchange: Callable[..., Awaitable[SimulatedExchange]],
    clients: Clients,
    commands: list[Command],
    recordings: list[Path],
) -> None:
    if NODE is None:
        pytest.skip("no node.js on this machine")
    for number, path in enumerate(recordings):
        expected = Seen()
        symbols = set()
        for frame in read_recording(path):
            symbols.add(frame.stream.partition("@")[0].upper())
            expected.note(frame.stream, frame.payload)
        # The exchange comes up only after the client has subscribed, so that nothing of the recording is over by then.
        exchange = await make_exchange(recording=RecordingSettings(path=path, speed=10.0, loop=False))
        port = int(exchange.url.rpartition(":")[2])
        await exchange.stop()
        node = make_node(
            CROSSTICK_EXCHANGE_URL=f"ws://127.0.0.1:{port}",
            CROSSTICK_SYMBOLS=",".join(sorted(symbols)),
            CROSSTICK_TRADE_STREAM="aggTrade",
        )
        node.spawn()
        await until(reactor, lambda node=node: node.ready()[1][0].startswith("the feed is connecting"), timeout_s=40)
        texts = await clients.raw(node.ws_url, node.token("r"), "r", ["market."], match="prefix")
        program = [str(NODE), str(Path(__file__).with_name("print_events.mjs")), str(CLIENTS / "package.json")]
        javascript = Command(program, url=node.ws_url, token=node.token("js"))
        commands.append(javascript)
        await javascript.until(lambda javascript=javascript: "subscribed" in javascript.printed)
        await make_exchange(port=port, recording=RecordingSettings(path=path, speed=10.0, loop=False))
        got: dict[Key, tuple[str, ...]] = {}

        def all_arrived(texts: list[str] = texts, got: dict[Key, tuple[str, ...]] = got, seen: Seen = expected) -> bool:
            while texts:
                event = json.loads(texts.pop(0), parse_float=str, parse_int=str)
                topic = event[3]["topic"]
                if topic != "market.status":
                    got[key_of(topic, event[4][0])] = digits(topic, event[4][0])
            return len(got) >= len(seen.sent)

        await until(reactor, all_arrived, timeout_s=15)
        assert got == expected.sent, f"recording {number}"

        # JavaScript's numbers: the same decimal values, without trailing zeros.
        def in_javascript(javascript: Command = javascript) -> dict[Key, tuple[Decimal, ...]]:
            events = [json.loads(line) for line in javascript.printed.splitlines() if line.startswith("[")]
            return {
                key_of(topic, argument): tuple(map(decimal, digits(topic, argument)))
                for topic, argument in events
                if topic != "market.status"
            }

        await javascript.until(lambda seen=expected: len(in_javascript()) >= len(seen.sent))
        assert in_javascript() == {key: tuple(map(Decimal, texts)) for key, texts in expected.sent.items()}
