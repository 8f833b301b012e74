"""A feed whose symbols change while it runs, at the simulated exchange."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from autobahn.wamp import ApplicationError
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred

from components.core.symbol_choice import SymbolChoice
from components.feed import lines
from components.feed.choice_file import ChoiceFile, ChoiceFileError
from components.feed.feed import Feed
from components.feed.upstream import UpstreamRules
from components.free_ports import free_port
from components.router.feed_symbols.ways import MAX_WAITING, FeedsOnKafka, way_to_feeds
from components.settings import BusSettings
from components.simulator import requests
from components.simulator.server import SimulatedExchange
from tests.feed.memory_bus import MemoryBus
from tests.harness.client import until

MakeExchange = Callable[..., Awaitable[SimulatedExchange]]
MakeFeed = Callable[..., tuple[Feed, MemoryBus]]

QUICK = UpstreamRules(message_interval_s=0.22, overlap_min_s=0.1)


def choose(feed: Feed, *symbols: str) -> None:
    feed.choose(SymbolChoice(feed.choice.version + 1, symbols or None, "olga", 5))


def number_of(bus: MemoryBus, symbol: str) -> int:
    """Return how many ticks have been written; many times a second, so payloads are left alone."""
    return sum(topic == f"market.{symbol}" for batch in bus.batches for topic, _, _ in batch.events)


async def more_of(bus: MemoryBus, *symbols: str) -> None:
    """Return when ten more ticks of each have come."""
    for symbol in symbols:
        enough = number_of(bus, symbol) + 10
        await until(reactor, lambda: number_of(bus, symbol) >= enough)  # noqa: B023


def assert_seq_goes_on(bus: MemoryBus) -> None:
    bus.assert_gap_free()
    for topic, ids in bus.ids().items():
        assert ids == sorted(set(ids)), topic


def assert_no_trade_is_missing(bus: MemoryBus, symbol: str) -> None:
    ids = bus.ids()[f"market.{symbol}"]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


def choice_of(feed: Feed) -> dict[str, Any]:
    choice: dict[str, Any] = feed.status()["choice"]
    return choice


@pytest_twisted.ensureDeferred
async def test_what_is_added_comes_what_is_removed_is_silent_and_what_stays_notices_nothing(
    make_exchange: MakeExchange, make_feed: MakeFeed
) -> None:
    exchange = await make_exchange(rate_per_s=4000)
    feed, bus = make_feed(exchange, rules=QUICK)
    await more_of(bus, "BTCUSDT", "ETHUSDT", "SOLUSDT")
    choose(feed, "BTCUSDT", "ETHUSDT", "XRPUSDT")
    assert bus.statuses[-1]["symbols"] == ["BTCUSDT", "ETHUSDT", "XRPUSDT"]
    assert choice_of(feed)["awaited"] == ["XRPUSDT"]
    last_of_sol = number_of(bus, "SOLUSDT")
    await more_of(bus, "XRPUSDT")
    assert number_of(bus, "SOLUSDT") == last_of_sol
    await until(reactor, lambda: not exchange.router.has_listeners("solusdt@trade"))
    # Comes back, to the same connection, while another one is opened.
    next(iter(feed.lines)).rotate()
    choose(feed, "SOLUSDT", "BTCUSDT", "DOGEUSDT")
    await until(reactor, lambda: feed.status()["exchange"]["rotations"] == 1)
    await more_of(bus, "SOLUSDT", "DOGEUSDT", "BTCUSDT")
    assert_seq_goes_on(bus)
    for symbol in ("BTCUSDT", "XRPUSDT", "DOGEUSDT"):
        assert_no_trade_is_missing(bus, symbol)
    counters = feed.status()["counters"]
    assert (counters["gaps"], counters["unknown_symbols"], counters["id_resets"]) == (0, 0, 0)
    assert exchange.counters.connections_made == 2
    assert exchange.counters.policy_closes == 0
    assert {status["state"] for status in bus.statuses if status["counters"]["ticks"]} == {"live"}
    # Made anew, the connection brings what is wanted now, and an older choice changes nothing.
    feed.choose(SymbolChoice(1, ("ETHUSDT",), "olga", 5))
    [client] = exchange._clients
    client.cut()
    await until(reactor, lambda: feed.status()["exchange"]["reconnects"] == 1)
    await more_of(bus, "SOLUSDT", "BTCUSDT")
    choose(feed)
    assert (choice_of(feed)["source"], feed.status()["symbols"]) == (
        "environment",
        ["BTCUSDT", "ETHUSDT", "SOLUSDT"],
    )
    await more_of(bus, "ETHUSDT")
    assert_seq_goes_on(bus)


@pytest_twisted.ensureDeferred
async def test_changes_by_the_dozen_cost_few_messages(make_exchange: MakeExchange, make_feed: MakeFeed) -> None:
    exchange = await make_exchange(rate_per_s=2000)
    feed, bus = make_feed(exchange, rules=QUICK)
    await more_of(bus, "BTCUSDT")
    for number in range(50):
        choose(feed, "BTCUSDT", *(f"NONE{number}{which}" for which in range(300)))
    choose(feed, "BTCUSDT", "XRPUSDT", "ADAUSDT")
    await more_of(bus, "XRPUSDT", "BTCUSDT")
    await until(
        reactor, lambda: sorted(next(iter(exchange._clients)).machine.streams) == sorted(next(iter(feed.lines)).streams)
    )
    assert exchange.counters.policy_closes == 0
    assert_no_trade_is_missing(bus, "BTCUSDT")


@pytest_twisted.ensureDeferred
async def test_connections_come_and_go_with_the_symbols_and_those_that_stay_are_not_touched(
    make_exchange: MakeExchange, make_feed: MakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MAX_STREAMS_PER_CONNECTION", 9)
    exchange = await make_exchange(rate_per_s=4000)
    feed, bus = make_feed(exchange, rules=QUICK)
    await more_of(bus, "BTCUSDT")
    choose(feed, "BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")
    # How the feed stands does not depend on a connection that is not there yet.
    assert feed.ready
    await more_of(bus, "XRPUSDT", "DOGEUSDT")
    assert feed.status()["exchange"]["connections"] == exchange.clients == 2
    # A place is free on the first one.
    choose(feed, "BTCUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT", "ADAUSDT")
    await more_of(bus, "ADAUSDT")
    assert exchange.clients == 2
    # One is enough, and takes over from the other without a hole; what changes meanwhile changes.
    choose(feed, "BTCUSDT", "XRPUSDT")
    await until(reactor, lambda: exchange.clients == 3)
    choose(feed, "BTCUSDT", "XRPUSDT", "LTCUSDT")
    await until(reactor, lambda: exchange.clients == feed.status()["exchange"]["connections"] == 1)
    await more_of(bus, "BTCUSDT", "XRPUSDT", "LTCUSDT")
    assert exchange.counters.connections_made == 3
    assert_seq_goes_on(bus)
    assert_no_trade_is_missing(bus, "BTCUSDT")
    assert_no_trade_is_missing(bus, "XRPUSDT")
    assert (feed.status()["exchange"]["reconnects"], feed.status()["exchange"]["rotations"]) == (0, 1)
    assert {status["state"] for status in bus.statuses if status["counters"]["ticks"]} == {"live"}


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("which", [0, 1])
async def test_a_connection_that_is_lost_while_one_takes_over_from_the_other_doubles_nothing(
    make_exchange: MakeExchange, make_feed: MakeFeed, monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    monkeypatch.setattr(lines, "MAX_STREAMS_PER_CONNECTION", 9)
    exchange = await make_exchange(rate_per_s=4000)
    symbols = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")
    feed, bus = make_feed(exchange, symbols=symbols, rules=UpstreamRules(message_interval_s=0.22, overlap_min_s=0.6))
    await more_of(bus, "BTCUSDT", "DOGEUSDT")
    clients = list(exchange._clients)
    choose(feed, "BTCUSDT", "DOGEUSDT")
    await until(reactor, lambda: exchange.clients == 3)
    clients[which].cut()
    await more_of(bus, "BTCUSDT", "DOGEUSDT")
    await until(reactor, lambda: exchange.clients == feed.status()["exchange"]["connections"] == 1)
    await more_of(bus, "BTCUSDT", "DOGEUSDT")
    assert_seq_goes_on(bus)
    bus.assert_gap_free()


@pytest_twisted.ensureDeferred
async def test_symbols_that_the_exchange_refuses_are_named_and_hurt_no_other(
    make_exchange: MakeExchange, make_feed: MakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = requests._streams

    def refuses_some(params: list[object]) -> tuple[str, ...]:
        if any("bad" in str(stream) for stream in params):
            raise requests.RequestError(2, "Invalid request: unknown symbol")
        return allowed(params)

    monkeypatch.setattr(requests, "_streams", refuses_some)
    exchange = await make_exchange(rate_per_s=4000)
    rules = UpstreamRules(message_interval_s=0.22, params_per_message=9)
    feed, bus = make_feed(exchange, rules=rules, stale_after_s=1)
    await more_of(bus, "BTCUSDT")
    choose(feed, "BTCUSDT", "ETHUSDT", "XRPUSDT", "BAD1USDT", "NONEUSDT", "BAD2USDT")
    rejected = {
        "BAD1USDT": "the exchange refuses it: 2: Invalid request: unknown symbol",
        "BAD2USDT": "the exchange refuses it: 2: Invalid request: unknown symbol",
        "NONEUSDT": "the exchange sends nothing of it",
    }
    await until(reactor, lambda: choice_of(feed)["rejected"] == rejected)
    assert feed.status()["symbols"] == ["BTCUSDT", "ETHUSDT", "XRPUSDT", "NONEUSDT"]
    await more_of(bus, "XRPUSDT", "BTCUSDT")
    assert_no_trade_is_missing(bus, "BTCUSDT")
    # A feed that starts with them goes live all the same.
    symbols = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "ADAUSDT", "BAD1USDT")
    other, _ = make_feed(exchange, symbols=symbols, rules=rules)
    await until(reactor, lambda: other.status()["symbols"] == ["BTCUSDT", "ETHUSDT", "SOLUSDT", "ADAUSDT"])
    assert other.ready
    assert exchange.counters.connections_made == 2
    # Where nothing is left to follow there is no connection, until there is something again.
    choose(other, "BAD1USDT")
    await until(reactor, lambda: other.status()["symbols"] == [])
    assert (other.status()["state"], other.ready) == ("stopped", False)
    await until(reactor, lambda: exchange.clients == 1)
    choose(other, "BTCUSDT")
    await until(reactor, lambda: other.ready)
    assert_seq_goes_on(bus)


@pytest_twisted.ensureDeferred
async def test_symbols_that_are_refused_together_are_each_asked_for_once(
    make_exchange: MakeExchange, make_feed: MakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = requests._streams
    asked: list[str] = []

    def refuses_some(params: list[object]) -> tuple[str, ...]:
        bad = [str(stream) for stream in params if "bad" in str(stream)]
        asked.extend(bad)
        if bad:
            raise requests.RequestError(2, "Invalid request: unknown symbol")
        return allowed(params)

    monkeypatch.setattr(requests, "_streams", refuses_some)
    exchange = await make_exchange(rate_per_s=2000)
    # One symbol to a message, and each is sent before the one before is answered, as by a line that takes long.
    rules = UpstreamRules(message_interval_s=0, params_per_message=3)
    feed, bus = make_feed(exchange, symbols=("BTCUSDT", "BAD1USDT", "BAD2USDT"), rules=rules)
    await until(reactor, lambda: feed.status()["symbols"] == ["BTCUSDT"])
    await more_of(bus, "BTCUSDT")
    assert sorted(asked) == sorted(
        f"{name}@{kind}" for name in ("bad1usdt", "bad2usdt") for kind in ("trade", "bookTicker", "miniTicker")
    )
    assert (exchange.counters.connections_made, feed.status()["exchange"]["reconnects"]) == (1, 0)


@pytest_twisted.ensureDeferred
async def test_a_feed_that_takes_over_goes_on_with_what_was_removed_and_comes_back(
    make_exchange: MakeExchange, make_feed: MakeFeed
) -> None:
    exchange = await make_exchange(rate_per_s=4000)
    one, bus = make_feed(exchange, rules=QUICK)
    await more_of(bus, "BTCUSDT", "ETHUSDT")
    other, _ = make_feed(exchange, bus=bus, rules=QUICK)
    for feed in (one, other):
        choose(feed, "BTCUSDT", "XRPUSDT")
    await more_of(bus, "XRPUSDT")
    await until(reactor, lambda: other.ready)
    bus.give_lead(bus.writers[1])
    choose(other, "BTCUSDT", "XRPUSDT", "ETHUSDT")
    await more_of(bus, "ETHUSDT", "BTCUSDT")
    assert_seq_goes_on(bus)
    assert_no_trade_is_missing(bus, "XRPUSDT")
    assert [feed.status()["counters"]["gaps"] for feed in (one, other)] == [0, 0]


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_done_on_a_bus_says_so_by_its_code() -> None:
    def call(*_arguments: object) -> Any:
        raise ApplicationError("wamp.error.no_such_procedure", "no callee registered")

    ways = {
        "crosstick.error.bus_unavailable": BusSettings("redis", f"redis://127.0.0.1:{free_port()}"),
        "crosstick.error.not_ready": BusSettings(),
    }
    for code, bus in ways.items():
        with pytest.raises(ApplicationError) as raised:
            await way_to_feeds(bus, reactor, call).choose(["BTCUSDT"], "olga", None)
        assert raised.value.error == code


@pytest_twisted.ensureDeferred
async def test_so_many_changes_may_wait_for_a_kafka_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    begun = itertools.count()

    def change(*_arguments: object) -> SymbolChoice:
        next(begun)
        assert answers.wait(20)
        return SymbolChoice(1)

    monkeypatch.setattr("components.bus.kafka.choice.change_choice", change)
    way = FeedsOnKafka(reactor, "kafka://127.0.0.1:9092")
    waiting = [ensureDeferred(way.choose(["BTCUSDT"], "olga", None)) for _ in range(1 + MAX_WAITING)]
    with pytest.raises(ApplicationError, match="4 changes wait for it already") as raised:
        await way.choose(["BTCUSDT"], "olga", None)
    assert raised.value.error == "crosstick.error.bus_unavailable"
    answers.set()
    assert [(await one).version for one in waiting] == [1] * (1 + MAX_WAITING)
    assert next(begun) == 1 + MAX_WAITING
    assert (await way.choose(["BTCUSDT"], "olga", None)).version == 1


def test_a_damaged_file_of_the_choice_is_told_in_a_line(tmp_path: Path) -> None:
    file = ChoiceFile(tmp_path)
    assert file.load().version == 0
    file.path.write_text('{"version":1,"symbols":["BTCUSDT","BTCUSDT"]}')
    with pytest.raises(ChoiceFileError, match=r"symbols.json is damaged \(BTCUSDT is there twice\): restore it"):
        file.load()
    file.path.write_text("")
    with pytest.raises(ChoiceFileError, match="is damaged"):
        file.load()
    file.path.unlink()
    file.path.mkdir()
    with pytest.raises(ChoiceFileError, match="cannot be read: Is a directory"):
        file.load()
