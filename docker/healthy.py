"""A container's health check: what the entry point named answers. Alive is enough; who is ready the balancer asks."""

import socket
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

url = Path("/run/crosstick/health").read_text().strip()
try:
    if url.startswith("tcp:"):
        split = urlsplit(url)
        socket.create_connection((split.hostname, split.port), timeout=2).close()
    else:
        urllib.request.urlopen(url, timeout=2)  # noqa: S310 - the entry point's own address
except OSError as error:
    sys.exit(f"{url}: {error}")
