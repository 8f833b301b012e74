"""``crosstick token``: mint a ticket."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import click

from components.cli.sections import examples
from components.tokens import (
    CLIENT_ROLES,
    TokenAuthority,
    TokenKeyError,
    load_authority,
    load_rules,
    load_signing_key,
)

DEFAULT_NODE_DIRECTORY = Path(__file__).resolve().parents[2] / ".crossbar"
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Duration(click.ParamType[int]):
    """A whole number with a unit: ``90s``, ``15m``, ``1h``, ``7d``."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the duration in seconds."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", str(value))
        if match is None:
            self.fail(f"must be a number with s, m, h or d behind it, such as 1h; was {value!r}", param, ctx)
        return int(match[1]) * _UNITS_S[match[2]]


def _globs(value: str | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    globs = tuple(part.strip() for part in value.split(",") if part.strip())
    if not globs:
        raise click.BadParameter("must name at least one, was empty")
    return globs


def _authority_of(key: Path, kid: str | None) -> TokenAuthority:
    return TokenAuthority.of_signing_key(load_signing_key(key, kid), load_rules(os.environ), str(key))


@click.command(
    short_help="Print a token that a client joins with.",
    epilog=examples(
        "crosstick token --sub alice --role viewer",
        "crosstick token --sub bob --role viewer --ttl 15m --symbols 'BTC*,ETHUSDT' --services quotes",
        "crosstick token --sub quotes --role service",
        "crosstick token --sub olga --role operator --realm ops",
    ),
)
@click.option("--sub", required=True, help="Who it is for; clients join with it as their authid.")
@click.option("--role", required=True, type=click.Choice(sorted(CLIENT_ROLES)), help="What the bearer may do.")
@click.option("--realm", default="market", show_default=True, help="The realm it opens.")
@click.option("--ttl", default="1h", show_default=True, type=Duration(), help="How long it is valid: 90s, 15m, 1h, 7d.")
@click.option("--symbols", help="Only these symbols: comma-separated, with * and ?, such as BTC*,ETHUSDT.")
@click.option("--services", help="These services' topics and procedures: comma-separated, with * and ?.")
@click.option("--tier", help="Which limits apply to the bearer, where the realm's differ by tier.")
@click.option("--jti", help="The token's own name, by which it can be revoked; a random one if not given.")
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the key that signs, instead of the node's: a private key in PEM, or a secret.",
)
@click.option("--kid", help="The name of the --key in the set by which it is verified.")
@click.option(
    "--cbdir",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_NODE_DIRECTORY,
    help="The node directory whose development key is used when the environment names no key.",
)
def token(
    sub: str,
    role: str,
    realm: str,
    ttl: int,
    symbols: str | None,
    services: str | None,
    tier: str | None,
    jti: str | None,
    key: Path | None,
    kid: str | None,
    cbdir: Path,
) -> None:
    """Print a token (a JWT) that a client joins with, alone on its line."""
    if kid is not None and key is None:
        raise click.UsageError("--kid names a --key")
    try:
        authority = load_authority(os.environ, cbdir) if key is None else _authority_of(key, kid)
        minted = authority.mint(
            sub=sub,
            role=role,
            realm=realm,
            now_s=int(time.time()),
            ttl_s=ttl,
            symbols=_globs(symbols),
            services=_globs(services) or (),
            tier=tier,
            jti=jti,
        )
    except (TokenKeyError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(minted)
