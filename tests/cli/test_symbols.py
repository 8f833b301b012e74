"""``crosstick symbols`` where it cannot do what it is asked; what it does is in ``tests/node/test_feed_symbols.py``."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from components.cli import main


@pytest.mark.parametrize(
    ("arguments", "environ", "complaint"),
    [
        (["list"], {"CROSSTICK_TOKEN": None}, "CROSSTICK_TOKEN is not set"),
        (["add"], {"CROSSTICK_TOKEN": "x"}, "Missing argument 'SYMBOLS...'"),
        (["set", "BTCUSDT"], {"CROSSTICK_TOKEN": "secret"}, "CROSSTICK_TOKEN is not a token"),
        (
            ["add", "DOGE-USDT"],
            {"CROSSTICK_TOKEN": "x"},
            "SYMBOLS must be upper-case symbols such as BTCUSDT, had 'DOGE-USDT'",
        ),
        (["set", ","], {"CROSSTICK_TOKEN": "x"}, "SYMBOLS must name at least one symbol"),
        (
            ["list"],
            {"CROSSTICK_TOKEN": "x", "CROSSTICK_URL": "ws://a/ws,ws://b/ws"},
            "CROSSTICK_URL names several gateways",
        ),
        (["upset"], {"CROSSTICK_TOKEN": "x"}, "No such command 'upset'"),
    ],
)
def test_wrong_use_is_told_in_a_line_that_quotes_no_token(
    arguments: list[str], environ: dict[str, str | None], complaint: str
) -> None:
    outcome = CliRunner().invoke(main, ["symbols", *arguments], env=environ)
    assert outcome.exit_code == 2
    assert complaint in outcome.output
    assert "secret" not in outcome.output


@pytest.mark.parametrize("command", ["list", "set", "add", "remove", "reset"])
def test_each_command_says_what_it_does(command: str) -> None:
    outcome = CliRunner().invoke(main, ["symbols", command, "--help"])
    assert outcome.exit_code == 0
    assert "--json" in outcome.output
