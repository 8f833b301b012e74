"""What the gateway makes of its bus: events for clients, and whether clients can be served while the bus is away."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from components.bus import BusReader, ReaderFigures
from components.core.batch import Batch, Standing
from components.core.market import Market
from components.core.payload import EncodedPayload
from components.core.replay import ReplaySettings, TickHistory
from components.router.relay import (
    BUS_AWAY_GRACE_S,
    BUS_BACK_GRACE_S,
    FEED_AWAY_GRACE_S,
    HISTORY_GRACE_S,
    Relay,
)
from components.uris import MARKET_STATUS


class Bus:
    """A reader that has the troubles which the test gives it."""

    shared = True

    def __init__(self) -> None:
        self.figures = ReaderFigures()
        self.trouble: list[str] = []
        self.warning: list[str] = []
        self.short: list[str] = []
        self.reading_history = False

    async def start(self, listener: Any) -> None: ...
    async def stop(self) -> None: ...
    def troubles(self) -> list[str]:
        return self.trouble

    def warnings(self) -> list[str]:
        return self.warning

    def shortage(self) -> list[str]:
        return self.short


class NoRates:
    active = False


class Retained:
    status = b""


class Gateway:
    """Holds a relay, and what it has published."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.published: list[tuple[str, bytes]] = []
        self.made_ms: list[int | None] = []
        self.statuses: list[dict[str, Any]] = []
        self.told: list[int | str | bytes] = []
        """What clients got, in its order: of a status its epoch, of an event its payload."""
        self.bus = Bus()
        rates: Any = NoRates()
        retained: Any = Retained()
        market = Market(lambda: self.now_s, lambda: 1000.0 + self.now_s)
        self.history = TickHistory(ReplaySettings(), lambda: self.now_s)
        self.relay = Relay(
            market, self.history, rates, retained, self._publish, self._publish_status, lambda: self.now_s
        )
        bus: BusReader = self.bus
        self.relay.listen_to(bus)

    def _publish(self, events: Sequence[tuple[str, EncodedPayload]], made_ms: Callable[[], int | None]) -> None:
        self.published += [(topic, payload.json) for topic, payload in events]
        self.told += [
            f"event of {json.loads(payload.json)['epoch']}" if topic == MARKET_STATUS else payload.json
            for topic, payload in events
        ]
        self.made_ms.append(made_ms())

    def _publish_status(self, status: dict[str, Any]) -> None:
        self.statuses.append(status)
        self.told.append(status["epoch"])

    def hear(self, state: str = "live", stale: Sequence[str] = (), epoch: int = 7) -> None:
        status = {"epoch": epoch, "state": state, "symbols": ["BTCUSDT"], "stale": list(stale)}
        self.relay.take_status(json.dumps(status).encode())

    def after(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.now_s += 1.0
            self.relay.watch()


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def test_of_what_stands_clients_get_what_they_cannot_know(gateway: Gateway) -> None:
    gateway.relay.take_standing(Standing(7, 2, {"market.A": (1, b"a1"), "market.B": (1, b"b1")}))
    gateway.relay.take_batch(Batch(7, 3, [("market.A", 2, b"a2")]))
    # Batches 4 and 5 are missing.
    gateway.relay.take_batch(Batch(7, 6, [("market.A", 3, b"a3")]))
    gateway.relay.take_standing(Standing(7, 6, {"market.A": (3, b"a3"), "market.B": (5, b"b5")}))
    gateway.relay.take_batch(Batch(7, 7, [("market.B", 6, b"b6")]))
    assert [payload for _, payload in gateway.published] == [b"a1", b"b1", b"a2", b"a3", b"b5", b"b6"]


def test_clients_hear_of_an_epoch_before_its_first_event(gateway: Gateway) -> None:
    gateway.hear()
    gateway.relay.take_batch(Batch(7, 1, [("market.A", 1, b"a1")]))
    # The feed's status has not been read yet.
    gateway.relay.take_batch(Batch(8, 1, [("market.A", 1, b"A1")]))
    gateway.hear(epoch=8)
    # Among the events for all who are subscribed, and retained for who will be.
    assert gateway.told[:5] == [7, b"a1", "event of 8", 8, b"A1"]
    assert set(gateway.told[5:]) <= {8}


def test_clients_hear_of_an_epoch_after_the_last_event_of_the_one_before(gateway: Gateway) -> None:
    gateway.hear()
    gateway.relay.take_batch(Batch(7, 1, [("market.A", 1, b"a1")]))
    # A status is read before the batches that were written ahead of it, where many wait.
    gateway.hear(epoch=8)
    gateway.relay.take_batch(Batch(7, 2, [("market.A", 2, b"a2")]))
    gateway.relay.take_batch(Batch(8, 1, [("market.A", 1, b"A1")]))
    gateway.hear(epoch=8)
    assert [told for told in gateway.told if told != 7] == [b"a1", b"a2", "event of 8", 8, b"A1"]


def test_clients_hear_of_an_epoch_before_what_stands_of_it(gateway: Gateway) -> None:
    gateway.hear()
    gateway.relay.take_batch(Batch(7, 1, [("market.BTCUSDT", 1, b"a1")]))
    gateway.relay.take_standing(Standing(6, 2, {"market.BTCUSDT": (2, b"z2")}))
    assert gateway.told == [7, b"a1", "event of 6", 6, b"z2"]


def test_history_is_not_published(gateway: Gateway) -> None:
    gateway.relay.take_history(Batch(7, 1, [("market.A", 1, b"a1")]))
    assert b'"events":[a1]' in gateway.history.replay("A", 7, 0)
    assert gateway.published == []


def test_when_the_bus_goes_back_to_an_earlier_epoch_replays_are_of_that_one(gateway: Gateway) -> None:
    gateway.relay.take_batch(Batch(2000, 1, [("market.A", 9, b'{"seq":9}')]))
    gateway.relay.take_standing(Standing(1000, 2, {"market.A": (2, b'{"seq":2}')}))
    for number in (1, 2):
        gateway.relay.take_history(Batch(1000, number, [("market.A", number, b'{"seq":%d}' % number)]))
    gateway.relay.take_batch(Batch(1000, 3, [("market.A", 3, b'{"seq":3}')]))
    answer = json.loads(gateway.history.replay("A", 1000, 0))
    assert (answer["epoch"], answer["events"], answer["missing"]) == (1000, [{"seq": 1}, {"seq": 2}, {"seq": 3}], [])


def test_what_stands_in_the_same_epoch_leaves_the_ticks_that_are_kept(gateway: Gateway) -> None:
    gateway.relay.take_batch(Batch(7, 1, [("market.A", 1, b'{"seq":1}')]))
    gateway.relay.take_standing(Standing(7, 1, {"market.A": (1, b'{"seq":1}')}))
    assert json.loads(gateway.history.replay("A", 7, 0))["events"] == [{"seq": 1}]


def test_a_status_that_is_none_is_refused(gateway: Gateway) -> None:
    with pytest.raises(ValueError, match="malformed"):
        gateway.relay.take_status(b"nonsense")


def test_before_any_feed_was_heard_nobody_is_served_whatever_the_bus_does(gateway: Gateway) -> None:
    assert gateway.relay.not_ready_because() == ["no feed has reported"]
    gateway.bus.trouble = ["cannot be reached"]
    assert gateway.relay.not_ready_because() == ["no feed has reported", "bus: cannot be reached"]


def test_a_feed_that_is_silent_on_a_bus_that_works_is_lost(gateway: Gateway) -> None:
    gateway.bus.shared = False
    gateway.hear()
    assert gateway.relay.not_ready_because() == []
    gateway.after(6)
    assert gateway.relay.not_ready_because() == ["no feed has reported"]
    assert gateway.relay.degraded() == []
    last = gateway.statuses[-1]
    assert (last["state"], last["role"], last["since"]) == ("feed_lost", "none", 1_000_000)


def test_when_no_feed_writes_to_a_shared_bus_who_has_served_goes_on_and_says_so(gateway: Gateway) -> None:
    gateway.hear()
    gateway.after(4)
    assert gateway.relay.degraded() == []
    gateway.after(3600)
    assert gateway.relay.not_ready_because() == []
    assert gateway.relay.degraded() == ["no feed writes to the bus, for 3604 s"]
    gateway.bus.short = ["it is full"]
    assert gateway.relay.degraded() == ["no feed writes to the bus, for 3604 s: it is full"]
    assert gateway.statuses[-1]["state"] == "feed_lost"
    gateway.hear()
    assert gateway.relay.degraded() == []


@pytest.mark.parametrize("heard", [False, True])
def test_when_no_feed_writes_to_a_shared_bus_who_never_served_is_not_ready(gateway: Gateway, heard: bool) -> None:
    if heard:
        gateway.hear("connecting")
    gateway.relay.take_standing(Standing(7, 2, {"market.A": (1, b"a1")}))
    gateway.after(60)
    assert gateway.relay.not_ready_because() == ["no feed has reported"]
    assert gateway.relay.degraded() == []


def test_while_the_bus_is_away_who_was_served_is_served_and_a_while_after_it(gateway: Gateway) -> None:
    gateway.hear()
    gateway.bus.trouble = ["cannot be reached"]
    gateway.after(BUS_AWAY_GRACE_S - BUS_BACK_GRACE_S - 2)
    assert gateway.relay.not_ready_because() == []
    assert gateway.relay.degraded() == ["bus: cannot be reached"]
    gateway.bus.trouble = []
    gateway.after(BUS_BACK_GRACE_S - 1)
    assert gateway.relay.not_ready_because() == []
    gateway.bus.shared = False
    gateway.after(2)
    assert gateway.relay.not_ready_because() == ["no feed has reported"]
    gateway.hear()
    assert gateway.relay.not_ready_because() == []


def test_what_the_bus_warns_of_is_degraded_and_no_trouble(gateway: Gateway) -> None:
    gateway.bus.warning = ["may lose something"]
    gateway.hear()
    gateway.after(BUS_AWAY_GRACE_S + 6)
    assert gateway.relay.not_ready_because() == []
    assert gateway.relay.degraded() == ["no feed writes to the bus, for 66 s", "may lose something"]


def test_a_bus_that_is_away_for_long_is_a_reason_until_a_feed_is_heard(gateway: Gateway) -> None:
    gateway.hear()
    gateway.bus.trouble = ["cannot be reached"]
    gateway.after(BUS_AWAY_GRACE_S)
    assert gateway.relay.not_ready_because() == []
    gateway.after(1)
    assert gateway.relay.not_ready_because() == ["no feed has reported", "bus: cannot be reached"]
    gateway.bus.trouble = []
    gateway.after(1)
    assert gateway.relay.not_ready_because() == ["no feed has reported"]
    # It works, so this gateway is not alone.
    gateway.after(BUS_BACK_GRACE_S)
    assert gateway.relay.not_ready_because() == []
    gateway.hear()
    gateway.bus.trouble = ["cannot be reached"]
    gateway.after(BUS_AWAY_GRACE_S)
    assert gateway.relay.not_ready_because() == []


def test_a_trouble_that_ceases_for_moments_is_one_trouble(gateway: Gateway) -> None:
    gateway.hear()
    for _ in range(int(BUS_AWAY_GRACE_S) // 2):
        gateway.bus.trouble = ["an error of the bus itself"]
        gateway.after(1)
        gateway.bus.trouble = []
        gateway.after(1)
    gateway.after(1)
    assert gateway.relay.not_ready_because() == ["no feed has reported"]


def test_a_feed_that_connects_to_the_exchange_is_a_reason(gateway: Gateway) -> None:
    gateway.hear("connecting")
    assert gateway.relay.not_ready_because() == ["the feed is connecting"]


@pytest.mark.parametrize(
    ("state", "stale", "trouble"),
    [("connecting", [], "the feed is connecting"), ("live", ["BTCUSDT"], "all symbols are silent")],
)
def test_a_feed_without_an_exchange_is_none_for_gateways_that_have_served_from_a_shared_bus(
    gateway: Gateway, state: str, stale: list[str], trouble: str
) -> None:
    gateway.hear(state, stale)
    assert gateway.relay.not_ready_because() == [trouble]
    assert gateway.relay.degraded() == []
    gateway.hear()
    assert (gateway.relay.not_ready_because(), gateway.relay.degraded()) == ([], [])
    for _ in range(3600):
        gateway.after(1)
        gateway.hear(state, stale)
    assert (gateway.relay.not_ready_because(), gateway.relay.degraded()) == ([], [trouble])


def test_a_feed_of_the_nodes_own_may_be_alone_without_an_exchange_and_has_a_while(gateway: Gateway) -> None:
    gateway.bus.shared = False
    gateway.hear()
    for _ in range(int(FEED_AWAY_GRACE_S) - 1):
        gateway.after(1)
        gateway.hear("connecting")
        assert gateway.relay.not_ready_because() == []
        assert gateway.relay.degraded() == ["the feed is connecting"]
    gateway.after(1)
    assert gateway.relay.not_ready_because() == ["the feed is connecting"]
    assert gateway.relay.degraded() == []
    gateway.hear()
    assert (gateway.relay.not_ready_because(), gateway.relay.degraded()) == ([], [])


def test_how_old_the_trades_of_a_batch_are_is_told_but_not_of_what_stands(gateway: Gateway) -> None:
    tick = b'{"symbol":"A","price":1,"volume":1,"side":"buy","ts":1700000000123,"id":1,"seq":1}'
    gateway.relay.take_standing(Standing(7, 1, {"market.A": (1, tick)}))
    gateway.relay.take_batch(Batch(7, 2, [("market.A", 2, tick)]))
    gateway.relay.take_batch(Batch(7, 3, [("market.A.book", 1, b'{"received_ts":1700000000123,"seq":1}')]))
    assert gateway.made_ms == [None, 1_700_000_000_123, None]


def test_who_has_just_started_serves_when_the_buss_history_is_read(gateway: Gateway) -> None:
    gateway.bus.reading_history = True
    assert gateway.relay.awaits_history()
    gateway.relay.take_standing(Standing(7, 2, {}))
    gateway.hear()
    assert gateway.relay.not_ready_because() == ["the bus's history is being read"]
    gateway.relay.take_history(Batch(7, 2, [("market.A", 1, b"a1")]))
    gateway.bus.reading_history = False
    assert gateway.relay.not_ready_because() == []
    assert not gateway.relay.awaits_history()


def test_history_that_cannot_be_read_is_gone_on_without_after_a_while(gateway: Gateway) -> None:
    gateway.bus.reading_history = True
    gateway.after(3600)  # The bus is not there: that is no wait for its history.
    gateway.hear()
    for _ in range(int(HISTORY_GRACE_S) - 1):
        gateway.after(1)
        gateway.hear()
        assert gateway.relay.not_ready_because() == ["the bus's history is being read"]
    gateway.after(1)
    assert gateway.relay.not_ready_because() == []
    assert not gateway.relay.awaits_history()


def test_history_that_is_read_anew_later_puts_off_replays_alone(gateway: Gateway) -> None:
    gateway.hear()
    assert gateway.relay.not_ready_because() == []
    gateway.after(HISTORY_GRACE_S)
    gateway.bus.reading_history = True
    gateway.relay.take_standing(Standing(7, 2, {}))
    gateway.hear()
    assert gateway.relay.awaits_history()
    assert gateway.relay.not_ready_because() == []
