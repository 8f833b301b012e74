"""``crosstick bench``: measure Crosstick beside stock Crossbar and NATS."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

import click

from components.bench.errors import BenchError
from components.bench.feed import run_feed
from components.bench.hostile.catalogue import ATTACKS
from components.bench.hostile.proof import Plan as HostilePlan
from components.bench.hostile.proof import run_hostile
from components.bench.measure import DEFAULT_SECONDS, Effort
from components.bench.metrics_cost import MAX_SHARE, run_metrics_cost
from components.bench.report import conditions_table, table, targets_table
from components.bench.run import run
from components.bench.shapes import SHAPES, Shape
from components.bench.slow import run_slow
from components.bench.slow_phase import Plan
from components.bench.systems import SYSTEMS
from components.bench.targets import MIN_FEED_FRAMES_PER_CORE_S
from components.bench.workers import CLIENTS, MIN_RATIO, run_workers
from components.cli.sections import examples


class _Names(click.ParamType[tuple[str, ...]]):
    """Some of a list of names, parted by commas."""

    name = "names"

    def __init__(self, known: tuple[str, ...]) -> None:
        self.known = known

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the names, each once."""
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(part.strip() for part in str(value).split(",") if part.strip()))
        for name in names or ("",):
            if name not in self.known:
                self.fail(f"must be some of {', '.join(self.known)}; had {name!r}", param, ctx)
        return names


_HOSTILE = HostilePlan()
_SHAPES = {shape.name: shape for shape in SHAPES}


def _some(names: Iterable[str]) -> str:
    return f"Some of {', '.join(names)}, parted by commas.  [all]"


@click.group(
    invoke_without_command=True,
    short_help="Measure Crosstick beside stock Crossbar and NATS.",
    epilog=examples(
        "crosstick bench --json out.json",
        "crosstick bench --systems crosstick --rounds 1 --seconds 2",
        "crosstick bench slow",
    ),
)
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures here.")
@click.option("--shapes", type=_Names(tuple(_SHAPES)), default=tuple(_SHAPES), help=_some(_SHAPES))
@click.option("--systems", type=_Names(tuple(SYSTEMS)), default=tuple(SYSTEMS), help=_some(SYSTEMS))
@click.option("--rounds", type=click.IntRange(1, 100), default=3, show_default=True, help="How often each is measured.")
@click.option(
    "--seconds",
    type=click.FloatRange(0.2, 600),
    default=DEFAULT_SECONDS,
    show_default=True,
    help="Length of one measurement.",
)
@click.pass_context
def bench(
    context: click.Context,
    json_file: Path | None,
    shapes: tuple[str, ...],
    systems: tuple[str, ...],
    rounds: int,
    seconds: float,
) -> None:
    """Measure throughput, CPU, latency and memory, server and load on different cores.

    Needs Linux and a C compiler. See tests/bench/README.md.
    """
    # As with Ctrl-C, so that no server is left behind.
    signal.signal(signal.SIGTERM, _interrupt)
    if context.invoked_subcommand is not None:
        return
    chosen: list[Shape] = [_SHAPES[name] for name in shapes]
    if json_file is not None and not json_file.resolve().parent.is_dir():
        raise click.BadParameter(f"no folder {json_file.resolve().parent}", param_hint="--json")
    try:
        result = run(chosen, systems, rounds, Effort(seconds), lambda line: click.echo(line, err=True))
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    click.echo(table(result["shapes"], chosen))
    if result["targets"]:
        click.echo("\n" + targets_table(result["targets"]))
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1) + "\n")
    if not all(figures["complete"] for shape in result["shapes"].values() for figures in shape.values()):
        click.echo("Not every measurement is sound; see above.", err=True)
        sys.exit(1)


@bench.command("feed")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures here.")
@click.option("--rounds", type=click.IntRange(1, 100), default=3, show_default=True, help="How often it is measured.")
@click.option("--seconds", type=click.FloatRange(0.2, 600), default=3.0, show_default=True, help="Length of a round.")
def bench_feed(json_file: Path | None, rounds: int, seconds: float) -> None:
    """Measure the feed alone: exchange frames per second and core, parsed, sequenced and batched."""
    try:
        result = run_feed(rounds, seconds, lambda line: click.echo(line, err=True))
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    figures = result["feed"]
    click.echo(
        f"{figures['frames_per_core_s']:,.0f} frames per second and core, {figures['cpu_us_per_frame']:.2f} µs of CPU each "
        f"({figures['core_cpu_us_per_frame']:.2f} of it parsing, sequencing and encoding), "
        f"{figures['events_per_batch']:.0f} events in a batch; "
        f"target ≥ {MIN_FEED_FRAMES_PER_CORE_S:,}: {'met' if result['target']['met'] else 'missed'}"
    )
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


@bench.command("workers")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures here.")
@click.option(
    "--clients", type=click.IntRange(10, 10_000), default=CLIENTS, show_default=True, help="How many look on."
)
@click.option("--rounds", type=click.IntRange(1, 100), default=3, show_default=True, help="How often each is measured.")
@click.option("--seconds", type=click.FloatRange(0.2, 600), default=5.0, show_default=True, help="Length of one.")
def bench_workers(json_file: Path | None, clients: int, rounds: int, seconds: float) -> None:
    """Measure what a second router worker on one port brings; needs Redis and the right to make control groups."""
    try:
        result = run_workers(clients, rounds, seconds, lambda line: click.echo(line, err=True))
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    ratios = result["ratios"]
    click.echo(
        f"two workers deliver {ratios['delivered_per_s']:.2f} × what one does, and {ratios['delivered_per_cpu_s']:.2f} × per "
        f"second of their CPU; target ≥ {MIN_RATIO:g} ×: {'met' if ratios['delivered_per_s'] >= MIN_RATIO else 'missed'}"
    )
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1) + "\n")
    for problem in result["problems"]:
        click.echo(f"  {problem}", err=True)
    sys.exit(1 if result["problems"] else 0)


@bench.command("metrics")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures here.")
@click.option("--clients", type=click.IntRange(1, 10_000), default=CLIENTS, show_default=True, help="How many look on.")
@click.option(
    "--rounds", type=click.IntRange(4, 100_000), default=1_000, show_default=True, help="How often it is measured."
)
def bench_metrics(json_file: Path | None, clients: int, rounds: int) -> None:
    """Measure what measuring costs: the fan-out with and without, in turns."""
    result = run_metrics_cost(clients, rounds, lambda line: click.echo(line, err=True))
    per_event = result["fanout"]["cpu_ns_per_event"]
    click.echo(
        f"{per_event['without']:.1f} ns of CPU for each delivered event without, {per_event['with']:.1f} with: "
        f"{result['fanout']['added']:.2%} more; of one flush {result['fanout']['cpu_us_per_flush']:.2f} µs, "
        f"{result['fanout']['share']:.2%}; beside that {result['per_second']['event_loop_lag']:.3%} of a core; "
        f"target < {MAX_SHARE:.0%}: {'met' if result['target']['met'] else 'missed'}"
    )
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1) + "\n")


@bench.command("slow")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures here.")
@click.option("--rounds", type=click.IntRange(1, 100), default=3, show_default=True, help="How often it is measured.")
def bench_slow(json_file: Path | None, rounds: int) -> None:
    """Prove that clients that do not read hurt nobody: 10 of 100 at 5,000 ticks/s, and one that reads slowly."""
    _prove(lambda say: run_slow(Plan(), rounds, say), json_file)


@bench.command("hostile")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures here.")
@click.option("--rounds", type=click.IntRange(1, 100), default=3, show_default=True, help="How often it is measured.")
@click.option(
    "--seconds",
    type=click.FloatRange(5, 600),
    default=_HOSTILE.measured_s,
    show_default=True,
    help="Length of a phase.",
)
@click.option(
    "--intensity",
    type=click.FloatRange(0.01, 100),
    default=_HOSTILE.intensity,
    show_default=True,
    help="How many attackers, as a multiple of the usual number.",
)
@click.option(
    "--attacks",
    type=_Names(tuple(ATTACKS)),
    default=tuple(ATTACKS),
    help="Some of the attacks, parted by commas.  [all]",
)
def bench_hostile(
    json_file: Path | None, rounds: int, seconds: float, intensity: float, attacks: tuple[str, ...]
) -> None:
    """Prove that attackers by the hundred hurt nobody: 50 honest clients at 2,000 ticks/s, with them and without."""
    plan = HostilePlan(measured_s=seconds, intensity=intensity, attacks=attacks)
    _prove(lambda say: run_hostile(plan, rounds, say), json_file)


def _prove(run_proof: Callable[[Callable[[str], None]], dict[str, Any]], json_file: Path | None) -> None:
    try:
        result = run_proof(lambda line: click.echo(line, err=True))
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    click.echo(conditions_table(result["conditions"]))
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1) + "\n")
    if not all(condition["holds"] for condition in result["conditions"]):
        sys.exit(1)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
