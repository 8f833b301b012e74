"""From the measurements of several rounds to medians with their spread: as JSON, and as a table for people."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from components.bench.measure import Measurement
from components.bench.shapes import Shape


def summarize(measurements: Sequence[Measurement], shapes: Sequence[Shape]) -> dict[str, dict[str, Any]]:
    """Return ``{shape: {system: figures}}``.

    Figures are medians over the rounds, with least and greatest value in ``spread``. ``p50_ms``, ``p99_ms`` and ``p999_ms`` are
    those of the shape's first load; those of all loads are in ``latency``. Rounds with problems count like the others; what
    was wrong is told in ``problems``, and ``complete`` is false.
    """
    result: dict[str, dict[str, Any]] = {}
    for shape in shapes:
        by_system: dict[str, list[Measurement]] = {}
        for measurement in measurements:
            if measurement.shape == shape.name:
                by_system.setdefault(measurement.system, []).append(measurement)
        result[shape.name] = {name: _figures(rounds, shape) for name, rounds in by_system.items()}
    return result


def _figures(rounds: Sequence[Measurement], shape: Shape) -> dict[str, Any]:
    values: dict[str, list[float]] = {}
    for measurement in rounds:
        for name, value in measurement.values.items():
            values.setdefault(name, []).append(value)
    plain = {name: found for name, found in values.items() if "@" not in name}
    figures: dict[str, Any] = {name: _digits(statistics.median(found)) for name, found in plain.items()}
    latency = []
    for load in shape.load_names():
        found = {name.partition("@")[0]: numbers for name, numbers in values.items() if name.endswith(f"@{load}")}
        if found:
            medians = {name: _digits(statistics.median(numbers)) for name, numbers in found.items()}
            spread = {name: [_digits(min(numbers)), _digits(max(numbers))] for name, numbers in found.items()}
            latency.append({"load": load, **medians, "spread": spread})
    if latency and latency[0]["load"] == shape.load_names()[0]:
        figures |= {name: latency[0][name] for name in ("p50_ms", "p99_ms", "p999_ms") if name in latency[0]}
    if latency:
        figures["latency"] = latency
    figures["spread"] = {name: [_digits(min(found)), _digits(max(found))] for name, found in plain.items()}
    figures["rounds"] = len(rounds)
    figures["complete"] = not any(measurement.problems for measurement in rounds)
    figures["problems"] = list(dict.fromkeys(text for measurement in rounds for text in measurement.problems))
    figures["notes"] = list(dict.fromkeys(text for measurement in rounds for text in measurement.notes))
    return figures


def _digits(value: float) -> float:
    """Four significant digits: more than a noisy machine can tell."""
    return float(f"{value:.4g}")


_EVENT_COLUMNS = (
    ("delivered/s", "delivered_per_s"),
    ("CPU µs/event", "cpu_us_per_event"),
    ("p50 ms", "p50_ms"),
    ("p99 ms", "p99_ms"),
    ("p99.9 ms", "p999_ms"),
    ("RSS MB", "rss_mb"),
)
_CHURN_COLUMNS = (
    ("joins/s", "joins_per_s"),
    ("kB/idle conn.", "rss_kb_per_idle_connection"),
    ("coming back s", "coming_back_s"),
    ("subscr./s", "subscriptions_per_s"),
    ("base RSS MB", "base_rss_mb"),
)


def table(summary: dict[str, dict[str, Any]], shapes: Iterable[Shape]) -> str:
    """Return one Markdown table per shape: median (least … greatest) of each figure."""
    parts = []
    for shape in shapes:
        columns = _CHURN_COLUMNS if shape.churn else _EVENT_COLUMNS
        title = f"### {shape.name}: {shape.summary}\n"
        if shape.offered_per_s:
            title += f"\nLatency with {shape.offered_per_s[0]:,} events/s published.\n"
        rows = [["server", *(heading for heading, _ in columns)]]
        remarks = []
        for system, figures in summary[shape.name].items():
            rows.append([system, *(_cell(figures, key) for _, key in columns)])
            remarks += [f"- {system}: {text}" for text in figures["problems"] + figures["notes"]]
            remarks += _other_loads(system, figures, shape.load_names()[:1])
        parts.append(title + "\n" + _markdown(rows) + ("\n\n" + "\n".join(remarks) if remarks else ""))
    return "\n\n".join(parts)


def targets_table(verdicts: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table of targets with what was measured."""
    rows = [["shape", "target", "measured", "met"]]
    for verdict in verdicts:
        measured = verdict["measured"]
        known = measured is not None
        cells = (
            [f"{measured:g} {verdict['unit']}", "met" if verdict["met"] else "missed"]
            if known
            else ["–", "not measured"]
        )
        rows.append([verdict["shape"], verdict["target"], *cells])
    return "### What is to be reached\n\n" + _markdown(rows)


def conditions_table(conditions: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table of conditions with what was found."""
    rows = [["condition", "found", "holds"]]
    rows += [[condition["text"], condition["found"], "yes" if condition["holds"] else "NO"] for condition in conditions]
    return _markdown(rows)


def _other_loads(system: str, figures: dict[str, Any], in_columns: Sequence[str]) -> list[str]:
    return [
        f"- {system} at {_load(load)}: p50 {load['p50_ms']:g}, p99 {load['p99_ms']:g}, p99.9 {load['p999_ms']:g} ms, "
        f"{load['cpu_us_per_event']:g} µs per event"
        for load in figures.get("latency", [])
        if load["load"] not in in_columns and "p50_ms" in load
    ]


def _load(load: dict[str, Any]) -> str:
    multiple, is_multiple, _ = load["load"].partition("x_stock")
    text = f"{load['offered_per_s']:,.0f} published/s"
    return f"{text}, {multiple} × what saturated stock Crossbar" if is_multiple else text


def _cell(figures: dict[str, Any], key: str) -> str:
    if key not in figures:
        return "–"
    text = _short(figures[key])
    low, high = figures["spread"].get(key) or (figures["latency"][0]["spread"][key])
    return text if low == high else f"{text} ({_short(low)} … {_short(high)})"


def _short(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:.3g} M"
    return f"{value / 1e3:.3g} k" if value >= 1e4 else f"{value:,.0f}" if value >= 1e3 else f"{value:.3g}"


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
