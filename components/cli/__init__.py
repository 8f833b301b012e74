"""The ``crosstick`` command; one module per group of subcommands."""

from __future__ import annotations

import click

from components.cli.sections import SectionedGroup, examples

SECTIONS = {
    "Run": {"run": "run", "node": "node", "feed": "feed"},
    "Look": {"watch": "watch"},
    "Operate": {"doctor": "doctor", "config": "config", "symbols": "symbols"},
    "Tokens": {"token": "token", "revoke": "revoke"},
    "Develop": {
        "record": "record",
        "replay": "replay",
        "exchange": "exchange",
        "fault": "exchange",
        "cluster": "cluster",
        "bench": "bench",
    },
}
"""By section the commands, and the module of each."""


@click.group(
    cls=SectionedGroup,
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "crosstick run              a node to try things with; prints the address of its page",
        "crosstick watch 'BTC*'     its prices, in this terminal",
        "crosstick doctor           what is wrong with this machine or set-up, and what to do",
        "crosstick COMMAND --help   what a command does, with examples",
    ),
)
@click.version_option(package_name="crosstick", prog_name="crosstick", message="%(prog)s %(version)s")
def main() -> None:
    """Crosstick: a market-data gateway built on Crossbar.io."""
