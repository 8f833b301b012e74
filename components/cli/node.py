"""``crosstick node``: ``crossbar start``, with a SIGTERM that lets the node's clients go first."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from components.cli.options import log_level_option, node_directory_option


@click.command()
@node_directory_option
@log_level_option("info", "How much the node logs.")
def node(cbdir: Path, log_level: str) -> None:
    """Run a node until it is told to end: by SIGTERM gently, by another one or SIGINT at once."""
    from autobahn.twisted import install_reactor

    # As Crossbar does, and before it: the import below needs a reactor.
    install_reactor(verbose=False, require_optimal_reactor=False)
    import crossbar

    from components import node_controller

    node_controller.install()
    sys.argv = ["crossbar", "start", "--cbdir", str(cbdir), "--loglevel", log_level]
    crossbar.run()
