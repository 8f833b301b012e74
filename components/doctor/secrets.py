"""Keys and secrets: there, strong, and nobody else's to read. Nothing of them is in a finding."""

from __future__ import annotations

import http.client
import math
import ssl
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from components.doctor.findings import Finding, fail, ok, warn
from components.doctor.node_setup import Setup
from components.tokens import TokenKeyError, load_authority, load_bridge_secret, load_link_authority
from components.tokens.jwks import MAX_JWKS_BYTES, JwksError, parse_jwks
from components.watch.tokens import is_loopback

LEAST_BITS = 128.0
FETCH_TIMEOUT_S = 4.0
MAKE_ONE = "make one: openssl rand -base64 48 > key; chmod 600 key"


def bits(secret: bytes) -> float:
    """Return a generous guess at how much of a secret is not to be guessed: what its bytes' frequencies and repeats allow."""
    total = len(secret)
    if total == 0:
        return 0.0
    per_byte = -sum(count / total * math.log2(count / total) for count in Counter(secret).values())
    # What zlib's header and checksum take is not the secret's.
    return min(per_byte * total, (len(zlib.compress(secret, 9)) - 8) * 8.0)


def judge_secret(name: str, secret: bytes) -> Finding:
    """Return whether a secret of enough bytes is one."""
    found = bits(secret)
    if found < LEAST_BITS:
        return warn(f"{name} has {len(secret)} bytes but could be guessed (some {max(0, int(found))} bits)", MAKE_ONE)
    return ok(f"{name}: a secret of {len(secret)} bytes")


def look_at_token_keys(setup: Setup) -> list[Finding]:
    """Look at what verifies clients' tokens."""
    place = setup.environ.get("CROSSTICK_TOKEN_JWKS", "")
    try:
        authority = load_authority(setup.environ, setup.cbdir)
    except TokenKeyError as error:
        return [fail(str(error), f"without a key nobody can join; {MAKE_ONE}")]
    if place:
        return [_jwks(place)]
    status = authority.source.status()
    key = authority.signing_key
    if key is not None and isinstance(key.key, bytes):
        findings = [judge_secret(f"token key {status.source}", key.key)]
    else:
        known = authority.source.keys()
        algorithms = sorted({each.algorithm for each in known.keys}) if known is not None else []
        findings = [ok(f"token key {status.source}: {status.keys} of {', '.join(algorithms)}")]
    if status.source == str(setup.cbdir / "development.key") and setup.node is not None:
        open_to = [each for each in setup.node.endpoints if not is_loopback(each.interface)]
        if open_to:
            hint = "set CROSSTICK_TOKEN_KEY_FILE or CROSSTICK_TOKEN_JWKS, and CROSSTICK_ENV=production"
            findings.append(warn(f"the development key signs for who connects to {open_to[0]}", hint))
    return findings


def _jwks(place: str) -> Finding:
    shown = place.partition("?")[0]
    try:
        text = _fetched(place) if "://" in place else Path(place).read_bytes()
        found = parse_jwks(text)
    except JwksError as error:
        return fail(f"JWK Set {shown}: {error}", "its issuer has to mend it; tokens are refused until it can be read")
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        hint = "see whether this machine reaches it, and whether its certificate is of the system's authorities"
        return fail(f"JWK Set {shown} cannot be had: {reason}", f"{hint} (SSL_CERT_FILE names others)")
    if found.skipped:
        return warn(f"JWK Set {shown}: {len(found.skipped)} keys are left out: {found.skipped[0]}", "see its issuer")
    algorithms = sorted({key.algorithm for key in found.set.keys})
    return ok(f"JWK Set {shown}: {len(found.set.keys)} keys, {', '.join(algorithms)}")


def _fetched(url: str) -> bytes:
    split = urlsplit(url)
    connection: http.client.HTTPConnection
    if split.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(
            split.hostname or "", split.port, timeout=FETCH_TIMEOUT_S, context=context
        )
    else:
        connection = http.client.HTTPConnection(split.hostname or "", split.port, timeout=FETCH_TIMEOUT_S)
    try:
        connection.request(
            "GET", split._replace(scheme="", netloc="").geturl() or "/", headers={"User-Agent": "crosstick"}
        )
        answer = connection.getresponse()
        if answer.status != http.HTTPStatus.OK:
            raise JwksError(f"it answered with HTTP {answer.status}")
        return answer.read(MAX_JWKS_BYTES + 1)
    finally:
        connection.close()


def _judged(load: Callable[[], bytes], name: str, hint: str) -> list[Finding]:
    try:
        return [judge_secret(name, load())]
    except TokenKeyError as error:
        return [fail(str(error), hint)]


def look_at_link_key(setup: Setup) -> list[Finding]:
    """Look at the secret that linked nodes have in common, where one is named or needed."""
    named = any(setup.environ.get(name) for name in ("CROSSTICK_LINK_KEY", "CROSSTICK_LINK_KEY_FILE"))
    across = setup.node is not None and any(
        each.extra.get("across_nodes", True) for router in setup.node.routers for each in router.of_class("Links")
    )
    if not named and not across:
        return []

    def load() -> bytes:
        # With a name, or across nodes, no key is made where there is none.
        key = load_link_authority(setup.environ, setup.cbdir, across_nodes=True).signing_key
        return key.key if key is not None and isinstance(key.key, bytes) else b""

    return _judged(load, "link key", f"all linked nodes need the same; {MAKE_ONE}")


def look_at_bridge_secret(setup: Setup) -> list[Finding]:
    """Look at the secret of signed HTTP requests, where one is named or needed."""
    named = any(setup.environ.get(name) for name in ("CROSSTICK_BRIDGE_SECRET", "CROSSTICK_BRIDGE_SECRET_FILE"))
    if not named and not (setup.node is not None and setup.node.has("Bridge")):
        return []
    return _judged(lambda: load_bridge_secret(setup.environ).encode(), "bridge secret", MAKE_ONE)
