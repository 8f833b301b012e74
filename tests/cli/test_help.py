"""``crosstick --help`` and what else every command has."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version

import click
import pytest
from click.testing import CliRunner

from components.cli import SECTIONS, main

COMMANDS = [name for commands in SECTIONS.values() for name in commands]


def invoke(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, words, prog_name="crosstick", terminal_width=100)
    return result.exit_code, result.output


def commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {each.name}", each) for each in command.commands.values())


def test_without_a_command_there_is_help_in_sections() -> None:
    code, output = invoke()
    assert (code, output) == (2, invoke("--help")[1])
    for title in SECTIONS:
        assert f"\n{title}:\n" in output
    assert "Examples:" in output


def test_each_command_is_one_line_that_is_not_cut() -> None:
    lines = invoke("-h")[1].splitlines()
    for name in COMMANDS:
        [line] = [line for line in lines if line.startswith(f"  {name} ")]
        assert line.endswith(".")
        assert not line.endswith("...")
        assert len(line) <= 100


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_says_what_it_does_with_examples(name: str) -> None:
    code, output = invoke(name, "--help")
    assert code == 0
    assert "Examples:" in output
    assert f"    crosstick {name}" in output or f" crosstick {name}" in output


def test_each_option_is_explained() -> None:
    unexplained = [
        f"{name} {option.opts[0]}"
        for name, command in commands()
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert unexplained == []


def test_a_command_that_there_is_not_is_answered_with_one_that_there_is() -> None:
    code, output = invoke("wach")
    assert code == 2
    assert "No such command 'wach'. Did you mean 'watch'?" in output
    code, output = invoke("doctor", "--offlin")
    assert code == 2
    assert "Did you mean" in output or "Possible" in output or "--offline" in output


def test_the_version_is_the_packages() -> None:
    assert invoke("--version") == (0, f"crosstick {version('crosstick')}\n")


def test_a_shell_completes_commands() -> None:
    environ = {"_CROSSTICK_COMPLETE": "bash_complete", "COMP_WORDS": "crosstick wa", "COMP_CWORD": "1"}
    result = CliRunner().invoke(main, [], prog_name="crosstick", env=environ)
    assert result.output.splitlines() == ["plain,watch"]
