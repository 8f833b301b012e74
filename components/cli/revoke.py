"""``crosstick revoke``: take tokens back, and close who lives by them."""

from __future__ import annotations

import json

import click

from components.cli.ops_session import as_operator
from components.cli.sections import examples
from components.uris import AUTH_LIFT, AUTH_REVOCATIONS, AUTH_REVOKE


@click.command(
    short_help="Take tokens back, and close who lives by them.",
    epilog=examples(
        "export CROSSTICK_TOKEN=$(crosstick token --sub olga --role operator --realm ops)",
        "crosstick revoke --sub mallory",
        "crosstick revoke --jti 5tGh-2kQ --exp 1790000000",
        "crosstick revoke --list",
        "crosstick revoke --lift --sub mallory",
    ),
)
@click.option("--jti", help="The one token with this jti claim.")
@click.option("--sub", help="All tokens of this subject that have been issued until now.")
@click.option("--exp", type=click.IntRange(min=0), help="When they end by themselves (Unix time): not kept longer.")
@click.option("--lift", is_flag=True, help="Take the revocation back instead.")
@click.option("--list", "lists", is_flag=True, help="Print what is revoked instead, one JSON object a line.")
def revoke(*, jti: str | None, sub: str | None, exp: int | None, lift: bool, lists: bool) -> None:
    """Revoke tokens at a running node, at once and until it is lifted.

    Prints {"closed": n}: how many sessions were closed by the router worker that was asked; all others close theirs within a
    second. With --lift it prints {"lifted": true}, or false where nothing was revoked.

    CROSSTICK_TOKEN is an operator's token for realm ops; CROSSTICK_URL is the gateway, by default ws://127.0.0.1:8080/ws.
    """
    if lists:
        if lift or jti is not None or sub is not None or exp is not None:
            raise click.UsageError("--list stands alone")
        for revocation in as_operator(lambda call: call(AUTH_REVOCATIONS)):
            click.echo(json.dumps(revocation))
        return
    if (jti is None) == (sub is None):
        raise click.UsageError("name a --jti or a --sub, and not both")
    if lift and exp is not None:
        raise click.UsageError("--exp is for what is revoked, not for what is lifted")
    named = {name: value for name, value in (("jti", jti), ("sub", sub), ("exp", exp)) if value is not None}
    click.echo(json.dumps(as_operator(lambda call: call(AUTH_LIFT if lift else AUTH_REVOKE, **named))))
