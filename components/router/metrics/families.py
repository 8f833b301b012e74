"""How the metrics of a node's workers become the node's: a rule for each family, said where the family is made. Pure.

Counters and histograms are summed, but of counters, or samples of them, of what all workers see alike the greatest is taken. Of
a gauge the rule is said when it is made: a number of things is summed, while of ages, lags and what all workers see alike the
greatest is taken, and of what must be so in every worker the least.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from components.core.histogram import Histogram


class Merge(Enum):
    """What becomes of one worker's sample and another's."""

    SUM = "sum"
    MAX = "max"
    MIN = "min"


RULES: dict[str, Merge] = {
    # Of prometheus_client's own collector.
    "process_virtual_memory_bytes": Merge.SUM,
    "process_resident_memory_bytes": Merge.SUM,
    "process_start_time_seconds": Merge.MAX,
    "process_open_fds": Merge.SUM,
    "process_max_fds": Merge.MIN,
}
"""By family, for gauges; those made by ``gauge`` add theirs."""

SEEN_BY_ALL: dict[str, bool | frozenset[str]] = {}
"""By counter, what of it all workers see alike, see ``counter``: two that have seen the same have not seen it twice."""


def _rule(name: str, merge: Merge) -> None:
    if RULES.setdefault(name, merge) is not merge:
        raise ValueError(f"{name} is merged by {RULES[name].value} elsewhere")


def _seen_by_all(name: str, seen: bool | frozenset[str]) -> None:
    if SEEN_BY_ALL.setdefault(name, seen) != seen:
        raise ValueError(f"of {name} something else is seen by all workers elsewhere")


def gauge(
    name: str, help_text: str, value: float | Mapping[str, float], merge: Merge, label: str | None = None
) -> GaugeMetricFamily:
    """Return a gauge, of one value or of one for each value of a label."""
    _rule(name, merge)
    family = GaugeMetricFamily(name, help_text, labels=[] if label is None else [label])
    for label_value, each in value.items() if isinstance(value, Mapping) else [(None, value)]:
        family.add_metric([] if label_value is None else [label_value], float(each))
    return family


def counter(
    name: str,
    help_text: str,
    count: float | Mapping[str, float],
    label: str | None = None,
    *,
    seen_by_all: bool | frozenset[str] = False,
) -> CounterMetricFamily:
    """Return a counter, of one count or of one for each value of a label; its samples' name ends with ``_total``.

    ``seen_by_all``: every worker counts the same things, so that the greatest count is the node's; or those values of the label
    of which that is so.

    Raises:
        ValueError: the counter was made with another ``seen_by_all``.
    """
    _seen_by_all(name, seen_by_all)
    family = CounterMetricFamily(name, help_text, labels=[] if label is None else [label])
    for label_value, each in count.items() if isinstance(count, Mapping) else [(None, count)]:
        family.add_metric([] if label_value is None else [label_value], float(each))
    return family


def histogram(name: str, help_text: str, observed: Histogram) -> HistogramMetricFamily:
    """Return a histogram of what has been observed since the start."""
    return HistogramMetricFamily(name, help_text, _buckets(observed), observed.sum)


def gauge_histogram(name: str, help_text: str, observed: Histogram) -> GaugeHistogramMetricFamily:
    """Return a histogram of what is so at this moment."""
    _rule(f"{name}_gcount", Merge.SUM)
    _rule(f"{name}_gsum", Merge.SUM)
    return GaugeHistogramMetricFamily(name, help_text, _buckets(observed), observed.sum)


def _buckets(observed: Histogram) -> list[tuple[str, float]]:
    return [(as_label(bound), count) for bound, count in observed.cumulative()]


def only_grows(metric: Metric) -> bool:
    """Tell whether a family counts what has happened, rather than what is so at this moment.

    In the text a gauge histogram is a histogram; what gives it away is that its count is a gauge.
    """
    return metric.type == "counter" or (metric.type == "histogram" and f"{metric.name}_gcount" not in RULES)


def as_label(bound: float) -> str:
    """Return a bound as Prometheus writes it."""
    text: str = floatToGoString(bound)  # type: ignore[no-untyped-call]  # no types there
    return text


def parse(text: str) -> list[Metric]:
    """Return the families in a worker's text.

    Raises:
        ValueError: it is none.
    """
    return list(text_string_to_metric_families(text))


def merged(workers: Iterable[Iterable[Metric]]) -> list[Metric]:
    """Return the families of a node, from those of its workers.

    A family, or a sample, that only some workers have is that of these. A gauge without a rule is left out: nobody knows what
    it would say of the node.
    """
    families: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for metrics in workers:
        for metric in metrics:
            rule = _rule_of(metric)
            if rule is None:
                continue
            alike = _seen_alike(metric)
            if metric.name not in families:
                families[metric.name] = Metric(metric.name, metric.documentation, metric.type)
            samples = values.setdefault(metric.name, {})
            for sample in metric.samples:
                key = sample.name, tuple(sorted(sample.labels.items()))
                by = Merge.MAX if not alike.isdisjoint(sample.labels.values()) else rule
                samples[key] = _merge(by, samples[key], sample.value) if key in samples else sample.value
    for name, family in families.items():
        family.samples = [Sample(sample, dict(labels), value) for (sample, labels), value in values[name].items()]
    return list(families.values())


def _rule_of(metric: Metric) -> Merge | None:
    if metric.type == "gauge":
        return RULES.get(metric.name)
    if metric.type == "counter":
        return Merge.MAX if SEEN_BY_ALL.get(metric.name) is True else Merge.SUM
    return Merge.SUM if metric.type in ("histogram", "gaugehistogram") else None


def _seen_alike(metric: Metric) -> frozenset[str]:
    """Return the values of a counter's label that all workers count alike, where only some of them are such."""
    seen = SEEN_BY_ALL.get(metric.name, False)
    return frozenset() if isinstance(seen, bool) else seen


def _merge(rule: Merge, one: float, other: float) -> float:
    if rule is Merge.SUM:
        return one + other
    return max(one, other) if rule is Merge.MAX else min(one, other)
