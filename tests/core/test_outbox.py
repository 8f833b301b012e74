"""What waits for a blocked session is bounded, in order, and accounts for every event."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.closing import CloseReason
from components.core.outbox import EVENT_OVERHEAD_BYTES, Condenser, ConflatingOutbox, Delivery, OutboxCounters
from components.core.outbox_settings import InvalidOutboxSettings, OutboxSettings, Policy, QueuePolicy

TICKS, OTHER_TICKS, BOOKS, DAYS, STATUS, SERVICE = (
    "market.BTCUSDT",
    "market.ETHUSDT",
    "market.BTCUSDT.book",
    "market.BTCUSDT.day",
    "market.status",
    "services.quotes.vwap",
)
CONFLATE = OutboxSettings()


def drop_oldest(depth: int) -> OutboxSettings:
    return OutboxSettings(policies=(("", QueuePolicy(Policy.DROP_OLDEST, depth)),))


def tick(seq: int, volume: str = "1.5") -> bytes:
    template = b'{"symbol":"BTCUSDT","price":%d.10,"volume":%b,"side":"buy","ts":%d,"id":%d,"seq":%d}'
    return template % (100 + seq * 7919 % 50, volume.encode(), 1700000000000 + seq, 900 + seq, seq)


def day(seq: int) -> bytes:
    return b'{"symbol":"BTCUSDT","last":1.10,"high":1.20,"ts":17,"seq":%d}' % seq


def book(seq: int) -> bytes:
    return b'{"symbol":"BTCUSDT","bid":1.10,"ask":1.20,"seq":%d}' % seq


PAYLOADS = {BOOKS: book, DAYS: day}


def said(delivery: Delivery, name: str, nothing: int) -> int:
    """Return a mark, wherever it is said."""
    value: int = json.loads(delivery.payload).get(name) or getattr(delivery, name) or nothing
    return value


def accounted(counters: OutboxCounters, waiting: int) -> bool:
    figures = asdict(counters)
    return figures["added"] == waiting + sum(figures[name] for name in ("delivered", "merged", "dropped", "discarded"))


# One step: drain that many events, or add one for (subscription, topic) with a volume.
keys = st.tuples(st.integers(1, 3), st.sampled_from([TICKS, OTHER_TICKS, BOOKS, DAYS, STATUS, SERVICE]))
volumes = st.decimals(0, 10**9, places=8).map(lambda volume: f"{volume:f}")
steps = st.lists(st.one_of(st.integers(0, 4), st.tuples(keys, volumes)), max_size=80)


class Played:
    """Steps played into an outbox, with all that was added and delivered per key."""

    def __init__(self, outbox: ConflatingOutbox, script: list[Any]) -> None:
        self.added: dict[tuple[int, str], list[bytes]] = defaultdict(list)
        self.delivered: dict[tuple[int, str], list[Delivery]] = defaultdict(list)
        # The oracle of the order: keys by when they first had something waiting.
        self.waiting: dict[tuple[int, str], int] = {}
        for step in script:
            if isinstance(step, int):
                self.drain(outbox, step)
            else:
                key, volume = step
                seq = len(self.added[key]) + 1
                payload = PAYLOADS[key[1]](seq) if key[1] in PAYLOADS else tick(seq, volume)
                assert outbox.add(*key, payload) is None
                self.added[key].append(payload)
                self.waiting.setdefault(key, 0)
                self.waiting[key] += 1
            assert accounted(outbox.counters, len(outbox))
            assert bool(outbox) is (len(outbox) > 0)
        self.drain(outbox, 10_000)
        assert (len(outbox), outbox.bytes, bool(outbox)) == (0, 0, False)

    def drain(self, outbox: ConflatingOutbox, limit: int) -> None:
        for number, delivery in enumerate(outbox.drain(), start=1):
            key = delivery[:2]
            assert key == next(iter(self.waiting))
            self.delivered[key].append(delivery)
            if not any(key == waiting for waiting in outbox._entries):
                del self.waiting[key]
            if number >= limit:
                break


@given(steps)
def test_conflation_conserves_volume_and_number_whatever_the_order_of_adding_and_draining(script: list[Any]) -> None:
    played = Played(ConflatingOutbox(CONFLATE), script)
    for key, added in played.added.items():
        delivered = played.delivered[key]
        assert sum(said(delivery, "merged", 1) for delivery in delivered) == len(added)
        assert json.loads(delivered[-1].payload)["seq"] == len(added)
        if key[1] in (TICKS, OTHER_TICKS):
            volumes = [
                sum(Fraction(json.loads(payload, parse_float=Decimal)["volume"]) for payload in payloads)
                for payloads in (added, [delivery.payload for delivery in delivered])
            ]
            assert volumes[0] == volumes[1]


@given(steps, st.integers(1, 5))
def test_drop_oldest_delivers_or_counts_every_event_in_order(script: list[Any], depth: int) -> None:
    outbox = ConflatingOutbox(drop_oldest(depth))
    played = Played(outbox, script)
    for key, added in played.added.items():
        seq = 0
        for delivery in played.delivered[key]:
            seq += 1 + said(delivery, "dropped", 0)
            assert json.loads(delivery.payload)["seq"] == seq
        assert seq == len(added)
    assert outbox.counters.dropped == sum(
        said(delivery, "dropped", 0) for delivered in played.delivered.values() for delivery in delivered
    )


@given(st.lists(keys, max_size=60), st.integers(1, 4))
def test_no_key_ever_has_more_waiting_than_its_policy_allows(added: list[tuple[int, str]], depth: int) -> None:
    for settings_, bound in ((CONFLATE, 1), (drop_oldest(depth), depth)):
        outbox = ConflatingOutbox(settings_)
        for seq, key in enumerate(added, start=1):
            outbox.add(*key, tick(seq))
            assert len(outbox) <= bound * len(set(added))
        drained = [delivery[:2] for delivery in outbox.drain()]
        assert all(drained.count(key) <= bound for key in drained)
        assert list(dict.fromkeys(drained)) == list(dict.fromkeys(added))


@given(steps, st.integers(1, 4_000), st.sampled_from([CONFLATE, drop_oldest(3)]))
def test_what_waits_never_exceeds_max_bytes_and_is_never_counted_too_low(
    script: list[Any], max_bytes: int, base: OutboxSettings
) -> None:
    outbox = ConflatingOutbox(OutboxSettings(max_bytes, policies=base.policies))
    for seq, step in enumerate(script, start=1):
        if isinstance(step, int):
            continue
        refused = outbox.add(*step[0], tick(seq, step[1]))
        assert outbox.bytes <= max_bytes
        assert refused is outbox.overflow
        assert accounted(outbox.counters, len(outbox))
    before = outbox.bytes
    drained = list(outbox.drain())
    sent = sum(len(delivery.payload) + len(delivery.topic) for delivery in drained)
    assert sent <= before <= sent + EVENT_OVERHEAD_BYTES * len(drained)
    assert outbox.bytes == 0


def test_too_many_bytes_end_the_outbox_with_that_reason() -> None:
    outbox = ConflatingOutbox(OutboxSettings(max_bytes=400))
    assert outbox.add(1, TICKS, tick(1)) is None
    assert outbox.add(1, OTHER_TICKS, tick(1)) is CloseReason.TOO_MANY_BYTES
    assert (len(outbox), outbox.bytes, list(outbox.drain())) == (0, 0, [])
    assert outbox.add(1, TICKS, tick(2)) is CloseReason.TOO_MANY_BYTES
    assert (outbox.counters.added, outbox.counters.discarded) == (3, 3)


def test_under_disconnect_the_first_event_that_would_have_to_wait_ends_the_outbox() -> None:
    outbox = ConflatingOutbox(OutboxSettings(policies=(("services.", QueuePolicy(Policy.DISCONNECT)),)))
    assert outbox.add(1, TICKS, tick(1)) is None
    assert outbox.add(2, SERVICE, b"1") is CloseReason.QUEUE_FULL
    assert (list(outbox.drain()), outbox.overflow, outbox.counters.discarded) == ([], CloseReason.QUEUE_FULL, 2)


def test_the_first_reason_for_closing_stays() -> None:
    outbox = ConflatingOutbox(CONFLATE)
    outbox.add(1, TICKS, tick(1))
    assert outbox.close(CloseReason.STALLED) is CloseReason.STALLED
    assert outbox.close(CloseReason.QUEUE_FULL) is CloseReason.STALLED
    assert outbox.add(1, TICKS, tick(1)) is CloseReason.STALLED
    assert accounted(outbox.counters, 0)


def test_a_topic_with_two_subscriptions_waits_once_for_each() -> None:
    outbox = ConflatingOutbox(CONFLATE)
    for seq in (1, 2):
        for subscription in (7, 8):
            outbox.add(subscription, TICKS, tick(seq))
    assert [(delivery.subscription, said(delivery, "merged", 1)) for delivery in outbox.drain()] == [(7, 2), (8, 2)]


def test_of_a_services_events_the_newest_waits_untouched_and_the_delivery_tells_the_rest() -> None:
    outbox = ConflatingOutbox(CONFLATE)
    for payload in (b"1", b'{"merged":7}', b'"three"'):
        outbox.add(1, SERVICE, payload)
    assert list(outbox.drain()) == [Delivery(1, SERVICE, b'"three"', 3, 0)]
    outbox.add(1, SERVICE, b"4")
    assert list(outbox.drain()) == [Delivery(1, SERVICE, b"4", 0, 0)]


def test_a_services_events_are_dropped_untouched_and_the_delivery_tells_how_many() -> None:
    outbox = ConflatingOutbox(drop_oldest(2))
    for payload in (b'{"merged":7,"dropped":7}', b"2", b"[3]", b"4"):
        outbox.add(1, SERVICE, payload)
    assert list(outbox.drain()) == [Delivery(1, SERVICE, b"[3]", 0, 2), Delivery(1, SERVICE, b"4", 0, 0)]


def test_a_dropped_tick_that_was_merged_counts_with_all_its_trades() -> None:
    conflating, dropping = ConflatingOutbox(CONFLATE), ConflatingOutbox(drop_oldest(1))
    for seq in range(1, 6):
        conflating.add(1, TICKS, tick(seq))
    dropping.add(1, TICKS, next(conflating.drain()).payload)
    dropping.add(1, TICKS, tick(6))
    (delivery,) = dropping.drain()
    assert delivery.payload == tick(6)[:-1] + b',"dropped":5}'
    again = ConflatingOutbox(CONFLATE)
    again.add(1, TICKS, delivery.payload)
    again.add(1, TICKS, tick(7))
    (delivery,) = again.drain()
    assert (said(delivery, "merged", 1), said(delivery, "dropped", 0), delivery.dropped) == (2, 5, 0)


def test_what_is_no_tick_on_a_market_topic_takes_the_place_of_those_before_and_is_counted() -> None:
    outbox = ConflatingOutbox(CONFLATE)
    for payload in (tick(1), tick(2)[:-1] + b',"dropped":4}', b'"odd"', tick(3)):
        outbox.add(1, TICKS, payload)
    assert list(outbox.drain()) == [Delivery(1, TICKS, tick(3), 4, 4)]
    assert outbox.counters.unmergeable == 1
    outbox.add(1, TICKS, tick(4))
    outbox.add(1, TICKS, tick(5))
    (delivery,) = outbox.drain()
    assert said(delivery, "merged", 1) == 2


def test_what_cannot_be_marked_on_a_market_topic_is_told_by_the_delivery() -> None:
    outbox = ConflatingOutbox(drop_oldest(1))
    outbox.add(1, TICKS, tick(1))
    outbox.add(1, TICKS, b'"odd"')
    assert list(outbox.drain()) == [Delivery(1, TICKS, b'"odd"', 0, 1)]


def test_what_waited_for_a_session_that_left_is_accounted_for() -> None:
    outbox = ConflatingOutbox(drop_oldest(3))
    for seq in (1, 2):
        outbox.add(1, TICKS, tick(seq))
    outbox.discard()
    assert (len(outbox), outbox.bytes, outbox.counters.discarded) == (0, 0, 2)
    assert accounted(outbox.counters, 0)


def test_an_event_added_while_draining_goes_behind_what_waits() -> None:
    outbox = ConflatingOutbox(CONFLATE)
    outbox.add(1, TICKS, tick(1))
    outbox.add(1, BOOKS, book(1))
    drain = outbox.drain()
    next(drain)
    outbox.add(1, TICKS, tick(2))
    assert [delivery.topic for delivery in drain] == [BOOKS, TICKS]


def test_outboxes_may_share_their_counters() -> None:
    counters = OutboxCounters()
    for _ in range(2):
        ConflatingOutbox(CONFLATE, counters).add(1, TICKS, tick(1))
    assert counters.added == 2


def test_settings_come_from_a_mapping_and_the_longest_prefix_decides() -> None:
    settings_ = OutboxSettings.from_mapping(
        {
            "max_bytes": 5000,
            "stall_timeout": 2.5,
            "policies": {
                "market.": {"policy": "conflate"},
                "services.": {"policy": "drop_oldest", "depth": 100},
                "services.orders.": {"policy": "disconnect"},
            },
        }
    )
    assert (settings_.max_bytes, settings_.stall_timeout_s) == (5000, 2.5)
    assert settings_.policy_for(TICKS) == QueuePolicy(Policy.CONFLATE)
    assert settings_.policy_for(SERVICE) == QueuePolicy(Policy.DROP_OLDEST, 100)
    assert settings_.policy_for("services.orders.new") == QueuePolicy(Policy.DISCONNECT)
    assert settings_.policy_for("elsewhere") == QueuePolicy(Policy.CONFLATE)
    assert OutboxSettings.from_mapping({}) == OutboxSettings()


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (None, "outbox must be a mapping, was None"),
        ({"max_byte": 1}, "outbox has an unknown key 'max_byte'; known are max_bytes, stall_timeout, policies"),
        ({"max_bytes": 0}, "max_bytes must be a whole number > 0, was 0"),
        ({"max_bytes": True}, "max_bytes must be a whole number > 0, was True"),
        ({"max_bytes": 1e6}, "max_bytes must be a whole number > 0, was 1000000.0"),
        ({"stall_timeout": 0}, "stall_timeout must be a number of seconds > 0, was 0"),
        ({"stall_timeout": "10"}, "stall_timeout must be a number of seconds > 0, was '10'"),
        ({"stall_timeout": float("nan")}, "stall_timeout must be a number of seconds > 0, was nan"),
        ({"policies": ["market."]}, "policies must map topic prefixes to policies, was ['market.']"),
        ({"policies": {"a.": "conflate"}}, "policies['a.'] must be a mapping, was 'conflate'"),
        ({"policies": {"a.": {}}}, "policies['a.']: policy must be conflate, drop_oldest or disconnect, was None"),
        (
            {"policies": {"a.": {"policy": "x"}}},
            "policies['a.']: policy must be conflate, drop_oldest or disconnect, was 'x'",
        ),
        ({"policies": {"a.": {"policy": "drop_oldest"}}}, "policies['a.']: drop_oldest needs a depth, had none"),
        (
            {"policies": {"a.": {"policy": "drop_oldest", "depth": 0}}},
            "policies['a.']: depth must be a whole number > 0, was 0",
        ),
        (
            {"policies": {"a.": {"policy": "conflate", "depth": 1}}},
            "policies['a.']: depth belongs to drop_oldest, policy was 'conflate'",
        ),
        (
            {"policies": {"a.": {"policy": "conflate", "size": 1}}},
            "policies['a.'] has an unknown key 'size'; known are policy, depth",
        ),
    ],
)
def test_impossible_settings_are_refused_with_one_line(values: object, line: str) -> None:
    with pytest.raises(InvalidOutboxSettings) as refused:
        OutboxSettings.from_mapping(values)
    assert str(refused.value) == line


def condensed(settings: OutboxSettings, events: list[tuple[int, str, bytes]]) -> list[tuple[int, str, bytes, int]]:
    condenser = Condenser(settings)
    for event in events:
        condenser.add(*event)
    return list(condenser.condensed())


policies = st.sampled_from(
    [CONFLATE, drop_oldest(2), OutboxSettings(policies=(("market.", QueuePolicy(Policy.DROP_OLDEST, 3)),))]
)


@given(st.lists(st.lists(st.tuples(keys, volumes, st.integers(0, 30)), max_size=30), max_size=5), policies)
def test_what_was_condensed_before_leaves_an_outbox_as_its_events_would(
    parts: list[list[tuple[tuple[int, str], str, int]]], settings: OutboxSettings
) -> None:
    singly, condensing = ConflatingOutbox(settings), ConflatingOutbox(settings)
    seq = 0
    for part in parts:
        events = []
        for (subscription, topic), volume, spoilt in part:
            seq += 1
            payload = PAYLOADS[topic](seq) if topic in PAYLOADS else tick(seq, volume)
            # Now and then a market topic carries what is no tick.
            events.append((subscription, topic, b"[1]" if spoilt == 0 else payload))
        for event in events:
            singly.add(*event)
        for subscription, topic, payload, made_from in condensed(settings, events):
            condensing.add(subscription, topic, payload, made_from)
    assert condensing.counters == singly.counters
    assert accounted(condensing.counters, len(condensing))
    spoilt_keys = {key for part in parts for key, _, spoilt in part if spoilt == 0}

    def comparable(delivery: Delivery) -> tuple[object, ...]:
        # Once a key carried what is no tick the newest wins, and that may be a merged one.
        shown = b"" if delivery[:2] in spoilt_keys else delivery.payload
        return (*delivery[:2], shown, *delivery[3:])

    assert sorted(map(comparable, condensing.drain())) == sorted(map(comparable, singly.drain()))


def test_a_session_without_room_is_told_so_by_what_was_condensed() -> None:
    disconnect = OutboxSettings(policies=((STATUS, QueuePolicy(Policy.DISCONNECT)),))
    [waiting] = condensed(disconnect, [(1, TICKS, tick(1)), (1, TICKS, tick(2))])
    assert waiting[3] == 2
    outbox = ConflatingOutbox(disconnect)
    assert outbox.add(*waiting) is None
    [refused] = condensed(disconnect, [(2, STATUS, b"{}")])
    assert outbox.add(*refused) is CloseReason.QUEUE_FULL
    assert accounted(outbox.counters, 0)
