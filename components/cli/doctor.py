"""``crosstick doctor``: what is wrong, and what to do. Exit codes: 0 where nothing fails, 1 where something does."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from components.cli.options import node_directory_option
from components.cli.sections import examples

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(
    short_help="Find out what is wrong with a set-up, and what to do.",
    epilog=examples(
        "crosstick doctor                          the repository's own node, in this shell's environment",
        "crosstick doctor --cbdir node --offline   a node's directory, without asking the exchange",
        "crosstick doctor --quiet                  what is not well, alone",
        "crosstick doctor --json | jq '.checks[] | select(.level != \"ok\")'",
    ),
)
@node_directory_option
@click.option("--offline", is_flag=True, help="Do not connect to the exchange.")
@click.option("--quiet", is_flag=True, help="Show what is not well, alone.")
@click.option("--json", "as_json", is_flag=True, help="Print one object with everything.")
def doctor(cbdir: Path, offline: bool, quiet: bool, as_json: bool) -> None:
    """Look at software, set-up, secrets, network and machine, and say what is wrong and what to do.

    Run it as the node's user, with the node's environment, on the node's machine. It changes nothing and shows no secret. Each
    check has its time, some seconds. The exit code is 1 when something fails; warnings alone leave it at 0.
    """
    from components.doctor.checks import CHECKS
    from components.doctor.findings import Level, Result, worst
    from components.doctor.node_setup import Setup
    from components.doctor.run import run_checks

    results: list[Result] = []
    section = ""
    for result in run_checks(CHECKS, Setup.read(os.environ, cbdir.resolve(), offline=offline)):
        results.append(result)
        if as_json or (quiet and worst(result.findings) is Level.OK):
            continue
        if result.section != section:
            section = result.section
            click.secho(f"{section}", bold=True)
        for finding in result.findings:
            if quiet and finding.level is Level.OK:
                continue
            level = click.style(f"{finding.level.value:>4}", fg=_COLOURS[finding.level.value])
            click.echo(f"  {level}  {result.check}: {finding.text}")
            if finding.hint:
                click.echo(f"        → {finding.hint}")
    findings = [finding for result in results for finding in result.findings]
    number = {level: sum(one.level is level for one in findings) for level in Level}
    verdict = worst(findings)
    if as_json:
        summary = {level.value: count for level, count in number.items()}
        click.echo(
            json.dumps(
                {"level": verdict.value, "summary": summary, "checks": [each.as_object() for each in results]}, indent=1
            )
        )
    else:
        click.echo(f"{number[Level.OK]} ok, {number[Level.WARN]} to look at, {number[Level.FAIL]} wrong")
    sys.stdout.flush()
    # Checks that hang are threads of this process: it does not wait for them.
    os._exit(1 if verdict is Level.FAIL else 0) if _hangs() else sys.exit(1 if verdict is Level.FAIL else 0)


def _hangs() -> bool:
    import threading

    return any(thread.name.startswith("check-") for thread in threading.enumerate())
