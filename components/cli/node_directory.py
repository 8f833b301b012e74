"""A node directory's configuration, as far as a command needs it before Crossbar reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import yaml

from components.doctor.node_setup import CONFIGURATIONS


def read_configuration(cbdir: Path) -> dict[str, Any]:
    """Return what the configuration file holds.

    Raises:
        click.ClickException: there is none, or it is none; in one line.
    """
    path = next((cbdir / name for name in CONFIGURATIONS if (cbdir / name).is_file()), None)
    if path is None:
        raise click.ClickException(
            f"{cbdir} is no node directory: it has no {CONFIGURATIONS[0]}; crosstick config --out DIR makes one"
        )
    try:
        # JSON is YAML, too.
        configuration = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise click.ClickException(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(configuration, dict):
        raise click.ClickException(f"{path} must hold a mapping, as crosstick config prints one")
    return configuration
