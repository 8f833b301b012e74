"""``crosstick config``: what it prints, writes and refuses; that nodes run with it is in ``tests/node/test_links.py``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from crossbar.common.checkconfig import check_config_file
from crossbar.personality import Personality

from components.cli import main
from components.router.siblings.settings import parse_siblings
from tests.harness.documents import blocks
from tests.harness.node import REPOSITORY

BASE = (REPOSITORY / ".crossbar" / "config.yaml").read_text()
REDIS = {"CROSSTICK_BUS": "redis://127.0.0.1"}
EVERYTHING = (
    *("--workers", "2", "--name", "a", "--links-port", "9100", "--links-interface", "10.0.0.1"),
    *("--peer", "b=10.0.0.2:9100-9101", "--peer", "c=tls://c.example:9100", "--links-ca", "ca.pem"),
    *("--tls-key", "tls/key.pem", "--tls-certificate", "tls/chain.pem", "--port", "8443", "--interface", "0.0.0.0"),
)


def config(*arguments: str, environ: dict[str, str] = REDIS) -> Result:
    return CliRunner().invoke(main, ["config", *arguments], env={"CROSSTICK_BUS": None} | environ)


def printed(*arguments: str) -> dict[str, Any]:
    outcome = config(*arguments)
    assert outcome.exit_code == 0, outcome.output
    made: dict[str, Any] = yaml.safe_load(outcome.stdout)
    return made


def by_id(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {entry["id"]: entry for entry in entries}


def test_without_options_it_is_the_repositorys_own_with_all_its_comments() -> None:
    made = config(environ={}).stdout.splitlines()
    assert made[2:] == BASE.splitlines()[2:]


def test_it_is_the_same_each_time_and_says_how_it_was_made() -> None:
    first, second = config(*EVERYTHING), config(*EVERYTHING)
    assert first.stdout == second.stdout
    assert first.stdout.startswith("# Made by: crosstick")


def test_a_gateway_has_neither_feed_nor_exchange() -> None:
    made = printed("--role", "gateway")
    assert [worker["type"] for worker in made["workers"]] == ["router"]
    assert [transport["id"] for transport in made["workers"][0]["transports"]] == ["public"]


def test_workers_share_the_public_port_and_have_a_management_port_each() -> None:
    workers = by_id(printed("--workers", "3", "--port", "8000")["workers"])
    assert list(workers) == ["router", "router_2", "router_3", "exchange", "feed"]
    for index, name in enumerate(("router", "router_2", "router_3")):
        transports = by_id(workers[name]["transports"])
        endpoint = transports["public"]["endpoint"]
        assert (endpoint["port"], endpoint["shared"]) == (8000, True)
        assert transports["public"]["paths"]["metrics"]["classname"] == "components.router.metrics.NodeMetrics"
        assert transports["management"]["paths"]["metrics"]["classname"] == "components.router.metrics.Metrics"
        listeners = by_id(workers[name]["components"])["listeners"]["extra"]["listeners"]
        assert listeners["management"] == {"listens_while_draining": True}
        assert transports["management"]["endpoint"] == {"type": "tcp", "interface": "127.0.0.1", "port": 8090 + index}
        # Feed and exchange join one of them.
        assert ("internal" in transports) == (name == "router")
        components = by_id(workers[name]["components"])
        assert set(components) == {
            *("listeners", "gateway", "market-gatekeeper", "ops-gatekeeper", "drain", "operators", "feed-symbols"),
            *("siblings", "links"),
        }
        siblings = parse_siblings(components["siblings"]["extra"])
        assert (siblings.worker, siblings.management_ports) == (index + 1, [8090, 8091, 8092])


def test_operators_are_told_the_nodes_name_by_each_of_its_workers() -> None:
    workers = by_id(printed("--workers", "2", "--name", "eu-1")["workers"])
    operators = [by_id(workers[name]["components"])["operators"] for name in ("router", "router_2")]
    assert [each["extra"] for each in operators] == [{"name": "eu-1"}] * 2
    unnamed = by_id(printed()["workers"])["router"]
    assert "extra" not in by_id(unnamed["components"])["operators"]


def test_each_router_has_all_others_as_peers() -> None:
    workers = by_id(
        printed("--workers", "2", "--name", "a", "--links-port", "9100", "--peer", "b=h:9100-9101")["workers"]
    )
    links = [by_id(workers[name]["components"])["links"]["extra"] for name in ("router", "router_2")]
    assert [(each["node"], set(each["peers"])) for each in links] == [
        ("a-1", {"a-2", "b-1", "b-2"}),
        ("a-2", {"a-1", "b-1", "b-2"}),
    ]
    ports = [by_id(workers[name]["transports"])["links"]["endpoint"]["port"] for name in ("router", "router_2")]
    assert ports == [9100, 9101]


@pytest.mark.parametrize(
    "arguments", [(), ("--role", "gateway"), ("--workers", "4"), ("--management-port", "9000"), EVERYTHING]
)
def test_crossbar_accepts_what_is_written(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    outcome = config(*arguments, "--out", str(tmp_path / "node"))
    assert outcome.exit_code == 0, outcome.output
    # What `crossbar check` does, without the seconds that it takes to begin.
    check_config_file(Personality, str(tmp_path / "node" / "config.yaml"))
    made = yaml.safe_load((tmp_path / "node" / "config.yaml").read_text())
    for worker in made["workers"]:
        for path in worker["options"]["pythonpath"]:
            assert (tmp_path / "node" / path).resolve() == REPOSITORY
    public = by_id(made["workers"][0]["transports"])["public"]["paths"]
    assert (tmp_path / "node" / public["/"]["directory"] / "index.html").is_file()
    libraries = public["vendor"]["paths"]
    for path, file in (
        ("/", "autobahn.min.js"),
        ("lightweight-charts", "lightweight-charts.standalone.production.mjs"),
    ):
        assert (tmp_path / "node" / libraries[path]["directory"] / file).is_file()


def test_the_documented_commands_write_what_crossbar_accepts(tmp_path: Path) -> None:
    commands = [
        (line, dict(variable.split("=", 1) for variable in export.split()[1:]))
        for block in blocks("text")
        if "crosstick config" in block
        for export in [line for line in block.splitlines() if line.startswith("export ")]
        for line in block.replace("\\\n", "").splitlines()
        if "crosstick config" in line
    ]
    assert len(commands) == 4
    for command, environ in commands:
        _, _, *arguments = shlex.split(command)
        arguments[arguments.index("--out") + 1] = str(tmp_path)
        outcome = config(*arguments, "--force", environ=environ)
        assert outcome.exit_code == 0, outcome.output
        assert "The node needs" not in outcome.output
        check_config_file(Personality, str(tmp_path / "config.yaml"))


@pytest.mark.parametrize(
    ("arguments", "environ", "complaint"),
    [
        (("--workers", "2"), {}, "several router workers need a bus that each of them reads"),
        (("--role", "gateway"), {}, "a node without feed needs a bus that it reads"),
        (("--peer", "b"), REDIS, "--peer must be NAME=host:port"),
        ((), {"CROSSTICK_BUS": "redis://h:99999"}, "CROSSTICK_BUS must be "),
        ((), {"CROSSTICK_BUSS": "x"}, "unknown environment variable CROSSTICK_BUSS"),
        (("--tls-key", "k"), REDIS, "--tls-key and --tls-certificate go together"),
    ],
)
def test_what_does_not_go_together_is_refused_in_a_line(
    arguments: tuple[str, ...], environ: dict[str, str], complaint: str
) -> None:
    outcome = config(*arguments, environ=environ)
    assert outcome.exit_code != 0
    assert complaint in outcome.stderr.splitlines()[-1]
    assert outcome.stdout == ""


def test_a_configuration_that_is_there_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("mine")
    refused = config("--out", str(tmp_path))
    assert refused.exit_code == 1
    assert "--force overwrites it" in refused.stderr
    assert (tmp_path / "config.yaml").read_text() == "mine"
    assert config("--out", str(tmp_path), "--force").exit_code == 0
    assert (tmp_path / "config.yaml").read_text() != "mine"


def test_a_bridge_is_there_in_each_worker_and_may_use_services_alone() -> None:
    made = printed("--http-bridge", "quotes", "--http-bridge-calls", "other*", "--workers", "2")
    for worker in made["workers"][:2]:
        assert by_id(worker["components"])["bridge"]["extra"] == {
            "bridge": {"service": "quotes", "services": ["other*"]}
        }
        assert "bridge" in by_id(worker["transports"])["public"]["paths"]
        market = next(realm for realm in worker["realms"] if realm["name"] == "market")
        [role] = [role for role in market["roles"] if role["name"] == "bridge"]
        assert [permission["uri"] for permission in role["permissions"]] == ["services."]
        assert role["permissions"][0]["allow"] == {
            "call": True,
            "register": False,
            "publish": True,
            "subscribe": False,
        }
    assert "CROSSTICK_BRIDGE_SECRET" in config("--http-bridge", "quotes").stderr


def test_a_bridge_without_a_name_is_refused() -> None:
    assert "--http-bridge must be" in config("--http-bridge", "a.b").output
    assert "--http-bridge-calls needs --http-bridge" in config("--http-bridge-calls", "a").output
