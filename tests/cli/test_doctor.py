"""``crosstick doctor`` as people and scripts call it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from components.cli import main
from components.doctor.checks import CHECKS
from components.doctor.findings import Level, fail, ok, warn
from components.doctor.run import Check
from components.free_ports import free_port
from tests.harness.node import REPOSITORY


def test_a_broken_set_up_ends_with_1_and_says_what_to_do_but_no_secret(tmp_path: Path) -> None:
    shipped = (REPOSITORY / ".crossbar" / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(shipped.replace("type: web", "type: wab"))
    key = tmp_path / "token.key"
    key.write_text("not-so-secret-any-more-with-these-permissions")
    key.chmod(0o644)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CROSSTICK_")} | {
        "CROSSTICK_TOKEN_KEY_FILE": str(key),
        "CROSSTICK_BUS": f"redis://:hush@127.0.0.1:{free_port()}",
        "CROSSTICK_SIMULATOR_PORT": str(free_port()),
    }
    done = subprocess.run(
        [str(Path(sys.executable).with_name("crosstick")), "doctor", "--json", "--cbdir", str(tmp_path)],
        env=environ,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    assert said["level"] == "fail"
    found = {check["check"]: check for check in said["checks"]}
    assert "type" in found["configuration"]["findings"][0]["text"]
    assert found["token-keys"]["findings"][0]["text"].endswith(f"chmod 600 {key}")
    assert "Connection refused" in found["redis"]["findings"][0]["text"]
    assert found["software"]["level"] == found["disk"]["level"] == "ok"
    assert "hush" not in done.stdout
    assert "not-so-secret" not in done.stdout
    assert sum(said["summary"].values()) == sum(len(check["findings"]) for check in said["checks"])
    assert sorted(each.name for each in tmp_path.iterdir()) == ["config.yaml", "token.key"]


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (
            [],
            [
                "A",
                "    ok  first: fine",
                "  warn  first: hm",
                "        → look",
                "B",
                "  fail  second: bad",
                "        → mend",
            ],
        ),
        (["--quiet"], ["A", "  warn  first: hm", "        → look", "B", "  fail  second: bad", "        → mend"]),
    ],
)
def test_each_finding_is_a_line_with_its_hint_below(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str], lines: list[str]
) -> None:
    checks = (
        Check("first", "A", lambda _: [ok("fine"), warn("hm", "look")]),
        Check("second", "B", lambda _: [fail("bad", "mend")]),
    )
    monkeypatch.setattr("components.doctor.checks.CHECKS", checks)
    result = CliRunner().invoke(main, ["doctor", "--cbdir", str(tmp_path), *words])
    assert result.output.splitlines() == [*lines, "1 ok, 1 to look at, 1 wrong"]
    assert result.exit_code == 1


def test_warnings_alone_are_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("components.doctor.checks.CHECKS", (Check("one", "A", lambda _: [warn("hm", "look")]),))
    result = CliRunner().invoke(main, ["doctor", "--cbdir", str(tmp_path), "--json"])
    assert (result.exit_code, json.loads(result.output)["level"]) == (0, Level.WARN.value)


def test_names_are_there_once_and_every_check_has_a_bound() -> None:
    names = [check.name for check in CHECKS]
    assert len(names) == len(set(names))
    assert all(0 < check.bound_s <= 30 for check in CHECKS)


def test_the_documentation_lists_every_check() -> None:
    page = (REPOSITORY / "docs" / "how-to" / "find-out-what-is-wrong.md").read_text()
    table = page.split("| check | looks at |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
    assert [name for row in rows for name in re.findall(r"`([a-z-]+)`", row)] == [check.name for check in CHECKS]
