"""``crosstick config``: the configuration of a node that is more, or less, than the repository's own."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Literal

import click

from components.cli.sections import examples
from components.cli.token import DEFAULT_NODE_DIRECTORY
from components.node_config import ImpossiblePlan, NodePlan, generate, read_peer
from components.node_config.generate import public_port
from components.settings import SettingsError, load_settings

DEFAULT_MANAGEMENT_PORT = 8090
LINK_KEYS = ("CROSSTICK_LINK_KEY", "CROSSTICK_LINK_KEY_FILE")

BRIDGE_SECRETS = ("CROSSTICK_BRIDGE_SECRET", "CROSSTICK_BRIDGE_SECRET_FILE")


@click.command(
    short_help="Print, or write, the configuration of another node.",
    epilog=examples(
        "crosstick config --port 8443 --interface 0.0.0.0 --tls-key key.pem --tls-certificate chain.pem --out node",
        "CROSSTICK_BUS=redis://10.0.0.5 crosstick config --workers 4 --out node",
        "CROSSTICK_BUS=redis://10.0.0.5 crosstick config --role gateway --allow-plaintext --interface 0.0.0.0",
    ),
)
@click.option(
    "--role",
    type=click.Choice(["all", "gateway"]),
    default="all",
    show_default=True,
    help="A gateway has neither feed nor simulated exchange: it reads a bus that others write.",
)
@click.option("--workers", type=int, default=1, show_default=True, help="Router workers that share the public port.")
@click.option("--port", type=int, help="The public port.")
@click.option("--interface", help="The address that the public port listens on.")
@click.option("--tls-key", help="File with the key of the public port's and the links' certificate.")
@click.option("--tls-certificate", help="File with that certificate.")
@click.option("--allow-plaintext", is_flag=True, help="A balancer before the public port terminates TLS.")
@click.option(
    "--trusted-proxy",
    "trusted_proxies",
    multiple=True,
    metavar="ADDRESS",
    help="A balancer's address or network, which is believed where a client is; repeatable.",
)
@click.option("--drain-over", type=float, help="Seconds over which clients are told to go when the node leaves.")
@click.option(
    "--management-port",
    type=int,
    help=f"/metrics, /healthz and /readyz of the first worker, on the loopback; the next workers' follow."
    f" {DEFAULT_MANAGEMENT_PORT} where there are several.",
)
@click.option(
    "--http-bridge",
    "bridge",
    metavar="SERVICE",
    help="Take this service's signed HTTP requests at /bridge; CROSSTICK_BRIDGE_SECRET_FILE has their secret.",
)
@click.option(
    "--http-bridge-calls",
    "bridge_calls",
    multiple=True,
    metavar="GLOB",
    help="Another service that these may call, beside their own; repeatable.",
)
@click.option("--name", help="This node's name, for operators and among its peers.  [default for peers: node]")
@click.option(
    "--peer",
    "peers",
    multiple=True,
    metavar="NAME=[tls://]HOST:PORT[-LAST]",
    help="Another node, and the port or ports on which its workers listen for links; repeatable.",
)
@click.option(
    "--links-port", type=int, help="Where the first worker listens for peers; the next workers' ports follow."
)
@click.option("--links-interface", default="127.0.0.1", show_default=True, help="The address that it listens on.")
@click.option("--links-ca", help="File with the authorities of the peers' certificates, instead of the system's.")
@click.option("--links-plaintext", is_flag=True, help="The links' network is private: no TLS.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write config.yaml into this folder, a node directory, instead of printing it.",
)
@click.option("--force", is_flag=True, help="Overwrite the folder's config.yaml.")
def config(
    role: Literal["all", "gateway"],
    workers: int,
    port: int | None,
    interface: str | None,
    tls_key: str | None,
    tls_certificate: str | None,
    allow_plaintext: bool,
    trusted_proxies: tuple[str, ...],
    drain_over: float | None,
    management_port: int | None,
    bridge: str | None,
    bridge_calls: tuple[str, ...],
    name: str,
    peers: tuple[str, ...],
    links_port: int | None,
    links_interface: str,
    links_ca: str | None,
    links_plaintext: bool,
    out: Path | None,
    force: bool,
) -> None:
    """Print a node configuration made from the repository's own.

    Set the variables of the node's environment first, CROSSTICK_BUS above all: what does not go together is refused.
    """
    if (tls_key is None) != (tls_certificate is None):
        raise click.UsageError("--tls-key and --tls-certificate go together")
    if management_port is None and workers > 1:
        management_port = DEFAULT_MANAGEMENT_PORT
    base = (DEFAULT_NODE_DIRECTORY / "config.yaml").read_text()
    try:
        plan = NodePlan(
            role=role,
            workers=workers,
            port=port,
            interface=interface,
            tls=None if tls_key is None or tls_certificate is None else (tls_key, tls_certificate),
            allow_plaintext=allow_plaintext,
            trusted_proxies=trusted_proxies,
            drain_over_s=drain_over,
            management_port=management_port,
            bridge=bridge,
            bridge_calls=bridge_calls,
            name=name,
            peers=tuple(map(read_peer, peers)),
            links_port=links_port,
            links_interface=links_interface,
            links_ca=links_ca,
            links_plaintext=links_plaintext,
        )
        load_settings(os.environ)
        plan.check(os.environ, port or public_port(base))
        directory = DEFAULT_NODE_DIRECTORY if out is None else out.resolve()
        text = generate(base, plan, _command(), str(DEFAULT_NODE_DIRECTORY), str(directory))
    except (ImpossiblePlan, SettingsError) as error:
        raise click.ClickException(str(error)) from error
    if plan.links_port is not None and not any(name in os.environ for name in LINK_KEYS):
        click.echo(f"The node needs {' or '.join(LINK_KEYS)}, the same on all nodes.", err=True)
    if bridge is not None and not any(name in os.environ for name in BRIDGE_SECRETS):
        click.echo(f"The node needs {' or '.join(BRIDGE_SECRETS)}.", err=True)
    if out is None:
        click.echo(text, nl=False)
        return
    path = out / "config.yaml"
    if path.exists() and not force:
        raise click.ClickException(f"{path} is there already; --force overwrites it")
    try:
        out.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from error
    click.echo(f"Wrote {path}. Start it with: crosstick node --cbdir {out}")


def _command() -> str:
    """Return the command line, without where its output goes."""
    arguments, kept = iter(sys.argv[1:]), []
    for argument in arguments:
        if argument == "--out":
            next(arguments, None)
        elif argument != "--force" and not argument.startswith("--out="):
            kept.append(argument)
    return shlex.join(["crosstick", *kept])
