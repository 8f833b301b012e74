"""``crosstick symbols``: what the feeds of a running node follow, seen and changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import click

from components.cli.ops_session import Call, as_operator
from components.cli.sections import examples
from components.settings import SettingsError, parse_symbols
from components.uris import ERROR_CHANGED_MEANWHILE, FEED_RESET_SYMBOLS, FEED_SET_SYMBOLS, FEED_SYMBOLS

CHANGE_TRIES = 5
LOOK_EVERY_S = 0.2
IN_FORCE_WITHIN_S = 8.0
"""How long a change is waited for until the leading feed says that it follows it; feeds look for one some times a second."""

_symbols = click.argument("symbols", nargs=-1, required=True)
_json = click.option("--json", "as_json", is_flag=True, help="Print what the node answers, as JSON.")


@click.group(
    short_help="See and change what the feeds follow, without a restart.",
    epilog=examples(
        "export CROSSTICK_TOKEN=$(crosstick token --sub olga --role operator --realm ops)",
        "crosstick symbols list",
        "crosstick symbols add SOLUSDT XRPUSDT",
        "crosstick symbols set BTCUSDT,ETHUSDT",
        "crosstick symbols reset",
    ),
)
def symbols() -> None:
    """See and change what the feeds follow, without a restart.

    CROSSTICK_TOKEN is an operator's token for realm ops; CROSSTICK_URL is the gateway, by default ws://127.0.0.1:8080/ws.
    A change is kept, and in force on all nodes of a Redis or Kafka.
    """


@symbols.command("list")
@_json
def list_(*, as_json: bool) -> None:
    """Print what is followed, and what is wrong with it."""
    _show(as_operator(lambda call: call(FEED_SYMBOLS)), as_json=as_json)


@symbols.command("set")
@_symbols
@_json
def set_(*, symbols: tuple[str, ...], as_json: bool) -> None:
    """Follow these SYMBOLS, such as BTCUSDT, and no others."""
    wanted = _parsed(symbols)
    _show(as_operator(lambda call: _change(call, lambda _: wanted)), as_json=as_json)


@symbols.command()
@_symbols
@_json
def add(*, symbols: tuple[str, ...], as_json: bool) -> None:
    """Follow these SYMBOLS besides."""
    wanted = _parsed(symbols)
    _show(as_operator(lambda call: _change(call, lambda now: list(dict.fromkeys([*now, *wanted])))), as_json=as_json)


@symbols.command()
@_symbols
@_json
def remove(*, symbols: tuple[str, ...], as_json: bool) -> None:
    """Follow these SYMBOLS no longer."""
    unwanted = _parsed(symbols)

    def without(now: Sequence[str]) -> list[str]:
        unknown = [symbol for symbol in unwanted if symbol not in now]
        if unknown:
            raise click.ClickException(f"{unknown[0]} is not followed")
        return [symbol for symbol in now if symbol not in unwanted]

    _show(as_operator(lambda call: _change(call, without)), as_json=as_json)


@symbols.command()
@_json
def reset(*, as_json: bool) -> None:
    """Follow CROSSTICK_SYMBOLS again.

    Those of each feed's own environment.
    """

    async def back(call: Call) -> Any:
        return await _in_force(call, (await call(FEED_RESET_SYMBOLS))["version"])

    _show(as_operator(back), as_json=as_json)


def _parsed(symbols: Sequence[str]) -> list[str]:
    """Return symbols that may be separated by spaces or commas; what can be none is told before a node is asked."""
    try:
        return list(parse_symbols(",".join(symbols), "SYMBOLS"))
    except SettingsError as error:
        raise click.UsageError(str(error)) from error


async def _change(call: Call, changed: Callable[[Sequence[str]], list[str]]) -> Any:
    """Let the symbols be what ``changed`` makes of those that are followed, whoever else changes them at the same time."""
    from autobahn.wamp import ApplicationError

    for tries_left in reversed(range(CHANGE_TRIES)):
        before = await call(FEED_SYMBOLS)
        try:
            answer = await call(FEED_SET_SYMBOLS, symbols=changed(before["symbols"]), if_version=before["version"])
        except ApplicationError as error:
            if error.error != ERROR_CHANGED_MEANWHILE or not tries_left:
                raise
            # The feeds are about to hear of the other change.
            await _pause(2 * LOOK_EVERY_S)
        else:
            return await _in_force(call, answer["version"])
    raise AssertionError("unreachable")


async def _in_force(call: Call, version: int) -> Any:
    """Return what is followed as soon as the leading feed follows the choice of that version, or a later one."""
    from twisted.internet import reactor

    loop: Any = reactor
    until_s = loop.seconds() + IN_FORCE_WITHIN_S
    while (answer := await call(FEED_SYMBOLS))["version"] < version:
        if loop.seconds() > until_s:
            raise click.ClickException(
                f"kept, but no feed says that it follows it, {IN_FORCE_WITHIN_S:g} s later: look with crosstick symbols list"
            )
        await _pause(LOOK_EVERY_S)
    return answer


async def _pause(seconds: float) -> None:
    from twisted.internet import reactor
    from twisted.internet.task import deferLater

    loop: Any = reactor
    await deferLater(loop, seconds)


def _show(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(answer))
        return
    for symbol in answer["symbols"]:
        reason = answer["rejected"].get(symbol) or ("nothing has come yet" if symbol in answer["awaited"] else "")
        click.echo(f"{symbol}  {reason}" if reason else symbol)
    whose = f"chosen by {answer['by']}" if answer["source"] == "operator" else "of the feed's environment"
    click.echo(f"{len(answer['symbols'])} symbols, {whose}", err=True)
