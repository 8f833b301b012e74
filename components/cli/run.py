"""``crosstick run``: start a development node, say where it is, and end it cleanly.

Owns the node's process and its end; what runs inside is Crossbar's business and the configuration's.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import FrameType

import click

from components.cli.node_directory import read_configuration
from components.cli.options import log_level_option, node_directory_option
from components.cli.sections import examples
from components.settings import LOG_JSON, Settings, SettingsError, load_settings
from components.tokens import TokenAuthority, TokenKeyError, create_development_key, load_authority
from components.uris import OPERATORS_REALM

LIVE_EXCHANGE_URL = "wss://data-stream.binance.vision"
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 4.0
PAGE_TOKEN_TTL_S = 7 * 86_400

_CROSSTICK = str(Path(sys.executable).with_name("crosstick"))


class _Interrupted(Exception):
    """A signal asked for the end."""


@click.command(
    short_help="Start a node for development, and print its page's address.",
    epilog=examples(
        "crosstick run                  on the simulated exchange",
        "crosstick run --feed binance   on Binance's live market data",
        "CROSSTICK_SYMBOLS=BTCUSDT,ETHUSDT CROSSTICK_RATE=5000 crosstick run",
    ),
)
@click.option(
    "--feed",
    type=click.Choice(["simulated", "binance"]),
    default="simulated",
    show_default=True,
    help="The built-in simulated exchange, or Binance's live market data.",
)
@node_directory_option
@log_level_option("warn", "How much of the node's log to show.")
def run(feed: str, cbdir: Path, log_level: str) -> None:
    """Start a node for development, print the page's address, and stop it all on Ctrl-C."""
    environment = dict(os.environ)
    if feed == "binance":
        environment.setdefault("CROSSTICK_EXCHANGE_URL", LIVE_EXCHANGE_URL)
    interface, port = _public_endpoint(cbdir)
    try:
        create_development_key(cbdir)
        settings = load_settings(environment)
        authority = load_authority(environment, cbdir)
    except (SettingsError, TokenKeyError) as error:
        raise click.ClickException(str(error)) from error
    base_url = f"http://{interface}:{port}"
    # Where the log is for machines, standard output is the log's alone.
    say = partial(click.echo, err=settings.log == LOG_JSON)
    _require_free(interface, port)
    if settings.simulator is not None:
        _require_free(settings.simulator.host, settings.simulator.port)

    with _signals_as_exceptions():
        # A session of its own, so that Ctrl-C reaches this process only and the node gets one orderly request to end.
        node = subprocess.Popen(
            [_CROSSTICK, "node", "--cbdir", str(cbdir), "--log-level", log_level],
            env=environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            because = _wait_until_ready(node, base_url)
            if because:
                _stop(node)
                raise click.ClickException(because)
            source = settings.feed.exchange_url if settings.simulator is None else "the simulated exchange"
            say(f"\nCrosstick is ready, with {len(_symbols(settings, cbdir))} symbols from {source}.")
            if authority.signing_key is None:
                say("The configured keys cannot mint; TOKEN stands for one that their issuer made.")
            say(f"Open {base_url}/#token={_page_token(authority, 'viewer', 'market')}")
            operators = _page_token(authority, "operator", OPERATORS_REALM)
            say(f"For operators: {base_url}/operator.html#token={operators}\nCtrl-C stops it.\n")
            code = node.wait()
            raise click.ClickException(f"the node ended by itself (exit code {code}); its log is above")
        except _Interrupted:
            say("\nStopping …")
        finally:
            _stop(node)


def _symbols(settings: Settings, cbdir: Path) -> tuple[str, ...]:
    """Return what the node's own feed follows: those that operators chose before, or the environment's."""
    # Not before it is needed: it brings Twisted along.
    from components.feed.choice_file import ChoiceFile

    chosen = None if settings.bus.url else ChoiceFile(cbdir).load().symbols
    return chosen or settings.feed.symbols


def _page_token(authority: TokenAuthority, role: str, realm: str) -> str:
    if authority.signing_key is None:
        # Only the issuer of the configured keys can mint.
        return "TOKEN"
    return authority.mint(sub="page", role=role, realm=realm, now_s=int(time.time()), ttl_s=PAGE_TOKEN_TTL_S)


@contextlib.contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        # Once is enough: a second Ctrl-C must not break off the stopping.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        raise _Interrupted

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _public_endpoint(cbdir: Path) -> tuple[str, int]:
    try:
        for worker in read_configuration(cbdir)["workers"]:
            for transport in worker.get("transports", ()):
                if transport["type"] == "web":
                    endpoint = transport["endpoint"]
                    return endpoint.get("interface", "127.0.0.1"), int(endpoint["port"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise click.ClickException(f"{cbdir} has a configuration that cannot be; see crosstick doctor") from error
    raise click.ClickException(f"the configuration in {cbdir} has no web transport")


def _require_free(interface: str, port: int) -> None:
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((interface, port))
        except OSError as error:
            raise click.ClickException(f"port {port} is taken; does another node run? ({error.strerror})") from error


def _wait_until_ready(node: subprocess.Popen[bytes], base_url: str) -> str:
    """Return why the node is not ready, and nothing once it is."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    because: list[str] = ["nothing listens"]
    while time.monotonic() < deadline:
        if node.poll() is not None:
            return f"the node ended by itself while starting (exit code {node.returncode}); its log is above"
        because = _not_ready_because(base_url)
        if not because:
            return ""
        time.sleep(0.1)
    return f"the node was not ready within {READY_TIMEOUT_S:g} s: {', '.join(because)}"


def _not_ready_because(base_url: str) -> list[str]:
    connection = http.client.HTTPConnection(base_url.removeprefix("http://"), timeout=2)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        if answer.status not in (http.HTTPStatus.OK, http.HTTPStatus.SERVICE_UNAVAILABLE):
            return [f"/readyz answers {answer.status}"]  # its path is not there yet
        reasons: list[str] = json.load(answer)["because"]
    except (OSError, http.client.HTTPException) as error:
        return [str(error)]
    else:
        return reasons
    finally:
        connection.close()


def _stop(node: subprocess.Popen[bytes]) -> None:
    """End the node: ask it, wait, and take down whatever is left of its process group."""
    if node.poll() is None:
        node.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            node.wait(STOP_TIMEOUT_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(node.pid, signal.SIGKILL)
    node.wait()
