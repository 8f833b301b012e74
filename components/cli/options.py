"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from components.cli.token import DEFAULT_NODE_DIRECTORY

_Command = TypeVar("_Command", bound=Callable[..., Any])

node_directory_option = click.option(
    "--cbdir",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=DEFAULT_NODE_DIRECTORY,
    help="The node directory.",
)


def log_level_option(default: str, help_text: str) -> Callable[[_Command], _Command]:
    """Return the option ``--log-level``, with Crossbar's levels."""
    return click.option(
        "--log-level",
        type=click.Choice(["error", "warn", "info", "debug"]),
        default=default,
        show_default=True,
        help=help_text,
    )
