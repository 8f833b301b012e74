"""The attackers of one phase, all in one process. Run as a program; its setup is a file of JSON, its answer a line of it."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import math
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from components.bench.hostile.attack import Attacker, Field, Outcome, run_attacker
from components.bench.hostile.catalogue import ATTACKS
from components.bench.hostile.governor import Governor
from components.bench.load import Account
from components.core.limits import Limits

COME_WITHIN_S = 4.0
"""All attackers begin in this time."""


async def attack(setup: Mapping[str, Any]) -> dict[str, Any]:
    """Run attackers of all kinds until the setup's time is over; return what became of them."""
    governor = Governor(setup["bytes_per_s"], setup["connections_per_s"], setup["cpu_share"])
    field = Field(
        port=setup["port"],
        path=setup["path"],
        topics=setup["topics"],
        accounts=itertools.cycle(Account(*account) for account in setup["accounts"]),
        service=Account(*setup["service"]),
        tickets={name: Account(*account) for name, account in setup["tickets"].items()},
        limits=msgspec.convert(setup["limits"], dict[str, Limits]),
        patience=setup["patience"],
        slack_s=setup["slack_s"],
        governor=governor,
    )
    began_s = time.monotonic()
    until_s = asyncio.get_running_loop().time() + setup["seconds"]
    outcomes: dict[str, Outcome] = {}
    async with asyncio.TaskGroup() as group:
        for place, name in enumerate(setup["attacks"]):
            kind = ATTACKS[name]
            outcome = outcomes[name] = Outcome()
            count = math.ceil(kind.at_once * setup["intensity"])
            for number in range(count):
                # Spread, but alike in each run.
                delay_s = COME_WITHIN_S * (number / count + place / len(setup["attacks"])) / 2
                attacker = Attacker(field, outcome, place + number, until_s)
                group.create_task(_come(delay_s, run_attacker(kind, attacker, setup["repeat"])))
    return {
        "attacks": {
            name: {field.name: dict(getattr(outcome, field.name)) for field in dataclasses.fields(outcome)}
            for name, outcome in outcomes.items()
        },
        "attackers": sum(math.ceil(ATTACKS[name].at_once * setup["intensity"]) for name in outcomes),
        "seconds": time.monotonic() - began_s,
        "cpu_s": time.process_time(),
        "sent_bytes": governor.sent_bytes,
    }


async def _come(delay_s: float, attacks: Any) -> None:
    await asyncio.sleep(delay_s)
    await attacks


def main() -> None:
    """Attack as the file that is named says."""
    setup = json.loads(Path(sys.argv[1]).read_text())
    os.nice(setup["niceness"])
    print(json.dumps(asyncio.run(attack(setup))), flush=True)


if __name__ == "__main__":
    main()
