"""What becomes of the workers' metrics when they are those of a node."""

from __future__ import annotations

from math import inf
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from components.core.faults import CONDITIONS, MOMENTS, Fault, FaultReach
from components.core.histogram import Histogram
from components.router.metrics.families import (
    RULES,
    SEEN_BY_ALL,
    Merge,
    counter,
    gauge,
    gauge_histogram,
    histogram,
    merged,
    parse,
)
from components.router.metrics.worker import fault_metrics

BOUNDS = (0.1, 1.0, 10.0)


class Families(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


def text_of(metrics: list[Metric]) -> str:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Families(metrics))
    return generate_latest(registry).decode()


def samples_of(metrics: list[Metric]) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for metric in parse(text_of(metrics))
        for sample in metric.samples
    }


def observed(values: list[float]) -> Histogram:
    made = Histogram(BOUNDS)
    for value in values:
        made.observe(value)
    return made


def a_worker(number: int, values: list[float], peers: dict[str, float]) -> list[Metric]:
    return [
        counter("t_events", "Events", number),
        counter("t_by_reason", "By reason", {"one": number, "two": 1}, "reason"),
        counter("t_seen", "Seen by all", number, seen_by_all=True),
        counter(
            "t_faults", "Some of them", {"far": number, "own": number}, "fault", seen_by_all=frozenset({"far", "away"})
        ),
        gauge("t_sessions", "Sessions", {"market": number}, Merge.SUM, "realm"),
        gauge("t_lag", "Lag", number, Merge.MAX),
        gauge("t_connected", "Connected", number, Merge.MIN),
        gauge("t_links", "Links", peers, Merge.MIN, "peer"),
        histogram("t_age", "Age", observed(values)),
        gauge_histogram("t_buffer", "Buffer", observed(values)),
    ]


# What a worker's text has is read back to the last digit; sums of such floats need not come out the same in another order.
numbers = st.integers(0, 10**9)
values = st.lists(st.sampled_from([0.0, 0.0625, 0.5, 5.0, 100.0]), max_size=8)
peers = st.dictionaries(st.sampled_from(["a", "b", 'with "quotes"\n']), st.integers(0, 1).map(float))
Workers = list[tuple[int, list[float], dict[str, float]]]
workers = st.lists(st.tuples(numbers, values, peers), min_size=1, max_size=4)

# Making and reading a text takes milliseconds.
few = settings(max_examples=20)


@few
@given(workers)
def test_a_node_has_sums_greatest_and_least_as_each_family_says(
    workers: Workers,
) -> None:
    texts = [text_of(a_worker(*worker)) for worker in workers]
    node = samples_of(merged(parse(text) for text in texts))
    counts = [number for number, _, _ in workers]
    assert node["t_events_total",] == sum(counts)
    assert node["t_by_reason_total", "one"] == sum(counts)
    assert node["t_by_reason_total", "two"] == len(workers)
    assert node["t_seen_total",] == max(counts)
    assert node["t_faults_total", "far"] == max(counts)
    assert node["t_faults_total", "own"] == sum(counts)
    assert node["t_sessions", "market"] == sum(counts)
    assert node["t_lag",] == max(counts)
    assert node["t_connected",] == min(counts)
    for peer in {peer for _, _, links in workers for peer in links}:
        assert node["t_links", peer] == min(links[peer] for _, _, links in workers if peer in links)
    everything = [value for _, values, _ in workers for value in values]
    for name in ("t_age", "t_buffer"):
        for bound in (*BOUNDS, inf):
            shown = "+Inf" if bound == inf else str(bound)
            assert node[f"{name}_bucket", shown] == sum(value <= bound for value in everything)
    assert node["t_age_count",] == node["t_buffer_gcount",] == len(everything)
    assert node["t_age_sum",] == node["t_buffer_gsum",] == sum(everything)


@few
@given(workers)
def test_the_metrics_of_one_worker_are_those_of_a_node_of_one(
    workers: Workers,
) -> None:
    alone = a_worker(*workers[0])
    assert samples_of(merged([parse(text_of(alone))])) == samples_of(alone)


@few
@given(workers)
def test_a_nodes_metrics_can_be_merged_again_in_any_order(
    workers: Workers,
) -> None:
    each = [parse(text_of(a_worker(*worker))) for worker in workers]
    first, *others = each
    assert samples_of(merged([*others, first])) == samples_of(merged([first, merged(others)]))


@few
@given(st.lists(st.fixed_dictionaries(dict.fromkeys((*CONDITIONS, *MOMENTS), numbers)), min_size=1, max_size=4))
def test_a_fault_that_all_workers_see_counts_once_and_one_of_their_own_for_each(
    counted: list[dict[Fault, int]],
) -> None:
    texts = []
    for counts in counted:
        log: Any = SimpleNamespace(counts=counts, active=list)
        worker: Any = SimpleNamespace(faults=log)
        texts.append(text_of(list(fault_metrics(worker))))
    node = samples_of(merged(parse(text) for text in texts))
    for fault in (*CONDITIONS, *MOMENTS):
        each = [counts[fault] for counts in counted]
        assert node["crosstick_faults_total", fault] == (max(each) if fault.reach is FaultReach.NODE else sum(each))


def test_a_gauge_that_nobody_has_a_rule_for_is_left_out() -> None:
    assert merged([parse("# TYPE t_unknown gauge\nt_unknown 1\n")]) == []


def test_a_family_has_one_rule() -> None:
    gauge("t_ruled", "Ruled", 1, Merge.MAX)
    with pytest.raises(ValueError, match="t_ruled is merged by max elsewhere"):
        gauge("t_ruled", "Ruled", 1, Merge.SUM)
    del RULES["t_ruled"]
    counter("t_ruled", "Ruled", 1, seen_by_all=True)
    with pytest.raises(ValueError, match="of t_ruled something else is seen by all workers elsewhere"):
        counter("t_ruled", "Ruled", 1)
    del SEEN_BY_ALL["t_ruled"]


def test_what_is_no_workers_text_is_none() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        parse("a nonsense")
