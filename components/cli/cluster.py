"""``crosstick cluster``: the topology of ``docker/compose.yaml`` on this machine, and proof that its faults lose nothing."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click

from components.cli.sections import examples
from components.cluster.faults import IN_TURN, RESTART_AFTER_S, Fault, faults, long_faults
from components.cluster.prometheus import beside
from components.cluster.proof import named_late, prove
from components.cluster.topology import Cluster, ClusterError, Part, Plan
from components.tokens import TokenAuthority
from components.uris import OPERATORS_REALM

PAGE_TOKEN_TTL_S = 7 * 86_400
LONG_MINUTES = 5
"""A proof of that length has time for faults that take most of a minute."""


def _plan(decorated: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--gateways", type=click.IntRange(1, 32), default=3, show_default=True, help="How many."),
        click.option("--feeds", type=click.IntRange(1, 8), default=2, show_default=True, help="How many; one leads."),
        click.option("--symbols", type=click.IntRange(1, 121), default=100, show_default=True, help="How many."),
        click.option(
            "--rate", type=click.IntRange(1, 50_000), default=2_000, show_default=True, help="Trades per second."
        ),
        click.option(
            "--prometheus",
            "with_prometheus",
            is_flag=True,
            help="Run Prometheus beside it, which says what is wrong by name.",
        ),
        click.option(
            "--port", type=click.IntRange(0, 65_535), default=0, help="The balancer's.  [default: any free one]"
        ),
    ):
        decorated = option(decorated)
    return decorated


@click.group(
    short_help="Run a whole cluster on this machine, and put it through faults.",
    epilog=examples(
        "crosstick cluster run --gateways 2 --rate 5000",
        "crosstick cluster prove --clients 200 --minutes 10 --json proof.json",
    ),
)
def cluster() -> None:
    """Run Redis, two feeds, three gateways and HAProxy as processes of this machine."""


@cluster.command()
@_plan
@click.option(
    "--directory",
    "kept",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep logs and configurations here, in a new or empty folder.  [default: one that goes with the cluster]",
)
def run(
    *, gateways: int, feeds: int, symbols: int, rate: int, with_prometheus: bool, port: int, kept: Path | None
) -> None:
    """Start a cluster, print its pages' addresses, and stop it all on Ctrl-C.

    Its tokens are of the key that CROSSTICK_TOKEN_KEY_FILE or CROSSTICK_TOKEN_KEY names, else of one of its own.
    """
    plan = Plan(gateways=gateways, feeds=feeds, symbols=symbols, rate_per_s=rate, port=port)
    with _folder(kept) as directory, _interruptible() as interruption:
        try:
            laid_out = Cluster(directory, plan)
            interruption.parts = laid_out.parts
            with (
                laid_out as running,
                beside(running, directory, with_prometheus) as prometheus,
            ):
                click.echo("\nThe cluster is ready.")
                for line in page_lines(running.url, running.authority, int(time.time())):
                    click.echo(line)
                for part, port in zip(running.parts, running.ports, strict=True):
                    click.echo(f"  {part.name}: port {port}, process {part.pid}, log {part.log}")
                if prometheus is not None:
                    click.echo(f"  prometheus: http://127.0.0.1:{prometheus.port}/graph?g0.expr=crosstick:fault")
                if kept is None:
                    click.echo("The logs are deleted with the cluster; --directory keeps them.")
                click.echo("Kill what you like: it is started anew after two seconds. Ctrl-C stops it all.\n")
                with suppress(KeyboardInterrupt):
                    _supervise(running)
                click.echo("\nStopping …")
                if kept is not None:
                    click.echo(f"The logs stay in {directory}.")
        except ClusterError as error:
            raise click.ClickException(str(error)) from error
    if interruption.is_hurried:
        click.echo("Killed at once, by another signal.", err=True)
        sys.exit(1)


@cluster.command("prove")
@_plan
@click.option("--clients", type=click.IntRange(1, 5_000), default=200, show_default=True, help="How many look on.")
@click.option(
    "--minutes", type=click.FloatRange(0.1, 600), help="Faults drawn at random for so long, instead of four in turn."
)
@click.option("--random-seed", type=int, default=1, show_default=True, help="What is drawn.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures here.")
def prove_(
    *,
    gateways: int,
    feeds: int,
    symbols: int,
    rate: int,
    with_prometheus: bool,
    port: int,
    clients: int,
    minutes: float | None,
    random_seed: int,
    json_file: Path | None,
) -> None:
    """Kill a gateway, then the leading feed, restart Redis, drain a gateway: no client may miss a tick without being told."""
    plan = Plan(gateways=gateways, feeds=feeds, symbols=symbols, rate_per_s=rate, port=port, seed=abs(random_seed))
    generator = random.Random(random_seed)  # noqa: S311 - to be repeatable
    kinds = faults(generator, gateways) | (long_faults() if minutes is not None and minutes >= LONG_MINUTES else {})

    def drawn() -> Iterator[Fault]:
        until_s = time.monotonic() + (minutes or 0) * 60
        while time.monotonic() < until_s:
            yield kinds[generator.choice(sorted(kinds))]()

    chosen = drawn() if minutes else (kinds[name]() for name in IN_TURN)
    with tempfile.TemporaryDirectory(prefix="crosstick-cluster-") as directory, _interruptible() as interruption:
        try:
            laid_out = Cluster(Path(directory), plan)
            interruption.parts = laid_out.parts
            with (
                laid_out as running,
                beside(running, Path(directory), with_prometheus) as prometheus,
            ):
                report = asyncio.run(prove(running, clients, chosen, click.echo, prometheus=prometheus))
        except ClusterError as error:
            raise click.ClickException(str(error)) from error
    report["problems"] += named_late(report)
    if json_file is not None:
        json_file.write_text(json.dumps(report, indent=1) + "\n")
    seen = report["clients"]
    click.echo(
        f"{seen['number']} clients on {seen['connections']} connections: {seen['ticks']:,} ticks, {seen['replayed']:,} of them"
        f" replayed; {seen['gaps']} gaps of {seen['missing']} ticks and {seen['epochs']} epochs that they were told of,"
        f" {seen['lost']} trades that no feed got; unexplained: {len(report['problems'])}"
    )
    for problem in report["problems"]:
        click.echo(f"  {problem}", err=True)
    sys.exit(1 if report["problems"] else 0)


def page_lines(url: str, authority: TokenAuthority, now_s: int) -> list[str]:
    """Return where the market page and the operators' are, with tokens that ``authority`` mints."""

    def minted(role: str, realm: str) -> str:
        return authority.mint(sub="page", role=role, realm=realm, now_s=now_s, ttl_s=PAGE_TOKEN_TTL_S)

    return [
        f"Open {url}/#token={minted('viewer', 'market')}",
        f"For operators: {url}/operator.html#token={minted('operator', OPERATORS_REALM)}",
    ]


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    """Yield an empty folder: ``kept``, or one that is deleted afterwards."""
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="crosstick-cluster-") as directory:
            yield Path(directory)
        return
    try:
        kept.mkdir(parents=True, exist_ok=True)
        is_empty = not any(kept.iterdir())
    except OSError as error:
        raise click.ClickException(f"{kept} cannot be used: {error.strerror}") from error
    if not is_empty:
        raise click.ClickException(f"{kept} is not empty; name a new folder")
    yield kept.absolute()


def _supervise(running: Cluster) -> None:
    while True:
        ended = [part for part in running.parts if not part.running]
        if ended:
            # As what supervises parts elsewhere does; a part that cannot run is tried again for ever.
            time.sleep(RESTART_AFTER_S)
        for part in ended:
            part.kill()
            part.start()
            click.echo(f"{part.name} had ended, and is started anew: process {part.pid}")
        time.sleep(0.5)


@dataclass
class _Interruption:
    """What signals make of a cluster's run."""

    parts: Sequence[Part] = ()
    """What is there to be ended."""
    is_interrupted: bool = False
    is_hurried: bool = False
    """Whether a second signal has come."""

    def take(self, _number: int, _frame: FrameType | None) -> None:
        """Be a signal handler."""
        if not self.is_interrupted:
            self.is_interrupted = True
            raise KeyboardInterrupt
        # Breaking off what ends the parts would leave some of them running.
        self.is_hurried = True
        for part in self.parts:
            part.kill_without_waiting()


@contextmanager
def _interruptible() -> Iterator[_Interruption]:
    """Let SIGTERM end as Ctrl-C does, and another one of them kill all parts instead of ending them in order."""
    interruption = _Interruption()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [(number, signal.signal(number, interruption.take)) for number in numbers]
    try:
        yield interruption
    finally:
        for number, handler in before:
            signal.signal(number, handler)
