"""The ``crosstick`` command; one module per group of subcommands."""

from __future__ import annotations

import click

from components.cli.bench import bench
from components.cli.cluster import cluster
from components.cli.config import config
from components.cli.exchange import exchange, fault
from components.cli.feed import feed
from components.cli.node import node
from components.cli.revoke import revoke
from components.cli.run import run
from components.cli.symbols import symbols
from components.cli.token import token


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Crosstick: a market-data gateway built on Crossbar.io."""


for command in (run, feed, node, config, token, revoke, symbols, exchange, fault, bench, cluster):
    main.add_command(command)
