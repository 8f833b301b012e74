"""The environment's variables, and the node directory: its configuration, folders and files."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path

from components.core.entries import InvalidEntry
from components.core.limits import RealmLimits
from components.doctor.findings import Finding, fail, ok, warn
from components.doctor.node_file import Component, NodeFile
from components.doctor.node_setup import Setup, without_unknown
from components.feed.choice_file import ChoiceFile, ChoiceFileError
from components.router.access.revocation_store import FileRevocationStore, RevocationStoreError
from components.router.bridge.component import BridgeSettings
from components.router.drain.settings import parse_drain
from components.router.fanout_settings import FanOutSettings
from components.router.http_api.access import ApiSettings
from components.router.links.settings import parse_links
from components.router.listeners.plaintext import check_plaintext
from components.router.listeners.settings import ListenerSettings, check_ids, parse_listeners
from components.settings import SettingsError, load_settings, why_one_worker_only
from components.tokens import CLIENT_ROLES
from components.variables import CLIENT_VARIABLES, KNOWN_VARIABLES

CROSSBAR_CHECK_S = 30.0
IN_ENVIRONMENT = "see docs/reference/environment.md: crosstick refuses to start with what it does not know"


# The environment


def judge_names(names: Collection[str], known: Collection[str]) -> list[Finding]:
    """Return the ``CROSSTICK_…`` names that there are not, with those that are meant perhaps."""
    findings = []
    for name in sorted(set(names) - set(known)):
        close = get_close_matches(name, sorted(known), n=1)
        hint = f"did you mean {close[0]}?" if close else f"unset it; {IN_ENVIRONMENT}"
        findings.append(fail(f"unknown variable {name}", hint))
    return findings


def look_at_environment(setup: Setup) -> list[Finding]:
    """Look at the variables."""
    given = [name for name in setup.environ if name.startswith("CROSSTICK_")]
    findings = judge_names(given, KNOWN_VARIABLES | CLIENT_VARIABLES)
    try:
        load_settings(without_unknown(setup.environ))
    except SettingsError as error:
        findings.append(fail(str(error), "set it to a value that is possible, or unset it for its default"))
    return findings or [ok(f"{len(given)} CROSSTICK_… variables are set, all known and possible")]


# The configuration


def look_at_crossbars_view(setup: Setup) -> list[Finding]:
    """Ask ``crossbar check``."""
    if setup.node is None and setup.node_problem.startswith(f"{setup.cbdir} has no"):
        hint = "name the node directory with --cbdir; crosstick config --out DIR makes one"
        return [fail(setup.node_problem, hint)]
    try:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("crossbar")), "check", "--cbdir", str(setup.cbdir)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=CROSSBAR_CHECK_S - 2,
            check=False,
        )
    except subprocess.TimeoutExpired:
        hint = "the machine may be busy: crossbar check alone takes some seconds"
        return [warn(f"crossbar check has not answered within {CROSSBAR_CHECK_S - 2:g} s", hint)]
    return [judge_crossbars_answer(done.returncode, done.stdout.decode(errors="replace"), setup.node_problem)]


def judge_crossbars_answer(code: int, output: str, problem: str) -> Finding:
    """Return what ``crossbar check`` means; ``problem`` is what hindered us ourselves."""
    if code == 0 and not problem:
        return ok("crossbar check finds nothing wrong")
    lines = output.splitlines()
    begins = next((index for index, line in enumerate(lines) if line.startswith("Error:")), None)
    # An error of YAML has three lines, one of Crossbar's a dump of the configuration behind an empty one.
    said = [] if begins is None else [line.strip() for line in lines[begins : begins + 3]]
    text = " ".join(said[: said.index("")] if "" in said else said) or problem or f"crossbar check ended with {code}"
    return fail(text, "correct the configuration; crosstick config prints a good one")


def judge_components(node: NodeFile) -> list[Finding]:
    """Return which of our own components would refuse their settings, which Crossbar passes on unseen."""
    findings = []
    number = 0
    for router in node.routers:
        for component in (*router.components, *node.resources):
            number += 1
            problem = _refusal(component, [each.transport for each in router.endpoints if each.transport])
            if problem:
                where = component.id or component.classname
                findings.append(fail(f"{where}: {problem}", "correct its extra: the node would refuse to start"))
    # Of several workers that are alike, once.
    return list(dict.fromkeys(findings)) or [ok(f"the settings of {number} components are possible")]


def _refusal(component: Component, transports: list[str]) -> str:
    extra = component.extra
    try:
        match component.classname.removeprefix("components.router."):
            case "access.gatekeeper.Gatekeeper":
                unknown = [name for name in extra if name != "limits"]
                if unknown:
                    return f"extra has an unknown key {unknown[0]!r}; known is limits"
                RealmLimits.from_mapping(extra.get("limits", {}), CLIENT_ROLES)
            case "listeners.component.Listeners":
                check_ids(parse_listeners(extra), transports)
            case "gateway.Gateway":
                FanOutSettings.from_extra(extra)
            case "drain.component.Drain":
                parse_drain(extra)
            case "links.component.Links":
                parse_links(extra)
            case "bridge.component.Bridge":
                BridgeSettings.from_extra(extra)
            case "http_api.resource.Api":
                ApiSettings.from_extra(extra)
    except (InvalidEntry, ValueError) as error:
        return str(error)
    return ""


def look_at_components(setup: Setup) -> list[Finding]:
    """Look at our own components' settings."""
    return [] if setup.node is None else judge_components(setup.node)


def judge_realms(node: NodeFile) -> list[Finding]:
    """Return whether clients find the realms open that they are let into."""
    findings = []
    seen: dict[str, None] = {}
    for router in node.routers:
        kept = {each.realm for each in router.of_class("Gatekeeper")}
        for realm in router.client_realms:
            seen[realm] = None
            if realm not in router.realms:
                findings.append(fail(f"clients are let into realm {realm}, which there is not", "add it to realms"))
            elif realm not in kept:
                hint = "add a component components.router.access.gatekeeper.Gatekeeper in this realm, with its limits"
                findings.append(fail(f"realm {realm} is closed to clients: it has no gatekeeper", hint))
    if not seen:
        return [warn("no transport lets clients in", "see auth of the path ws in the repository's own configuration")]
    return list(dict.fromkeys(findings)) or [ok(f"realms {', '.join(seen)} have gatekeepers")]


def look_at_realms(setup: Setup) -> list[Finding]:
    """Look whether realms have gatekeepers."""
    return [] if setup.node is None else judge_realms(setup.node)


def judge_transports(node: NodeFile, environ: Mapping[str, str]) -> list[Finding]:
    """Return whether what listens is private or speaks TLS, and whether workers share what cannot be shared."""
    findings = []
    sharing: dict[tuple[str, int], int] = {}
    for router in node.routers:
        try:
            [extra] = [each.extra for each in router.of_class("Listeners")]
            settings = parse_listeners(extra)
        except (ValueError, InvalidEntry):
            # Said by the check of components.
            settings = {}
        for endpoint in router.endpoints:
            key = endpoint.interface, endpoint.port
            sharing[key] = sharing.get(key, 0) + 1
            allowed = settings.get(endpoint.transport, ListenerSettings()).allow_plaintext
            problem = check_plaintext(endpoint.raw, allowed)
            if problem:
                findings.append(fail(problem, "the node would refuse to start"))
            if sharing[key] > 1 and not endpoint.shared:
                findings.append(
                    fail(f"several workers listen on {endpoint}", "shared: true on each of these endpoints")
                )
    why_not = why_one_worker_only(environ)
    if why_not and max(sharing.values(), default=0) > 1:
        findings.append(fail(why_not, "set CROSSTICK_BUS, or have one router worker"))
    if not sharing:
        findings.append(fail("nothing listens on a TCP port", "see transports in the repository's own configuration"))
    places = ", ".join(str(each) for each in node.endpoints)
    return list(dict.fromkeys(findings)) or [ok(f"router workers: {len(node.routers)}, on {places}")]


def look_at_transports(setup: Setup) -> list[Finding]:
    """Look at what listens."""
    return [] if setup.node is None else judge_transports(setup.node, setup.environ)


# Folders and files


def look_at_directory(setup: Setup) -> list[Finding]:
    """Look whether the node can write what it writes: sockets, its own key, revocations."""
    try:
        with tempfile.NamedTemporaryFile(dir=setup.cbdir, prefix=".doctor-"):
            pass
    except OSError as error:
        hint = (
            f"the node writes sockets, keys and revocations there: let its user (now uid {os.getuid()}) own the folder"
        )
        return [fail(f"{setup.cbdir} cannot be written to: {error.strerror}", hint)]
    if setup.cbdir.stat().st_mode & 0o002:
        return [
            fail(
                f"{setup.cbdir} can be written to by everybody, and with it the node's keys", f"chmod o-w {setup.cbdir}"
            )
        ]
    return [ok(f"{setup.cbdir} can be written to")]


def judge_folders(folders: Mapping[str, Collection[str] | None]) -> list[Finding]:
    """Return whether what is served as files is there; by path the names of files, ``None`` where there is no folder."""
    findings = []
    for path, names in folders.items():
        if names is None or not names:
            is_fetched = path == "/vendor" or path.startswith("/vendor/")
            hint = "make install fetches it (npm ci in clients)" if is_fetched else "correct the path's directory"
            findings.append(
                fail(f"{path} has {'an empty folder' if names is not None else 'no folder'} behind it", hint)
            )
        elif path == "/vendor" and "autobahn.min.js" not in names:
            findings.append(fail("/vendor has no autobahn.min.js: the page cannot connect", "make install fetches it"))
    return findings or [ok(f"{', '.join(folders)}: the files are there")]


def look_at_folders(setup: Setup) -> list[Finding]:
    """Look at the folders that are served."""
    if setup.node is None or not setup.node.static_directories:
        return []
    folders: dict[str, Collection[str] | None] = {}
    for path, directory in setup.node.static_directories:
        folder = setup.cbdir / directory
        folders[path] = [each.name for each in folder.iterdir()] if folder.is_dir() else None
    return judge_folders(folders)


def look_at_revocations(setup: Setup) -> list[Finding]:
    """Look whether what is revoked can be read."""
    try:
        number = len(FileRevocationStore(setup.cbdir).load())
    except RevocationStoreError as error:
        return [fail(str(error), "with it the node refuses to start: nobody may be let in whose token is revoked")]
    return [ok(f"{number} revocations can be read")]


def look_at_symbols(setup: Setup) -> list[Finding]:
    """Look whether the symbols can be read that operators have chosen, where the node itself keeps them."""
    if setup.settings is None or setup.settings.bus.url:
        return []
    try:
        chosen = ChoiceFile(setup.cbdir).load().symbols
    except ChoiceFileError as error:
        return [fail(str(error), "with it the node's feed refuses to start")]
    return [ok(f"operators have chosen {len(chosen)} symbols" if chosen else "the symbols are the environment's")]
