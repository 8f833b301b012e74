"""How ``crosstick`` shows its commands: in sections, by what people want; each is loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click
from click.exceptions import NoSuchCommand

Sections = Mapping[str, Mapping[str, str]]
"""By a section's title the names of its commands, and of each the module in this package that has a function of that name."""


def examples(*lines: str) -> str:
    """Return the end of a command's help: command lines that are shown as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


class SectionedGroup(click.Group):
    """A group whose help has its commands in sections.

    A command's module is imported when the command is called or helped with: one needs Twisted, another a compiler.
    """

    def __init__(self, *, sections: Sections, **attributes: Any) -> None:
        super().__init__(**attributes)
        self._sections = sections
        self._modules = {name: module for commands in sections.values() for name, module in commands.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names, in the order of the sections."""
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; ``None`` where there is none of that name."""
        if cmd_name not in self._modules:
            return None
        if cmd_name not in self.commands:
            module = import_module(f"{__package__}.{self._modules[cmd_name]}")
            self.add_command(getattr(module, cmd_name), cmd_name)
        return self.commands[cmd_name]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments begin with; of one that there is not, those that are meant perhaps are named."""
        if args[0] not in self._modules and not args[0].startswith("-"):
            raise NoSuchCommand(args[0], possibilities=self._modules, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one list for each section, the names in one column."""
        width = max(map(len, self._modules))
        for title, names in self._sections.items():
            rows = []
            for name in names:
                if (command := self.get_command(ctx, name)) is not None:
                    rows.append((name.ljust(width), command.get_short_help_str(formatter.width - width - 6)))
            with formatter.section(title):
                formatter.write_dl(rows)
