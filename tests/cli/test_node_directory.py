"""What is said, in one line, of a folder in which no node can run."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from components.cli import main


@pytest.mark.parametrize(
    ("content", "command", "says"),
    [
        (None, "run", "is no node directory: it has no config.yaml"),
        (None, "node", "is no node directory: it has no config.yaml"),
        ("workers: [", "run", "config.yaml cannot be read: while parsing"),
        ("workers: [", "node", "config.yaml cannot be read: while parsing"),
        ("\x00", "node", "config.yaml cannot be read: unacceptable character"),
        ("a list", "node", "config.yaml must hold a mapping"),
        ("{}", "run", "has a configuration that cannot be"),
        ("workers: [{transports: [{type: web, endpoint: {port: many}}]}]", "run", "has a configuration that cannot be"),
        ("workers: []", "run", "has no web transport"),
    ],
)
def test_a_folder_without_a_configuration_is_told_of(
    tmp_path: Path, content: str | None, command: str, says: str
) -> None:
    if content is not None:
        (tmp_path / "config.yaml").write_text(content)
    done = CliRunner().invoke(main, [command, "--cbdir", str(tmp_path)])
    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
    assert says in done.output
    assert done.output.count("\n") == 1
