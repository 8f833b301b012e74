"""TLS of listeners: modern versions only, and certificates that are replaced while the node runs.

``tls_factory`` puts TLS around a listener's factory. Its files are looked at when a client connects, at most every few
seconds; what has changed holds for connections from then on, those that are open keep what they have. A pair that is broken,
does not match or is not valid is refused: the last good one stays, and one line in the log says why.
"""

from __future__ import annotations

import datetime
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

CHECK_INTERVAL_S = 10.0
"""How often the files are looked at, at most: one ``stat`` each."""

MIN_VERSIONS = ("1.3", "1.2")

_TLS_1_2_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""With forward secrecy and authenticated encryption, as all of TLS 1.3 is (RFC 9325)."""

_KNOWN_KEYS = {"key", "certificate", "chain_certificates", "ca_certificates", "ciphers", "dhparam"}


class TlsError(Exception):
    """Key, certificate or configuration cannot be used; the message is one line that names the file."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where a listener's key and certificates are."""

    key: Path
    certificate: Path
    """The listener's certificate; more in the same file are its chain."""

    chain: tuple[Path, ...] = ()
    client_authorities: tuple[Path, ...] = ()
    """When there are any, clients must have a certificate of theirs."""

    @classmethod
    def parse(cls, config: Mapping[str, Any], directory: Path) -> TlsFiles:
        """Read the ``tls`` of an endpoint in Crossbar's configuration; paths are relative to the node's ``directory``.

        Raises:
            TlsError: something is missing, unknown or no path.
        """
        for name in config:
            if name not in _KNOWN_KEYS:
                raise TlsError(f"tls: {name} is unknown, known are {', '.join(sorted(_KNOWN_KEYS))}")
        for name in ("key", "certificate"):
            if not isinstance(config.get(name), str):
                raise TlsError(f"tls: {name} must be the path of a PEM file, was {config.get(name)!r}")
        for name in ("chain_certificates", "ca_certificates"):
            paths = config.get(name, [])
            if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
                raise TlsError(f"tls: {name} must be a list of paths of PEM files, was {paths!r}")
        return cls(
            directory / config["key"],
            directory / config["certificate"],
            tuple(directory / path for path in config.get("chain_certificates", [])),
            tuple(directory / path for path in config.get("ca_certificates", [])),
        )

    @property
    def all(self) -> tuple[Path, ...]:
        """All files, in a fixed order."""
        return (self.key, self.certificate, *self.chain, *self.client_authorities)


class Certificates:
    """A listener's current key and certificates; creates the TLS side of each connection with them."""

    log = Logger()

    def __init__(self, files: TlsFiles, clock: Any, *, min_version: str, check_interval_s: float) -> None:
        """Load the files.

        Raises:
            TlsError: they cannot be used.
        """
        if min_version not in MIN_VERSIONS:
            raise TlsError(f"tls: min_version must be one of {', '.join(MIN_VERSIONS)}, was {min_version!r}")
        self._files = files
        self._clock = clock
        self._min_version = min_version
        self._check_interval_s = check_interval_s
        self._checked_s = clock.seconds()
        self._loaded_of = _versions(files)
        self._problem: str | None = None
        self.reloads = 0
        """How often other files have been taken over."""
        self.refused_reloads = 0
        """How many distinct problems kept other files from being taken over."""
        self.not_after_s = 0.0
        """Unix time at which the certificate in use expires."""
        self._context = self._load(files)

    @property
    def stale(self) -> bool:
        """Whether the files are others than those in use, since they cannot be used."""
        return self._problem is not None

    def server_connection(self) -> SSL.Connection:
        """Return the TLS side of a connection, with what the files hold."""
        now_s = self._clock.seconds()
        if now_s - self._checked_s >= self._check_interval_s:
            self._checked_s = now_s
            self.reload()
        return SSL.Connection(self._context, None)

    def reload(self) -> None:
        """Take over the files if they have changed and can be used; say so in the log if not."""
        try:
            versions = _versions(self._files)
            # A refused pair is tried again: it may become valid without being written.
            if versions == self._loaded_of:
                self._problem = None
                return
            self._context = self._load(self._files)
        except TlsError as error:
            self._keep(str(error))
            return
        self._loaded_of = versions
        self._problem = None
        self.reloads += 1
        until = datetime.datetime.fromtimestamp(self.not_after_s, datetime.UTC)
        self.log.info("TLS certificate replaced, valid until {until}", until=until.isoformat())

    def _keep(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self.refused_reloads += 1
            self.log.error("TLS certificate not replaced, the last good one stays: {problem}", problem=problem)

    def _load(self, files: TlsFiles) -> SSL.Context:
        if _read_mode(files.key) & stat.S_IRWXO:
            raise TlsError(f"TLS key {files.key} must not be readable by everybody: chmod o= {files.key}")
        key = _load_key(files.key)
        certificate, *chain = _load_certificates(files.certificate)
        for path in files.chain:
            chain += _load_certificates(path)
        authorities = [each for path in files.client_authorities for each in _load_certificates(path)]
        _check_validity(certificate, files.certificate)
        try:
            context = _context(self._min_version)
            context.use_certificate(certificate)
            for each in chain:
                context.add_extra_chain_cert(each)
            _use_key(context, key, files.key)
            context.check_privatekey()
            if authorities:
                _demand_client_certificates(context, authorities)
        except SSL.Error as error:
            raise TlsError(f"TLS key {files.key} and certificate {files.certificate}: {_reason(error)}") from error
        self.not_after_s = certificate.not_valid_after_utc.timestamp()
        return context


@implementer(IOpenSSLServerConnectionCreator)
class _ConnectionCreator:
    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates

    def serverConnectionForTLS(self, _protocol: Any) -> SSL.Connection:
        return self._certificates.server_connection()


class TlsConnection(BufferingTLSTransport):
    """One connection under TLS; one that is gone refers to itself no more."""

    _producer: Any

    def _tlsShutdownFinished(self, reason: Failure | None) -> None:
        super()._tlsShutdownFinished(reason)  # type: ignore[no-untyped-call]  # Twisted has no types here
        if reason is not None:
            # It leads to the frame that it was made in, and that to it.
            error: Any = reason.value
            reason.tb = error.__traceback__ = None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._producer = None


class TlsFactory(TLSMemoryBIOFactory):
    """A listener's factory under TLS."""

    protocol = TlsConnection

    def __init__(self, certificates: Certificates, wrapped_factory: Any, clock: Any) -> None:
        creator: Any = _ConnectionCreator(certificates)
        super().__init__(creator, False, wrapped_factory, clock)
        self.certificates = certificates


def tls_factory(
    config: Mapping[str, Any],
    cbdir: str | Path,
    wrapped_factory: Any,
    clock: Any,
    *,
    min_version: str = "1.3",
    check_interval_s: float = CHECK_INTERVAL_S,
) -> TlsFactory:
    """Return a factory that speaks TLS and hands what comes to ``wrapped_factory``.

    ``config`` is the ``tls`` of an endpoint in Crossbar's configuration, and its paths are relative to ``cbdir``; the settings
    ``ciphers`` and ``dhparam`` have no effect, as in Crossbar. ``min_version`` is ``1.3`` or ``1.2``. ``clock`` is the reactor.
    The factory's ``certificates`` have what metrics need.

    Raises:
        TlsError: the files cannot be used; one line that is fit to refuse the start with.
    """
    files = TlsFiles.parse(config, Path(cbdir))
    certificates = Certificates(files, clock, min_version=min_version, check_interval_s=check_interval_s)
    return TlsFactory(certificates, wrapped_factory, clock)


def _versions(files: TlsFiles) -> tuple[tuple[int, int, int], ...]:
    """Return what changes when a file is written or another takes its place."""
    versions = []
    for path in files.all:
        try:
            status = path.stat()
        except OSError as error:
            raise TlsError(f"TLS file {path}: {error.strerror}") from error
        versions.append((status.st_ino, status.st_mtime_ns, status.st_size))
    return tuple(versions)


def _read_mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError as error:
        raise TlsError(f"TLS file {path}: {error.strerror}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsError(f"TLS file {path}: {error.strerror}") from error


def _context(min_version: str) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION if min_version == "1.3" else SSL.TLS1_2_VERSION)
    context.set_cipher_list(_TLS_1_2_CIPHERS)
    context.set_options(
        SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # Idle connections hold no buffers.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    return context


def _demand_client_certificates(context: SSL.Context, authorities: list[x509.Certificate]) -> None:
    store: Any = context.get_cert_store()
    for each in authorities:
        store.add_cert(crypto.X509.from_cryptography(each))
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)


def _use_key(context: SSL.Context, key: Any, path: Path) -> None:
    try:
        context.use_privatekey(key)
    except TypeError as error:
        raise TlsError(f"TLS key {path} is of a kind that TLS has no use for") from error


def _load_key(path: Path) -> Any:
    pem = _read(path)
    try:
        return load_pem_private_key(pem, None)
    except TypeError as error:
        raise TlsError(f"TLS key {path} is encrypted; the node has no way to ask for its password") from error
    except Exception as error:
        # What cryptography raises here is ValueError, UnsupportedAlgorithm and others besides; none names the file.
        raise TlsError(f"TLS key {path} is no private key in PEM format") from error


def _load_certificates(path: Path) -> list[x509.Certificate]:
    pem = _read(path)
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise TlsError(f"TLS certificate {path} is no certificate in PEM format") from error


def _check_validity(certificate: x509.Certificate, path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    if now > certificate.not_valid_after_utc:
        raise TlsError(f"TLS certificate {path} expired on {certificate.not_valid_after_utc.isoformat()}")
    if now < certificate.not_valid_before_utc:
        raise TlsError(f"TLS certificate {path} is not valid before {certificate.not_valid_before_utc.isoformat()}")


def _reason(error: SSL.Error) -> str:
    reasons = [entry[2] for entry in error.args[0]] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(filter(None, reasons)) or "OpenSSL refuses them"
