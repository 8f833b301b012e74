"""The parts of the documentation that are made from the code, by name, and its list of pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from components.docs.commands import commands
from components.docs.errors import close_codes, errors
from components.docs.metrics import feed_metrics, node_faults, worker_metrics
from components.docs.settings import drain, fanout, limits, listeners, outbox_policies, realm_limits, replay
from components.docs.uris import procedures
from components.docs.variables import client_variables, variables

PARTS: dict[str, Callable[[], str]] = {
    "client-variables": client_variables,
    "close-codes": close_codes,
    "commands": commands,
    "drain": drain,
    "errors": errors,
    "fanout": fanout,
    "feed-metrics": feed_metrics,
    "limits": limits,
    "listeners": listeners,
    "node-faults": node_faults,
    "outbox-policies": outbox_policies,
    "procedures": procedures,
    "realm-limits": realm_limits,
    "replay": replay,
    "variables": variables,
    "worker-metrics": worker_metrics,
}


def index(folder: Path) -> str:
    """Return the list of all pages below a folder but its own README, by their headings."""
    sections = []
    for name, heading in (("", ""), ("how-to", "How to"), ("reference", "Reference"), ("explanation", "Explanation")):
        pages = sorted(path for path in (folder / name).glob("*.md") if path != folder / "README.md")
        lines = [f"- [{_title(path)}]({path.relative_to(folder)})\n" for path in pages]
        sections.append((f"**{heading}**\n\n" if heading else "") + "".join(lines))
    return "\n".join(sections)


def _title(page: Path) -> str:
    return page.read_text().partition("\n")[0].removeprefix("# ")
