"""``crosstick node``: ``crossbar start``, with a SIGTERM that lets the node's clients go first."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import click

from components.cli.node_directory import read_configuration
from components.cli.options import log_level_option, node_directory_option
from components.cli.sections import examples
from components.settings import LOG_JSON, SettingsError, log_form


@click.command(
    short_help="Run a node in production; SIGTERM lets its clients go first.",
    epilog=examples(
        "crosstick node                                       the repository's own",
        "crosstick node --cbdir /etc/crosstick/node --log-level warn",
        "crosstick doctor --cbdir /etc/crosstick/node         before the first start",
    ),
)
@node_directory_option
@log_level_option("info", "How much the node logs.")
def node(cbdir: Path, log_level: str) -> None:
    """Run a node until it is told to end: by SIGTERM gently, by another one or SIGINT at once."""
    try:
        json_log = log_form(os.environ) == LOG_JSON
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    # Crossbar would run a node that has nothing to do, or print a traceback.
    read_configuration(cbdir)
    # Until there is a reactor there is nothing to end in order, and nothing to say.
    at_first = signal.getsignal(signal.SIGINT)
    if at_first is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from autobahn.twisted import install_reactor

    # As Crossbar does, and before it: the import below needs a reactor.
    install_reactor(verbose=False, require_optimal_reactor=False)
    import crossbar

    from components import node_controller

    node_controller.install(json_log=json_log)
    sys.argv = ["crossbar", "start", "--cbdir", str(cbdir), "--loglevel", log_level]
    signal.signal(signal.SIGINT, at_first)
    crossbar.run()
