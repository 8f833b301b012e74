"""Where a watch has its tokens from: the environment, a file that may change, or the key of the development node beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import jwt

from components.tokens import DEVELOPMENT_KEY_NAME, TokenKeyError, load_authority

MINTED_TTL_S = 3600
RENEW_AHEAD_S = 60.0
"""A token is renewed so long before it ends, or in the last fifth of its time where that is shorter."""

MAX_TOKEN_FILE_BYTES = 16_384

_KEYS = ("CROSSTICK_TOKEN_KEY", "CROSSTICK_TOKEN_KEY_FILE", "CROSSTICK_TOKEN_JWKS")


class NoToken(Exception):
    """There is no token to connect with; the text is one line that says what to do, and has nothing of a token."""


@dataclass(frozen=True, slots=True)
class TokenSource:
    """Gives a token for each connection."""

    get: Callable[[], str]
    """Raises ``NoToken``."""

    renews: bool
    """Whether the next one may be another: then the end of one is not the end."""

    note: str = ""
    """What who looks ought to know of it."""


def token_source(environ: Mapping[str, str], file: Path | None, cbdir: Path, urls: Sequence[str]) -> TokenSource:
    """Return where tokens come from: ``file``, else ``CROSSTICK_TOKEN``, else the development key in the node directory.

    With that key tokens are minted for the loopback only, and only where the environment names no other keys.

    Raises:
        NoToken: there is none.
    """
    if file is not None:
        source = _of_file(file)
    elif environ.get("CROSSTICK_TOKEN"):
        token = environ["CROSSTICK_TOKEN"].strip()
        source = TokenSource(lambda: _checked(token, "CROSSTICK_TOKEN"), renews=False)
    else:
        source = _development(environ, cbdir, urls)
    source.get()
    return source


def _of_file(path: Path) -> TokenSource:
    if path.is_file():
        return TokenSource(lambda: _from_file(path), renews=True)
    # A pipe, such as a shell makes of <(...), has its token once.
    token = _from_file(path)
    return TokenSource(lambda: token, renews=False)


def _development(environ: Mapping[str, str], cbdir: Path, urls: Sequence[str]) -> TokenSource:
    advice = "set CROSSTICK_TOKEN or --token-file; crosstick token --sub me --role viewer prints a token"
    if not all(is_loopback(urlsplit(url).hostname) for url in urls):
        raise NoToken(f"no token for {urls[0]}: {advice}")
    if any(environ.get(name) for name in _KEYS) or environ.get("CROSSTICK_ENV", "development") != "development":
        raise NoToken(f"no token: {advice}")
    if not (cbdir / DEVELOPMENT_KEY_NAME).exists():
        raise NoToken(f"no token, and no {DEVELOPMENT_KEY_NAME} in {cbdir}: {advice}")

    def mint() -> str:
        try:
            authority = load_authority(environ, cbdir)
        except TokenKeyError as error:
            raise NoToken(str(error)) from error
        return authority.mint(sub="watch", role="viewer", realm="market", now_s=int(time.time()), ttl_s=MINTED_TTL_S)

    note = "no CROSSTICK_TOKEN: a viewer's token is minted with the development key"
    return TokenSource(mint, renews=True, note=note)


def is_loopback(host: str | None) -> bool:
    """Tell whether a host is this machine."""
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"


def renewal_delay_s(token: str, now_s: float) -> float | None:
    """Return how long to wait before a token is renewed, at least a second; ``None``: it does not say when it ends."""
    exp = _claims(token).get("exp")
    if not isinstance(exp, int | float):
        return None
    left_s = exp - now_s
    return max(1.0, left_s - min(RENEW_AHEAD_S, left_s / 5))


def _from_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TOKEN_FILE_BYTES + 1)
    except OSError as error:
        raise NoToken(f"token file {path}: {error.strerror}") from error
    if len(content) > MAX_TOKEN_FILE_BYTES:
        raise NoToken(f"token file {path} must have at most {MAX_TOKEN_FILE_BYTES} bytes")
    return _checked(content.decode(errors="replace").strip(), f"token file {path}")


def _checked(token: str, where: str) -> str:
    if not isinstance(_claims(token).get("sub"), str):
        raise NoToken(f"{where} holds no token with a subject (sub)")
    return token


def _claims(token: str) -> dict[str, object]:
    try:
        claims: dict[str, object] = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        return {}
    return claims
