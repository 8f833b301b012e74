"""Keys and certificates for tests, written as PEM files that their owner alone reads."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HOUR = datetime.timedelta(hours=1)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a key in PEM format."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificate_pem(
    key: ec.EllipticCurvePrivateKey,
    name: str = "localhost",
    *,
    since: datetime.timedelta = -HOUR,
    until: datetime.timedelta = HOUR,
) -> bytes:
    """Return a self-signed certificate of ``name`` in PEM format, valid from ``since`` to ``until``, both from this moment."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + since)
        .not_valid_after(now + until)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return signed.public_bytes(Encoding.PEM)


def generate_key() -> ec.EllipticCurvePrivateKey:
    """Return a fresh key."""
    return ec.generate_private_key(ec.SECP256R1())


def write_private(path: Path, content: bytes) -> Path:
    """Write a file that its owner alone reads."""
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path


def write_pair(path: Path, name: str = "localhost") -> Path:
    """Write a fresh key and the self-signed certificate of ``name`` into one PEM file."""
    key = generate_key()
    return write_private(path, certificate_pem(key, name) + key_pem(key))
