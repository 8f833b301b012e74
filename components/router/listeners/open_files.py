"""How many files the process may have open: each connection is one."""

from __future__ import annotations

import resource
from contextlib import suppress

RESERVE = 256
"""For the node's own files and connections."""


def raise_limit() -> int:
    """Let the process have as many files open as it may allow itself; return how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Not everywhere may the limit be what is called no limit.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft


def too_few(limit: int, connections: int) -> str | None:
    """Return what to tell the operator when so many connections need more files than there may be, else ``None``."""
    needed = connections + RESERVE
    if limit == resource.RLIM_INFINITY or limit >= needed:
        return None
    return f"max_connections need {needed} open files and the limit is {limit}: raise it (ulimit -n, LimitNOFILE)"
