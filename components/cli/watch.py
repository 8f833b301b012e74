"""``crosstick watch``: the market in this terminal, or as lines for a pipe.

Exit codes: 0 when it is ended, 2 when the gateway refuses, 1 where ``--once`` comes to nothing.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from components.cli.ops_session import DEFAULT_URL
from components.cli.refused import why_refused
from components.cli.sections import examples
from components.cli.token import DEFAULT_NODE_DIRECTORY
from components.core.log_text import escaped
from components.uris import ERROR_AUTHENTICATION_FAILED

ONCE_TIMEOUT_S = 15.0
EXIT_REFUSED = 2
PLAIN_REALM = "market"
"""The realm that plain JSON is spoken for."""

_UNITS_MS = {"ms": 1, "s": 1000}


class _Rate(click.ParamType[int]):
    """``raw`` (0), or an interval such as ``100ms`` or ``1s``."""

    name = "rate"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the interval in ms."""
        if value == "raw":
            return 0
        match = re.fullmatch(r"([1-9][0-9]{0,6})(ms|s)", str(value))
        if match is None:
            self.fail(f"must be raw, or an interval such as 100ms or 1s; was {value!r}", param, ctx)
        return int(match[1]) * _UNITS_MS[match[2]]


@dataclass(frozen=True, slots=True)
class _Order:
    """What was asked for."""

    urls: list[str]
    sort: str
    once: bool
    as_json: bool


@click.command(
    short_help="Watch prices live, in this terminal or as lines.",
    epilog=examples(
        "crosstick watch                                    everything that the token grants",
        "crosstick watch BTCUSDT 'ETH*' --sort rate         some of it, the busiest first",
        "crosstick watch 'BTC*' --once                      a table, and the end",
        "crosstick watch BTCUSDT --json | jq .price         objects, one a line",
        "crosstick watch --url wss://a/ws --url wss://b/ws  two gateways: the other one when one is gone",
    ),
)
@click.argument("symbols", nargs=-1, metavar="[SYMBOL]...")
@click.option(
    "--url",
    "urls",
    multiple=True,
    metavar="URL",
    help=f"A gateway's WAMP address; repeatable.  [CROSSTICK_URL, else {DEFAULT_URL}]",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the token, read anew for each connection and before its end.  [CROSSTICK_TOKEN, else the node's key]",
)
@click.option(
    "--rate", "every_ms", default="raw", show_default=True, type=_Rate(), help="raw: each tick; or 100ms, 1s."
)
@click.option(
    "--sort",
    type=click.Choice(["symbol", "rate", "age", "change", "missed"]),
    default="symbol",
    show_default=True,
    help="Which symbols come first.",
)
@click.option("--once", is_flag=True, help="Print one table, or with --json an object for each symbol, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print what the gateway says as it comes, one object a line.")
@click.option(
    "--cbdir",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_NODE_DIRECTORY,
    help="The node directory whose development key mints a token where none is given.",
)
def watch(
    *,
    symbols: tuple[str, ...],
    urls: tuple[str, ...],
    token_file: Path | None,
    every_ms: int,
    sort: str,
    once: bool,
    as_json: bool,
    cbdir: Path,
) -> None:
    """Watch prices live in this terminal: SYMBOLs with * and ?, by default all that the token grants.

    q or Ctrl-C ends it, s takes another order. Where the output is no terminal, ticks are printed line by line. Prices are dim
    while they are not live. The exit code is 2 when the gateway refuses.
    """
    from components.watch.follow import Refused, Wish
    from components.watch.tokens import NoToken, token_source

    order = _Order(_plain_urls(urls or (os.environ.get("CROSSTICK_URL") or DEFAULT_URL,)), sort, once, as_json)
    try:
        tokens = token_source(os.environ, token_file, cbdir, order.urls)
    except NoToken as error:
        raise click.UsageError(str(error)) from error
    wish = Wish(
        # An exchange's symbols are in capitals.
        tuple(symbol.upper() for symbol in symbols),
        every_ms or None,
        streams=("tick", "book") if once or as_json or sys.stdout.isatty() else ("tick",),
        batched=once or not as_json,
    )
    try:
        asyncio.run(_watch(order, tokens, wish))
    except Refused as error:
        why = ""
        if ERROR_AUTHENTICATION_FAILED in str(error):
            # A file of tokens may have gone meanwhile.
            with suppress(NoToken):
                why = why_refused(tokens.get(), PLAIN_REALM, time.time())
        _say(f"refused: {error}{why}")
        sys.exit(EXIT_REFUSED)
    except _ReaderGone:
        # A reader that has gone, as in `… | head`, is an ordinary end; keep the interpreter from flushing into it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _watch(order: _Order, tokens: Any, wish: Any) -> None:
    from rich.console import Console

    from components.watch.board import Board
    from components.watch.follow import follow
    from components.watch.lines import JsonLines, Lines
    from components.watch.screen import Screen
    from components.watch.terminal import BoardFollower, show, stopped_by_signals

    board = Board(asyncio.get_running_loop().time(), time.time() * 1000)
    board.note = tokens.note
    in_terminal = sys.stdout.isatty() and not order.once and not order.as_json
    if tokens.note and not in_terminal:
        _say(tokens.note)
    follower: BoardFollower
    with stopped_by_signals() as stop:
        shown: Coroutine[Any, Any, None]
        if order.once:
            follower = BoardFollower(board)
            shown = _once(order, follower, stop)
        elif in_terminal:
            follower = BoardFollower(board)
            shown = show(Console(), board, Screen(order.sort), stop)
        else:
            follower = (JsonLines if order.as_json else Lines)(board, _write, _say)
            shown = _until(stop)
        tasks = [asyncio.ensure_future(follow(order.urls, tokens, wish, follower)), asyncio.ensure_future(shown)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended = [task for task in tasks if task.done()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in ended:
            task.result()


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()


async def _once(order: _Order, follower: Any, stop: asyncio.Event) -> None:
    from rich.console import Console

    from components.watch.follow import Refused
    from components.watch.lines import encode, row_object
    from components.watch.screen import Screen, sorted_rows
    from components.watch.terminal import Drawn

    waits = [asyncio.ensure_future(event.wait()) for event in (follower.is_live, stop)]
    await asyncio.wait(waits, timeout=ONCE_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    if stop.is_set():
        return
    board = follower.board
    if not follower.is_live.is_set():
        reason = board.reason or board.line.value
        raise click.ClickException(f"nothing came within {ONCE_TIMEOUT_S:g} s: {escaped(reason, len(reason))}")
    now_s = asyncio.get_running_loop().time()
    is_live = board.not_live_since_ms() is None
    rows = sorted_rows(list(board.rows.values()), order.sort, now_s)
    if order.as_json:
        _write("\n".join(encode(row_object(row, now_s, is_live=is_live)).decode() for row in rows))
    else:
        console = Console()
        if not is_live:
            _say("not live: " + (board.status.state if board.status is not None else "the feed has said nothing"))
        width = console.width if console.is_terminal else None
        lines = Screen().table(rows, now_s, width, is_live=is_live, at_once=True)
        if console.is_terminal:
            console.print(Drawn(lines), end="")
        else:
            _write("\n".join("".join(text for text, _ in line).rstrip() for line in lines))
    if board.unknown:
        # A script is not to take a part for the whole.
        raise Refused("; ".join(board.unknown))


def _plain_urls(given: tuple[str, ...]) -> list[str]:
    """Return the addresses of the plain WebSockets beside the WAMP ones that were given, with commas between perhaps."""
    from websockets.exceptions import InvalidURI
    from websockets.uri import parse_uri

    urls = [one.strip().rstrip("/") for each in given for one in each.split(",") if one.strip()]
    if not urls:
        raise click.UsageError("--url must name a gateway, was empty")
    for url in urls:
        try:
            parsed = parse_uri(url)
        except (InvalidURI, ValueError) as error:
            raise click.UsageError(f"--url must be such as {DEFAULT_URL}, was {url!r}") from error
        if parsed.username is not None or parsed.query:
            raise click.UsageError(
                "--url must have neither user nor query: the token goes by --token-file or CROSSTICK_TOKEN"
            )
    return [url if url.endswith("/trade") else f"{url}/trade" for url in urls]


class _ReaderGone(Exception):
    """Nobody reads the output any more; no error of the line to the gateway, as an ``OSError`` would be."""


def _write(text: str) -> None:
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise _ReaderGone from None


def _say(text: str) -> None:
    # A part of it may be a gateway's.
    click.echo(escaped(text, len(text)), err=True)
