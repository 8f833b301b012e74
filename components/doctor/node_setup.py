"""What is looked at: an environment, a node directory, and the configuration in it, read once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from components.doctor.node_file import NodeFile, NotAConfiguration
from components.settings import Settings, SettingsError, load_settings
from components.variables import KNOWN_VARIABLES

CONFIGURATIONS = ("config.yaml", "config.json")
"""What ``crossbar start`` reads, the first that there is."""


@dataclass(frozen=True, slots=True)
class Setup:
    """Each check is given one; what could not be read is for the check that is about it, and ``None`` to the others."""

    environ: Mapping[str, str]
    cbdir: Path
    offline: bool
    node: NodeFile | None
    node_problem: str
    settings: Settings | None
    """Of the names that there are; of those that there are not the check of the environment tells."""

    @classmethod
    def read(cls, environ: Mapping[str, str], cbdir: Path, *, offline: bool) -> Setup:
        """Read what there is."""
        node, node_problem = _node(cbdir)
        try:
            settings = load_settings(without_unknown(environ))
        except SettingsError:
            # Said by the check of the environment.
            settings = None
        return cls(environ, cbdir, offline, node, node_problem, settings)


def _node(cbdir: Path) -> tuple[NodeFile | None, str]:
    path = next((path for name in CONFIGURATIONS if (path := cbdir / name).is_file()), None)
    if path is None:
        return None, f"{cbdir} has no {' or '.join(CONFIGURATIONS)}"
    try:
        text = path.read_text()
        return NodeFile.parse(json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)), ""
    except OSError as error:
        return None, f"{path} cannot be read: {error.strerror}"
    except NotAConfiguration as error:
        return None, f"{path}: {error}"
    except (ValueError, yaml.YAMLError) as error:
        return None, f"{path} cannot be read: {' '.join(str(error).split())}"


def without_unknown(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the ``CROSSTICK_…`` names that there are not."""
    return {
        name: value for name, value in environ.items() if not name.startswith("CROSSTICK_") or name in KNOWN_VARIABLES
    }
