"""The ``crosstick`` command with all its options, as click knows them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import click

from components.cli import main
from components.docs.pages import table
from components.docs.source import markdown

REPOSITORY = Path(__file__).resolve().parents[2]

_MANY = 12
"""Choices that are more than that are not listed one by one."""


def commands() -> str:
    """Return a section for each command, in the order of ``crosstick --help``."""
    return "\n".join(_section(path, command) for path, command in _walk("crosstick", main))


def _walk(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        if command is not main:
            yield path, command
        with click.Context(command, info_name=path) as context:
            for name in command.list_commands(context):
                if (sub := command.get_command(context, name)) is not None and not sub.hidden:
                    yield from _walk(f"{path} {name}", sub)
    else:
        yield path, command


def _section(path: str, command: click.Command) -> str:
    paragraphs = inspect.cleandoc(command.help or "").split("\f")[0].split("\n\n")
    text = "\n\n".join(markdown(paragraph.replace("\b", "")) for paragraph in paragraphs)
    options = [
        parameter for parameter in command.params if isinstance(parameter, click.Option) and not parameter.hidden
    ]
    arguments = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
    usage = " ".join([path, *(_argument(argument) for argument in arguments)])
    if isinstance(command, click.Group) and not command.invoke_without_command:
        usage += " COMMAND"
    section = f"### {path}\n\n`{usage}{' [options]' if options else ''}`\n\n{text}\n"
    if command.epilog:
        section += f"\n```text\n{_plain(command.epilog).strip()}\n```\n"
    if options:
        rows = [[_option(option), _default(option), markdown(option.help or "")] for option in options]
        section += "\n" + table(["option", "default", "meaning"], rows)
    return section


def _plain(epilog: str) -> str:
    """Return the end of a command's help without click's marks of what is not to be wrapped."""
    return dedent(epilog.replace("\b", "").lstrip("\n").removeprefix("Examples:\n"))


def _argument(argument: click.Argument) -> str:
    name = (argument.name or "").upper() + ("…" if argument.nargs == -1 else "")
    shown = "|".join(getattr(argument.type, "choices", ())) or name
    return shown if argument.required else f"[{shown}]"


def _option(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    return names if option.is_flag else f"{names} {_value(option)}"


def _value(option: click.Option) -> str:
    if choices := _choices(option):
        return choices
    kind = option.type
    if isinstance(kind, click.IntRange | click.FloatRange):
        least, most = kind.min, kind.max
        return f"number from {least:,}" + ("" if most is None else f" to {most:,}")
    if isinstance(kind, click.Path | click.File):
        return "path"
    return {click.INT: "number", click.FLOAT: "number"}.get(kind, "text")


def _choices(parameter: click.Parameter) -> str:
    choices = list(getattr(parameter.type, "choices", ()))
    return " or ".join(f"`{choice}`" for choice in choices) if 0 < len(choices) <= _MANY else ""


def _default(option: click.Option) -> str:
    with click.Context(click.Command("any")) as context:
        value = option.get_default(context, call=False)
    if option.is_flag:
        return f"`{option.opts[0]}`" if value is True else ""
    if option.required:
        return "required"
    if value is None or callable(value) or not isinstance(value, str | int | float | Path):
        return ""
    if isinstance(value, Path) and value.is_relative_to(REPOSITORY):
        value = value.relative_to(REPOSITORY)
    return f"`{value}`"
