"""The simulated exchange over real sockets; its time is a clock of the test's own wherever time matters."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.task import Clock, deferLater

from components.settings import RecordingSettings, SimulatorSettings
from components.simulator.faults import Fault, FaultKind
from components.simulator.listener import ExchangeStartError
from components.simulator.protocol import ConnectionRules
from components.simulator.server import ROUND_S, SimulatedExchange
from tests.simulator.client import PATIENCE_S, connect

START_S = 1_700_000_000.0
SETTINGS = SimulatorSettings(host="127.0.0.1", port=0, rate_per_s=1000, seed=1, recording=None)
CAPTURES = Path(__file__).resolve().parents[2].parent / "shared" / "data"


class Bench:
    """Exchanges under test, on one clock."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(START_S)
        self.sent: list[tuple[str, bytes]] = []
        self.exchanges: list[SimulatedExchange] = []

    async def start(self, settings: SimulatorSettings = SETTINGS, **options: Any) -> SimulatedExchange:
        def keep(stream: str, payload: bytes) -> None:
            self.sent.append((stream, payload))

        exchange = SimulatedExchange(reactor, settings, clock=self.clock, on_frame=keep, **options)
        self.exchanges.append(exchange)
        await exchange.start()
        return exchange

    def run(self, seconds: float) -> None:
        """Let the exchange's time pass in rounds of 100 ms."""
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    for exchange in made.exchanges:
        pytest_twisted.blockon(ensureDeferred(exchange.stop()))
        assert exchange.clients == 0
    assert made.clock.getDelayedCalls() == []


def subscribe(*streams: str, number: int = 1) -> dict[str, object]:
    return {"method": "SUBSCRIBE", "params": list(streams), "id": number}


async def until(condition: Any) -> None:
    """Return when a condition on the other side of a socket holds."""
    for _ in range(int(PATIENCE_S / 0.005)):
        if condition():
            return
        await deferLater(reactor, 0.005, lambda: None)
    raise AssertionError("waited in vain")


@pytest_twisted.ensureDeferred
async def test_an_acknowledgement_precedes_the_streams_first_frame(bench: Bench) -> None:
    exchange = await bench.start()
    client = await connect(exchange.url + "/ws")
    client.say(subscribe("btcusdt@trade"))
    await client.settled()
    bench.run(0.5)
    assert await client.next() == {"result": None, "id": 1}
    assert (await client.next())["e"] == "trade"


@pytest_twisted.ensureDeferred
async def test_an_unknown_symbol_is_acknowledged_and_silent(bench: Bench) -> None:
    exchange = await bench.start()
    client = await connect(exchange.url + "/ws")
    assert await client.ask(subscribe("nosuchusdt@trade", "btcusdt@nosuchkind")) == {"result": None, "id": 1}
    bench.run(5)
    await client.settled()
    assert client.texts.drain() == []
    assert await client.ask({"method": "LIST_SUBSCRIPTIONS", "id": 2}) == {
        "result": ["nosuchusdt@trade", "btcusdt@nosuchkind"],
        "id": 2,
    }


@pytest_twisted.ensureDeferred
async def test_every_stream_arrives_with_the_digits_that_were_sent(bench: Bench) -> None:
    exchange = await bench.start()
    kinds = ("trade", "aggTrade", "bookTicker", "miniTicker", "kline_1m", "depth@100ms")
    raw = await connect(exchange.url + "/ws/" + "/".join(f"btcusdt@{kind}" for kind in kinds))
    combined = await connect(exchange.url + "/stream?streams=" + "/".join(f"btcusdt@{kind}" for kind in kinds))
    await raw.settled()
    await combined.settled()
    bench.run(5)
    await raw.settled()
    await combined.settled()
    assert {stream for stream, _ in bench.sent} == {f"btcusdt@{kind}" for kind in kinds}
    assert raw.texts.drain() == [payload for _, payload in bench.sent]
    assert combined.texts.drain() == [
        b'{"stream":"%b","data":%b}' % (stream.encode(), payload) for stream, payload in bench.sent
    ]


@pytest_twisted.ensureDeferred
async def test_the_same_seed_gives_another_exchange_the_same_frames(bench: Bench) -> None:
    one, other = await bench.start(), await bench.start()
    clients = [await connect(f"{exchange.url}/ws/ethusdt@trade") for exchange in (one, other)]
    for client in clients:
        await client.settled()
    bench.run(2)
    for client in clients:
        await client.settled()
    first, second = (client.texts.drain() for client in clients)
    assert first == second
    assert len(first) > 50


@pytest_twisted.ensureDeferred
async def test_unsubscribing_ends_the_frames(bench: Bench) -> None:
    exchange = await bench.start()
    client = await connect(exchange.url + "/ws/btcusdt@trade")
    answer = await client.ask({"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": 2})
    assert answer == {"result": None, "id": 2}
    bench.run(1)
    await client.settled()
    assert client.texts.drain() == []


@pytest_twisted.ensureDeferred
async def test_set_property_wraps_what_comes_after_it(bench: Bench) -> None:
    exchange = await bench.start()
    client = await connect(exchange.url + "/ws/btcusdt@trade")
    await client.ask({"method": "SET_PROPERTY", "params": ["combined", True], "id": 5})
    bench.run(0.5)
    assert (await client.next())["stream"] == "btcusdt@trade"


@pytest_twisted.ensureDeferred
async def test_microseconds_are_given_to_who_asks_for_them(bench: Bench) -> None:
    exchange = await bench.start()
    client = await connect(exchange.url + "/ws/btcusdt@trade?timeUnit=MICROSECOND")
    await client.settled()
    bench.run(0.5)
    assert START_S * 1e6 <= (await client.next())["T"] <= (START_S + 1) * 1e6


@pytest_twisted.ensureDeferred
async def test_a_sixth_message_in_a_second_closes_with_1008(bench: Bench) -> None:
    exchange = await bench.start()
    client = await connect(exchange.url + "/ws/btcusdt@trade")
    for number in range(20):
        client.say({"method": "LIST_SUBSCRIPTIONS", "id": number})
    assert await client.ends.get() == (1008, "Too many requests")
    assert len(client.texts.drain()) == 5
    assert exchange.counters.policy_closes == 1


@pytest_twisted.ensureDeferred
async def test_pings_carry_payloads_and_a_client_that_answers_lives(bench: Bench) -> None:
    exchange = await bench.start()
    client = await connect(exchange.url + "/ws")
    for _ in range(6):
        bench.run(20.2)
        assert await client.pings.get()
        await client.settled()
    assert exchange.clients == 1


@pytest_twisted.ensureDeferred
async def test_a_client_that_does_not_answer_pings_is_closed_after_60_seconds(bench: Bench) -> None:
    exchange = await bench.start()
    client = await connect(exchange.url + "/ws")
    client.answer_pings = False
    bench.run(79)
    await client.settled()
    assert exchange.clients == 1
    bench.run(1.5)
    assert await client.ends.get() == (1008, "Pong timeout")


@pytest_twisted.ensureDeferred
async def test_a_day_ends_the_connection_without_a_close_frame(bench: Bench) -> None:
    exchange = await bench.start(rules=ConnectionRules(max_life_s=30.0))
    client = await connect(exchange.url + "/ws")
    bench.run(31)
    code, _ = await client.ends.get()
    assert code == 1006


@pytest_twisted.ensureDeferred
async def test_serverShutdown_is_announced_in_both_forms_and_newcomers_stay(bench: Bench) -> None:
    exchange = await bench.start()
    raw = await connect(exchange.url + "/ws")
    combined = await connect(exchange.url + "/stream")
    await exchange.inject(Fault(FaultKind.SHUTDOWN, seconds=3))
    event = {"e": "serverShutdown", "E": int(START_S * 1000)}
    assert await raw.next() == event
    assert await combined.next() == {"stream": "!serverShutdown", "data": event}
    newcomer = await connect(exchange.url + "/ws")
    bench.run(3.1)
    assert (await raw.ends.get())[0] == 1006
    assert (await combined.ends.get())[0] == 1006
    await newcomer.settled()
    assert exchange.clients == 1


@pytest_twisted.ensureDeferred
async def test_a_cut_ends_every_connection_abruptly_and_new_ones_are_welcome(bench: Bench) -> None:
    exchange = await bench.start()
    clients = [await connect(exchange.url + "/ws") for _ in range(3)]
    await exchange.inject(Fault(FaultKind.CUT))
    for client in clients:
        assert (await client.ends.get())[0] == 1006
    await connect(exchange.url + "/ws")


@pytest_twisted.ensureDeferred
async def test_while_down_it_refuses_and_then_listens_on_the_same_port(bench: Bench) -> None:
    exchange = await bench.start()
    url = exchange.url
    client = await connect(url + "/ws")
    await exchange.inject(Fault(FaultKind.DOWN, seconds=10))
    assert (await client.ends.get())[0] == 1006
    bench.run(9)
    with pytest.raises(Refused):
        await connect(url + "/ws")
    bench.run(1.5)
    await connect(url + "/ws")


@pytest_twisted.ensureDeferred
async def test_resume_ends_being_down(bench: Bench) -> None:
    exchange = await bench.start()
    await exchange.inject(Fault(FaultKind.DOWN, seconds=3600))
    await exchange.inject(Fault(FaultKind.RESUME))
    await connect(exchange.url + "/ws")


@pytest_twisted.ensureDeferred
async def test_a_silent_symbol_stays_connected_and_resumes(bench: Bench) -> None:
    exchange = await bench.start()
    client = await connect(exchange.url + "/ws/btcusdt@trade/ethusdt@trade")
    await client.settled()
    await exchange.inject(Fault(FaultKind.SILENT, "BTCUSDT"))
    bench.run(2)
    await client.settled()
    assert {json.loads(text)["s"] for text in client.texts.drain()} == {"ETHUSDT"}
    await exchange.inject(Fault(FaultKind.RESUME))
    bench.run(2)
    await client.settled()
    assert {json.loads(text)["s"] for text in client.texts.drain()} == {"BTCUSDT", "ETHUSDT"}


@pytest_twisted.ensureDeferred
async def test_without_pongs_neither_side_is_pinged(bench: Bench) -> None:
    exchange = await bench.start()
    await exchange.inject(Fault(FaultKind.NO_PONG))
    client = await connect(exchange.url + "/ws")
    client.sendPing(b"anybody?")
    bench.run(100)
    await client.ask({"method": "LIST_SUBSCRIPTIONS", "id": 1})
    assert client.pongs.drain() == []
    assert client.pings.drain() == []
    await exchange.inject(Fault(FaultKind.RESUME))
    await client.settled()


@pytest_twisted.ensureDeferred
async def test_gaps_and_duplicates_reach_the_client_as_they_were_made(bench: Bench) -> None:
    exchange = await bench.start()
    client = await connect(exchange.url + "/ws/btcusdt@trade")
    await client.settled()
    await exchange.inject(Fault(FaultKind.GAP, "BTCUSDT", count=3))
    bench.run(1)
    await exchange.inject(Fault(FaultKind.DUPLICATE, "BTCUSDT"))
    bench.run(1)
    await client.settled()
    numbers = [json.loads(text)["t"] for text in client.texts.drain()]
    steps = [later - earlier for earlier, later in pairwise(numbers)]
    assert steps.count(0) == 1
    assert all(step in (0, 1) for step in steps)
    market_first = exchange.market.symbols["btcusdt"].trade_id - len(set(numbers)) + 1
    assert numbers[0] == market_first


@pytest_twisted.ensureDeferred
async def test_a_policy_violation_closes_every_client_with_1008(bench: Bench) -> None:
    exchange = await bench.start()
    client = await connect(exchange.url + "/ws")
    await exchange.inject(Fault(FaultKind.POLICY_VIOLATION))
    assert (await client.ends.get())[0] == 1008


@pytest_twisted.ensureDeferred
async def test_faults_can_be_asked_for_from_outside(bench: Bench) -> None:
    exchange = await bench.start()
    client = await connect(exchange.url + "/ws")
    control = await connect(exchange.url + "/control")
    assert await control.ask({"fault": "cut"}) == {"ok": True, "fault": "cut", "symbol": None, "clients": 1}
    assert (await client.ends.get())[0] == 1006
    answer = await control.ask({"fault": "fire"})
    assert answer["error"]["code"] == "invalid_fault"
    assert "was 'fire'" in answer["error"]["message"]
    assert exchange.counters.faults == 1


@pytest_twisted.ensureDeferred
async def test_a_web_page_cannot_make_faults(bench: Bench) -> None:
    exchange = await bench.start()
    with pytest.raises(ConnectionError, match="403"):
        await connect(exchange.url + "/control", headers={"Origin": "http://127.0.0.1:8080"})


@pytest_twisted.ensureDeferred
async def test_an_unknown_path_is_refused(bench: Bench) -> None:
    exchange = await bench.start()
    with pytest.raises(ConnectionError, match="404"):
        await connect(exchange.url + "/nowhere")


@pytest_twisted.ensureDeferred
async def test_too_many_attempts_are_refused_with_429(bench: Bench) -> None:
    exchange = await bench.start(rules=ConnectionRules(attempts_per_window=2))
    for _ in range(2):
        await (await connect(exchange.url + "/ws")).leave()
    with pytest.raises(ConnectionError, match="429"):
        await connect(exchange.url + "/ws")
    assert exchange.counters.connections_refused == 1


@pytest_twisted.ensureDeferred
async def test_a_client_that_does_not_read_is_disconnected_and_counted(bench: Bench) -> None:
    exchange = await bench.start(rules=ConnectionRules(max_unsent_bytes=100_000))
    client = await connect(exchange.url + "/ws/btcusdt@trade")
    await client.settled()
    client.transport.pauseProducing()
    block = b'"' + b"x" * 50_000 + b'"'
    rounds = 0
    while not exchange.counters.slow_clients_cut:
        exchange.send("btcusdt@trade", block)
        rounds += 1
        assert rounds < 2_000, "the kernel cannot hold this much"
        await deferLater(reactor, 0, lambda: None)
    assert exchange.clients == 0
    client.transport.resumeProducing()
    assert (await client.ends.get())[0] == 1006


@pytest_twisted.ensureDeferred
async def test_a_client_that_reads_again_in_time_misses_nothing(bench: Bench) -> None:
    exchange = await bench.start()
    client = await connect(exchange.url + "/ws/btcusdt@trade")
    await client.settled()
    client.transport.pauseProducing()
    for number in range(160):
        exchange.send("btcusdt@trade", b'{"number":%d,"pad":"%b"}' % (number, b"x" * 50_000))
        await deferLater(reactor, 0, lambda: None)
    client.transport.resumeProducing()
    assert [(await client.next())["number"] for _ in range(160)] == list(range(160))
    assert exchange.counters.slow_clients_cut == 0


@pytest_twisted.ensureDeferred
async def test_server_connections_do_not_wait_for_full_packets(bench: Bench) -> None:
    exchange = await bench.start()
    await connect(exchange.url + "/ws")
    (accepted,) = exchange._sockets
    assert accepted.transport.getTcpNoDelay()


def record(path: Path, *messages: tuple[float, str]) -> Path:
    path.write_text("".join(json.dumps({"t": time_s, "msg": message}) + "\n" for time_s, message in messages))
    return path


@pytest_twisted.ensureDeferred
async def test_a_recording_is_played_unchanged_from_the_first_subscription_on(bench: Bench, tmp_path: Path) -> None:
    first = '{"e":"aggTrade", "s":"NKNUSDT","p":"0.35280000","q":"58"}'
    second = '{"e":"aggTrade","s":"NKNUSDT","p":"0.3528","q":"1.00"}'
    path = record(
        tmp_path / "nkn.jsonl",
        (10.0, '{"stream":"nknusdt@aggTrade","data":' + first + "}"),
        (12.0, second),
    )
    settings = replace(SETTINGS, recording=RecordingSettings(path=path, speed=2.0, loop=False))
    exchange = await bench.start(settings)
    bench.run(30)
    client = await connect(exchange.url + "/ws")
    await client.ask(subscribe("nknusdt@aggTrade"))
    bench.clock.advance(ROUND_S)
    assert await client.texts.get() == first.encode()
    bench.run(0.9)
    assert not exchange.recording_ended
    bench.run(0.2)
    assert await client.texts.get() == second.encode()
    assert exchange.recording_ended


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="no real captures beside the repository")
@pytest_twisted.ensureDeferred
async def test_a_real_capture_comes_out_as_it_went_in(bench: Bench) -> None:
    for path in sorted(CAPTURES.glob("*.jsonl")):
        messages = [json.loads(line)["msg"] for line in path.read_text().splitlines()]
        streams = sorted({json.loads(message)["stream"] for message in messages})
        settings = replace(SETTINGS, recording=RecordingSettings(path=path, speed=100.0, loop=False))
        exchange = await bench.start(settings)
        client = await connect(exchange.url + "/stream?streams=" + "/".join(streams))
        await client.settled()
        bench.run(3)
        assert exchange.recording_ended
        await client.settled()
        assert [text.decode() for text in client.texts.drain()] == messages


@pytest_twisted.ensureDeferred
async def test_a_port_in_use_is_one_clear_error(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        exchange = SimulatedExchange(reactor, replace(SETTINGS, port=port), clock=bench.clock)
        with pytest.raises(ExchangeStartError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*in use"):
            await exchange.start()
        await exchange.stop()


@pytest_twisted.ensureDeferred
async def test_a_malformed_recording_is_one_clear_error(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text("{}\n")
    settings = replace(SETTINGS, recording=RecordingSettings(path=path, speed=1.0, loop=True))
    exchange = SimulatedExchange(reactor, settings, clock=bench.clock)
    with pytest.raises(ExchangeStartError, match=r"bad\.jsonl:1: "):
        await exchange.start()


@pytest_twisted.ensureDeferred
async def test_stopping_ends_clients_and_half_open_connections(bench: Bench) -> None:
    exchange = await bench.start()
    client = await connect(exchange.url + "/ws/btcusdt@trade")
    host, port = exchange.url.removeprefix("ws://").split(":")
    with socket.create_connection((host, int(port))):
        await until(lambda: len(exchange._sockets) == 2)
        await exchange.stop()
        assert (await client.ends.get())[0] == 1006
    with pytest.raises(Refused):
        await connect(exchange.url + "/ws")


@pytest_twisted.ensureDeferred
async def test_stopping_twice_at_once_is_stopping_once(bench: Bench) -> None:
    exchange = await bench.start()
    await connect(exchange.url + "/ws")
    both = [ensureDeferred(exchange.stop()) for _ in range(2)]
    for done in both:
        await done


@pytest_twisted.ensureDeferred
async def test_an_exchange_that_was_stopped_while_down_stays_stopped(bench: Bench) -> None:
    exchange = await bench.start()
    await exchange.inject(Fault(FaultKind.DOWN, seconds=1))
    await exchange.stop()
    await exchange.inject(Fault(FaultKind.RESUME))
    bench.run(2)
    with pytest.raises(Refused):
        await connect(exchange.url + "/ws")


@pytest_twisted.ensureDeferred
async def test_a_longer_time_down_replaces_a_shorter_one(bench: Bench) -> None:
    exchange = await bench.start()
    await exchange.inject(Fault(FaultKind.DOWN, seconds=1))
    await exchange.inject(Fault(FaultKind.DOWN, seconds=10))
    bench.run(5)
    with pytest.raises(Refused):
        await connect(exchange.url + "/ws")
    bench.run(6)
    await connect(exchange.url + "/ws")


@pytest_twisted.ensureDeferred
async def test_a_source_that_fails_stops_the_exchange_instead_of_leaving_it_silent(bench: Bench) -> None:
    class Broken:
        def watch(self, stream: str) -> None: ...

        def unwatch(self, stream: str) -> None: ...

        def advance(self, now_ms: int) -> list[tuple[str, bytes]]:
            raise RuntimeError("no more prices")

    exchange = await bench.start(source=Broken())
    client = await connect(exchange.url + "/ws")
    bench.clock.advance(ROUND_S)
    assert (await client.ends.get())[0] == 1006


@pytest_twisted.ensureDeferred
async def test_on_the_reactors_own_clock_trades_arrive_fresh_and_in_order() -> None:
    exchange = SimulatedExchange(reactor, replace(SETTINGS, rate_per_s=20_000))
    await exchange.start()
    client = await connect(exchange.url + "/ws/btcusdt@trade")
    started: Deferred[None] = deferLater(reactor, 0.3, lambda: None)
    await started
    trades = [json.loads(text) for text in client.texts.drain()]
    await exchange.stop()
    assert len(trades) > 200
    assert [trade["t"] for trade in trades] == list(range(trades[0]["t"], trades[0]["t"] + len(trades)))
    assert all(Decimal(trade["p"]) % Decimal("0.01") == 0 for trade in trades)
