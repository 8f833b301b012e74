"""Modules of clients/, which is no package."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from tests.clients.command import CLIENTS


def load(path: str) -> ModuleType:
    """Import a file of clients/."""
    location = CLIENTS / path
    spec = importlib.util.spec_from_file_location(f"clients_{location.stem}", location)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look themselves up there.
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module
