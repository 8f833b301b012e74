"""docs/tutorial.md, typed as it stands."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.docs.typed import environ_of, started, wait_for
from tests.harness.documents import PAGES
from tests.harness.node import REPOSITORY, Node

TUTORIAL = PAGES["docs/tutorial.md"]
MAKE_RUN, ACTIVATE, EXPORT, WATCH, NEWEST, OWN, GAP, STATUS, CUT = (
    line
    for block in re.findall(r"^```sh\n(.*?)^```", TUTORIAL, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
)
[PROGRAM] = re.findall(r"^```python\n(.*?)^```", TUTORIAL, re.MULTILINE | re.DOTALL)


def typed(node: Node, line: str) -> list[str]:
    """Return the command that types a line at a test's node."""
    return ["bash", "-c", f"exec {line.replace('http://127.0.0.1:8080', node.url)}"]


def environ(node: Node) -> dict[str, str]:
    """Return what is set where the token has been made."""
    return environ_of(node) | {"CROSSTICK_TOKEN": node.token("me")}


def ran(node: Node, line: str) -> str:
    return subprocess.run(
        typed(node, line), cwd=REPOSITORY, env=environ(node), capture_output=True, text=True, check=True, timeout=30
    ).stdout


def status(node: Node) -> dict[str, Any]:
    _, _, body = node.get(f"/api/status?token={node.token('me')}")
    return dict(json.loads(body))


def test_it_begins_as_the_readme_does() -> None:
    assert MAKE_RUN == "make run"
    assert ACTIVATE in PAGES["README.md"]


def test_the_first_ticks_come(node: Node) -> None:
    with started(["bash", "-c", f"{EXPORT}; exec {WATCH}"], environ_of(node)) as process:
        wait_for(process, r'^\{"symbol":"BTCUSDT","price":')


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_the_newest_tick_comes_over_http(node: Node) -> None:
    assert json.loads(ran(node, NEWEST))["tick"]["symbol"] == "BTCUSDT"


def test_a_client_of_ones_own_misses_nothing(node: Node, tmp_path: Path) -> None:
    (tmp_path / "first.py").write_text(PROGRAM)
    assert OWN.endswith(" python first.py")
    line = OWN.replace("first.py", str(tmp_path / "first.py")).replace("PYTHONPATH", "env PYTHONPATH")
    seen: list[str] = []
    with started(typed(node, line), environ(node)) as process:
        assert process.stdout is not None
        for printed in process.stdout:
            seen.append(printed)
            if len(seen) > 3 and any(line.startswith("replayed") for line in seen[:-3]):
                break
    numbers = [int(line.split()[0]) for line in seen if line[0].isdigit()]
    assert [after - before for before, after in pairwise(numbers)] == [1] * (len(numbers) - 1)
    assert len(numbers) + sum(line.startswith("replayed") for line in seen) == len(seen)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_what_is_not_there_is_said(node: Node) -> None:
    before = json.loads(ran(node, STATUS))
    # The test's exchange listens elsewhere than that of `make run`.
    elsewhere = f" --url {before['exchange']['url']}"
    deadline = time.monotonic() + 30
    ran(node, GAP + elsewhere)
    while status(node)["counters"]["missed_trades"] < before["counters"]["missed_trades"] + 5:
        assert time.monotonic() < deadline, "the feed did not notice the gap"
        time.sleep(0.1)
    ran(node, CUT + elsewhere)
    while status(node)["exchange"]["reconnects"] == before["exchange"]["reconnects"]:
        assert time.monotonic() < deadline, "the feed did not come back"
        time.sleep(0.1)
    while status(node)["state"] != "live":
        assert time.monotonic() < deadline, "the feed is not live again"
        time.sleep(0.1)
