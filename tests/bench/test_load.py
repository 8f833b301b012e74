"""The load generator's counting, against a broker that does right and one that does wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.bench.errors import BenchError, LoadError
from components.bench.load import Account, Endpoints, LoadGenerator, build
from tests.bench.fake_broker import Deliver, FakeBroker, Sent

CLIENTS = 3
TOPICS = 2
ACCOUNT = Account("bench", "bench-ticket")

Run = Callable[[Deliver], dict[str, Any]]


def description(port: int, protocol: str = "wamp", path: str = "/ws") -> str:
    """Return the setup of a few clients that subscribe to all topics of a broker on ``port``."""
    endpoints = Endpoints(
        protocol, port, path, [ACCOUNT] * CLIENTS, "websocket", (port, "/ws"), ACCOUNT, patience_s=0.5
    )
    topics = [(f"market.S{number}USDT", f"S{number}USDT") for number in range(TOPICS)]
    return endpoints.describe(topics, [list(range(TOPICS))] * CLIENTS)


def under_load(broker: FakeBroker, setup: str, directory: Path) -> dict[str, Any]:
    """Put a fake broker under load and return what the load generator says of it."""
    with LoadGenerator(build(), setup, directory, None) as load:
        load.command("publisher", 5, takes_s=5)
        joined = load.command("connect", CLIENTS, 2, 1, 5, takes_s=5)
        assert joined["ready"] == CLIENTS
        return load.command("pace", 500, 0, 0.3, os.getpid(), takes_s=10)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that puts a broker whose clients speak WAMP under load."""

    def run_wamp(deliver: Deliver) -> dict[str, Any]:
        with FakeBroker(deliver) as broker:
            return under_load(broker, description(broker.port), tmp_path)

    return run_wamp


PLAIN, BATCHED = "/ws/trade", "/ws/trade?batched=1"


@pytest.fixture
def run_plain(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Return the same for clients that speak plain JSON: an object in each frame, or an array of them."""
    path: str = getattr(request, "param", BATCHED)

    def run_plain(deliver: Deliver) -> dict[str, Any]:
        with FakeBroker(deliver) as broker:
            answer = under_load(broker, description(broker.port, "plain", path), tmp_path)
            asked = f"{path}{'&' if '?' in path else '?'}token={ACCOUNT.ticket}"
            assert broker.plain_paths == {asked.encode()}
        return answer

    return run_plain


def test_of_a_faithful_broker_nothing_is_missing(run: Run) -> None:
    answer = run(lambda _number, event: [Sent(event)])
    assert answer["expected"] == answer["arrived"] > 100
    assert [answer[name] for name in ("missing", "surplus", "wrong_seq_clients", "unreadable", "lost_clients")] == [
        0
    ] * 5
    assert answer["merged"] == 0
    assert 0 < answer["latency"]["p50_ms"] <= answer["latency"]["p99_ms"] <= answer["latency"]["max_ms"]


def test_one_event_dropped_is_noticed(run: Run) -> None:
    answer = run(lambda number, event: [] if number == 17 else [Sent(event)])
    assert (answer["missing"], answer["incomplete_clients"]) == (1, 1)


def test_one_event_sent_twice_is_noticed(run: Run) -> None:
    answer = run(lambda number, event: [Sent(event), Sent(event)] if number == 17 else [Sent(event)])
    assert (answer["missing"], answer["surplus"]) == (0, 1)


def test_one_event_in_place_of_another_is_noticed(run: Run) -> None:
    seen: list[str] = []

    def deliver(number: int, event: str) -> list[str]:
        seen.append(event)
        return [Sent(seen[0] if number == 40 else event)]

    answer = run(deliver)
    assert (answer["missing"], answer["surplus"], answer["wrong_seq_clients"]) == (0, 0, 1)


def test_a_merged_tick_counts_for_as_many_as_it_says(run: Run) -> None:
    def deliver(number: int, event: str) -> list[str]:
        if number == 17:
            return []
        # The same client's next event, of another topic: for counting that makes no difference.
        return [Sent(event[:-1] + ',"merged":2,"high":1.5,"low":1.5}' if number == 17 + CLIENTS else event)]

    answer = run(deliver)
    assert (answer["missing"], answer["surplus"], answer["wrong_seq_clients"]) == (0, 0, 0)
    assert answer["merged"] == 1
    assert answer["arrived"] == answer["expected"] - 1


def test_a_tick_that_tells_of_dropped_ones_accounts_for_them_without_delivering_them(run: Run) -> None:
    def deliver(number: int, event: str) -> list[str]:
        if number == 17:
            return []
        return [Sent(event[:-1] + ',"dropped":1}' if number == 17 + CLIENTS else event)]

    answer = run(deliver)
    assert (answer["missing"], answer["dropped"]) == (0, 1)
    assert answer["arrived"] == answer["expected"] - 1


@pytest.mark.parametrize("topic", ["", '"topic":"services.bench.S000USDT",'])
def test_an_event_whose_details_tell_of_merged_and_dropped_ones_counts_for_them(run: Run, topic: str) -> None:
    def deliver(number: int, event: str) -> list[Sent]:
        if number in (17, 17 + CLIENTS, 17 + 2 * CLIENTS):
            return []
        if number == 17 + 3 * CLIENTS:
            return [Sent(event, f'{{{topic}"_merged":3,"_dropped":1}}')]
        return [Sent(event)]

    answer = run(deliver)
    assert (answer["missing"], answer["surplus"], answer["wrong_seq_clients"]) == (0, 0, 0)
    assert (answer["merged"], answer["dropped"]) == (2, 1)
    assert answer["arrived"] == answer["expected"] - 3


def test_details_that_tell_of_too_many_merged_ones_are_noticed(run: Run) -> None:
    answer = run(lambda number, event: [Sent(event, '{"_merged":2}' if number == 17 else "{}")])
    assert (answer["missing"], answer["surplus"]) == (0, 1)


@pytest.mark.parametrize("run_plain", [PLAIN, BATCHED], indirect=True)
def test_of_a_faithful_broker_nothing_is_missing_to_plain_clients(run_plain: Run) -> None:
    answer = run_plain(lambda _number, event: [Sent(event)])
    assert answer["expected"] == answer["arrived"] > 100
    assert [answer[name] for name in ("missing", "surplus", "wrong_seq_clients", "unreadable", "lost_clients")] == [
        0
    ] * 5
    assert 0 < answer["latency"]["p50_ms"] <= answer["latency"]["p99_ms"]


def test_what_plain_clients_get_late_together_is_counted_one_by_one(run_plain: Run) -> None:
    waiting: list[Sent] = []

    def deliver(number: int, event: str) -> list[Sent]:
        # All clients' events are alike for counting: what one waits for comes to the next.
        waiting.append(Sent(event))
        if number % 5:
            return []
        together = waiting.copy()
        waiting.clear()
        return [*together, Sent('{"type":"pong","time":1}')]

    answer = run_plain(deliver)
    assert answer["arrived"] == answer["expected"] - len(waiting)
    assert answer["unreadable"] == 0


def test_one_event_dropped_repeated_merged_or_spoilt_is_noticed_by_plain_clients(run_plain: Run) -> None:
    def deliver(number: int, event: str) -> list[Sent]:
        spoilt = {
            17: [],
            40: [Sent(event), Sent(event)],
            70: [Sent(event[:-1] + ',"merged":3}')],
            101: [Sent('{"symbol":"?"}')],
        }
        return spoilt.get(number, [Sent(event)])

    answer = run_plain(deliver)
    assert answer["merged"] == 2
    assert answer["unreadable"] == 1
    # Of three clients one has two events too few, and another three too many: neither makes up for the other.
    assert (answer["missing"], answer["surplus"]) == (2, 3)


def test_an_event_that_is_not_as_published_is_noticed(run: Run) -> None:
    answer = run(lambda number, event: [Sent(json.dumps("?") if number == 17 else event)])
    assert (answer["unreadable"], answer["missing"]) == (1, 1)


def test_clients_that_nobody_answers_end_the_measurement_with_a_clear_line(tmp_path: Path) -> None:
    with FakeBroker(lambda _number, event: [Sent(event)]) as broker:
        port = broker.port
    with LoadGenerator(build(), description(port), tmp_path, None) as load, pytest.raises(LoadError, match="lost"):
        load.command("publisher", 1, takes_s=1)


def test_without_a_compiler_one_line_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(BenchError, match="needs a C compiler"):
        build()


def test_the_load_generator_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    binary = build()
    made = binary.stat().st_mtime_ns
    assert build().stat().st_mtime_ns == made
    assert [path.name for path in (tmp_path / "crosstick").iterdir()] == [binary.name]
