"""Where a node's keys come from: the environment's variables, files, and the node directory.

The node's own components have a key of their own, so that no client's key can mint their roles.
"""

from __future__ import annotations

import os
import random
import secrets
import stat
import tempfile
from collections.abc import Mapping
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from components.tokens.authority import TokenAuthority
from components.tokens.claims import DEFAULT_LEEWAY_S, INTERNAL_ROLES, LINK_ROLES, MAX_ISSUER_CHARS, TokenRules
from components.tokens.errors import TokenKeyError
from components.tokens.keys import (
    KeySource,
    SigningKey,
    StaticKeys,
    is_pem,
    is_private_pem,
    private_key_from_pem,
    public_keys_from_pem,
    secret_key,
)

DEFAULT_AUDIENCE = "crosstick"
INTERNAL_AUDIENCE = "crosstick-internal"
LINK_AUDIENCE = "crosstick-link"
LINK_LEEWAY_S = 30
"""How far the clocks of two linked nodes may be apart."""
MAX_LEEWAY_S = 300
DEFAULT_REFRESH_S = 300
MAX_REFRESH_S = 86_400
MAX_KEY_FILE_BYTES = 262_144

DEVELOPMENT_KEY_NAME = "development.key"
"""File in the node directory that ``make run`` creates; not used when ``CROSSTICK_ENV=production``."""

INTERNAL_KEY_NAME = "internal.key"
"""File in the node directory that the node creates, for the tokens of its own components."""

_SOURCES = ("CROSSTICK_TOKEN_KEY", "CROSSTICK_TOKEN_KEY_FILE", "CROSSTICK_TOKEN_JWKS")


def load_authority(environ: Mapping[str, str], node_directory: Path) -> TokenAuthority:
    """Return the authority over clients' tokens that the environment names, else that of the development key.

    Raises:
        TokenKeyError: no key is configured (and there is no development key, or ``CROSSTICK_ENV`` is ``production``), more
            than one source is, it is not usable, or its file may be read by others.
    """
    environment = environ.get("CROSSTICK_ENV", "development")
    if environment not in ("development", "production"):
        raise TokenKeyError(f"CROSSTICK_ENV must be 'development' or 'production', was {environment!r}")
    rules = load_rules(environ)
    refresh_s = _whole(environ, "CROSSTICK_TOKEN_JWKS_REFRESH", DEFAULT_REFRESH_S, 1, MAX_REFRESH_S)
    given = [name for name in _SOURCES if environ.get(name)]
    if len(given) > 1:
        raise TokenKeyError(
            f"set {' or '.join(given)}, not both" if len(given) == 2 else f"set one of {', '.join(given)}"
        )
    if not given:
        path = node_directory / DEVELOPMENT_KEY_NAME
        if environment == "production" or not path.exists():
            raise TokenKeyError(
                "no token key: set CROSSTICK_TOKEN_KEY_FILE, CROSSTICK_TOKEN_KEY or CROSSTICK_TOKEN_JWKS,"
                " or start with 'make run' for development"
            )
        source, signing_key = _from_file(path)
    elif given == ["CROSSTICK_TOKEN_KEY"]:
        source, signing_key = _of_signing_key(secret_key(os.fsencode(environ[given[0]]), given[0]), given[0])
    elif given == ["CROSSTICK_TOKEN_KEY_FILE"]:
        source, signing_key = _from_file(Path(environ[given[0]]))
    else:
        source, signing_key = _jwks(environ[given[0]], refresh_s), None
    return TokenAuthority(source, rules, signing_key)


def load_rules(environ: Mapping[str, str]) -> TokenRules:
    """Return what the environment wants the claims of clients' tokens to agree with.

    Raises:
        TokenKeyError: a value is impossible.
    """
    return TokenRules(
        audience=_text(environ, "CROSSTICK_TOKEN_AUDIENCE") or DEFAULT_AUDIENCE,
        issuer=_text(environ, "CROSSTICK_TOKEN_ISSUER"),
        leeway_s=_whole(environ, "CROSSTICK_TOKEN_LEEWAY", DEFAULT_LEEWAY_S, 0, MAX_LEEWAY_S),
    )


def load_internal_authority(node_directory: Path) -> TokenAuthority:
    """Return the authority over the tokens of the node's own components; makes its key where there is none.

    Raises:
        TokenKeyError: the key cannot be made or read.
    """
    path = _create_key(node_directory / INTERNAL_KEY_NAME)
    return TokenAuthority.of_signing_key(
        load_signing_key(path, None), TokenRules(INTERNAL_AUDIENCE, roles=INTERNAL_ROLES), str(path)
    )


def load_link_authority(environ: Mapping[str, str], node_directory: Path, across_nodes: bool) -> TokenAuthority:
    """Return the authority over the tokens with which routers join each other.

    All nodes that are linked have one secret, by ``CROSSTICK_LINK_KEY`` or ``CROSSTICK_LINK_KEY_FILE``. The workers of one
    node may do without: the key of the node's own components does, under another audience.

    Raises:
        TokenKeyError: there is none and links go ``across_nodes``, both variables are set, or the secret is not usable.
    """
    rules = TokenRules(LINK_AUDIENCE, leeway_s=LINK_LEEWAY_S, roles=LINK_ROLES)
    name, path = environ.get("CROSSTICK_LINK_KEY"), environ.get("CROSSTICK_LINK_KEY_FILE")
    if name and path:
        raise TokenKeyError("set CROSSTICK_LINK_KEY or CROSSTICK_LINK_KEY_FILE, not both")
    if name:
        return TokenAuthority.of_signing_key(
            secret_key(os.fsencode(name), "CROSSTICK_LINK_KEY"), rules, "CROSSTICK_LINK_KEY"
        )
    if not path and across_nodes:
        raise TokenKeyError(
            "links to other nodes need a secret that these have too: set CROSSTICK_LINK_KEY_FILE or CROSSTICK_LINK_KEY"
        )
    key = Path(path) if path else _create_key(node_directory / INTERNAL_KEY_NAME)
    return TokenAuthority.of_signing_key(load_signing_key(key, None), rules, str(key))


def load_bridge_secret(environ: Mapping[str, str]) -> str:
    """Return the secret by which requests to the HTTP bridge are signed.

    Raises:
        TokenKeyError: there is none, both variables are set, or the secret is not usable.
    """
    value, path = environ.get("CROSSTICK_BRIDGE_SECRET"), environ.get("CROSSTICK_BRIDGE_SECRET_FILE")
    if bool(value) == bool(path):
        raise TokenKeyError("set one of CROSSTICK_BRIDGE_SECRET_FILE and CROSSTICK_BRIDGE_SECRET")
    where = "CROSSTICK_BRIDGE_SECRET"
    secret = os.fsencode(value or "")
    if path:
        where = f"bridge secret file {path}"
        secret = _read(Path(path)).strip()
        _require_private(Path(path))
    if not secret.isascii():
        raise TokenKeyError(f"{where} must be ASCII")
    secret_key(secret, where)
    return secret.decode()


def load_signing_key(path: Path, kid: str | None) -> SigningKey:
    """Return the key in a file that is to mint: a private key in PEM, or a secret.

    Raises:
        TokenKeyError: there is none, or it may be read by others.
    """
    content = _read(path)
    where = f"token key file {path}"
    if is_pem(content) and not is_private_pem(content):
        raise TokenKeyError(f"{where} holds public keys, which cannot mint: name a private key")
    _require_private(path)
    if is_pem(content):
        return private_key_from_pem(content, where, kid)
    key = secret_key(content.strip(), where)
    return SigningKey(key.key, key.algorithm, kid)


def create_development_key(node_directory: Path) -> Path:
    """Create the node directory's development key (mode 0600) unless it is there, and return its path."""
    return _create_key(node_directory / DEVELOPMENT_KEY_NAME)


def _create_key(path: Path) -> Path:
    """Create a key file that is either there as a whole or not at all, however many processes try at a time."""
    if path.exists():
        return path
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(48) + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)
        except FileExistsError:
            # Another worker was first; its key is the key.
            return path
        finally:
            os.unlink(temporary)
    except OSError as error:
        raise TokenKeyError(f"token key file {path} cannot be created: {error.strerror}") from error
    return path


def _from_file(path: Path) -> tuple[KeySource, SigningKey | None]:
    content = _read(path)
    where = f"token key file {path}"
    if is_pem(content) and not is_private_pem(content):
        _require_trusted(path)
        return StaticKeys(str(path), public_keys_from_pem(content, where)), None
    return _of_signing_key(load_signing_key(path, None), str(path))


def _of_signing_key(key: SigningKey, source: str) -> tuple[KeySource, SigningKey]:
    return StaticKeys.of_signing_key(key, source), key


def _jwks(place: str, refresh_s: float) -> KeySource:
    # Twisted's HTTP client is needed for this source only; the command line is quicker without.
    from components.tokens.fetch import jwks_fetcher
    from components.tokens.jwks_file import JwksFile
    from components.tokens.jwks_url import JwksUrl

    if "://" not in place:
        path = Path(place)
        _require_trusted(path)
        return JwksFile(path)
    if not _is_good_url(place):
        # Not what it was: it may have a password in it.
        raise TokenKeyError(
            "CROSSTICK_TOKEN_JWKS must be a file or https://host[:port]/path, without user and fragment; http:// on the"
            " loopback only"
        )
    # A query may be a secret, too, and this name goes into logs and /readyz.
    name = urlsplit(place)._replace(query="").geturl()
    return JwksUrl(name, refresh_s, partial(jwks_fetcher, place), random.random)


def _is_good_url(place: str) -> bool:
    try:
        split = urlsplit(place)
        port = split.port
    except ValueError:
        return False
    if not split.hostname or port == 0 or split.username is not None or split.password is not None or split.fragment:
        return False
    if not place.isascii() or not place.isprintable() or " " in place:
        return False
    return split.scheme == "https" or (split.scheme == "http" and _is_loopback(split.hostname))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        raise TokenKeyError(f"token key file {path}: {error.strerror}") from error
    if len(content) > MAX_KEY_FILE_BYTES:
        raise TokenKeyError(f"token key file {path} must have at most {MAX_KEY_FILE_BYTES} bytes")
    return content


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError as error:
        raise TokenKeyError(f"token key file {path}: {error.strerror}") from error


def _require_private(path: Path) -> None:
    if _mode(path) & (stat.S_IRWXG | stat.S_IRWXO):
        raise TokenKeyError(f"token key file {path} must be readable by its owner only: chmod 600 {path}")


def _require_trusted(path: Path) -> None:
    # Whoever may write public keys may mint.
    if _mode(path) & stat.S_IWOTH:
        raise TokenKeyError(f"token key file {path} must not be writable by everybody: chmod o-w {path}")


def _text(environ: Mapping[str, str], name: str) -> str | None:
    value = environ.get(name)
    if value is not None and not (0 < len(value) <= MAX_ISSUER_CHARS and all("!" <= char <= "~" for char in value)):
        raise TokenKeyError(
            f"{name} must not be empty, and have at most {MAX_ISSUER_CHARS} printable characters, was {value!r}"
        )
    return value


def _whole(environ: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environ.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and low <= int(text) <= high):
        raise TokenKeyError(f"{name} must be a whole number of seconds from {low} to {high}, was {text!r}")
    return int(text)
