"""TLS of listeners: files that fit together, names, and the day on which a certificate expires."""

from __future__ import annotations

import time
from collections.abc import Sequence

from cryptography import x509
from twisted.internet.task import Clock

from components.doctor.findings import Finding, fail, ok, warn
from components.doctor.node_setup import Setup
from components.router.listeners.tls import Certificates, TlsError, TlsFiles

SOON_DAYS = 21


def judge_certificate(where: str, names: Sequence[str], left_s: float) -> Finding:
    """Return whether a certificate that can be used is one that will do; ``left_s`` is how long it is valid still."""
    days = int(left_s // 86_400)
    if not names:
        return warn(
            f"{where}: the certificate has no subjectAltName, so that clients accept it for no host",
            "have one issued with the names that clients connect to",
        )
    shown = f"{where}: {', '.join(names[:4])}{' …' if len(names) > 4 else ''}, valid for {days} days more"
    if days < SOON_DAYS:
        return warn(shown, "renew it: a running node takes the new files by itself")
    return ok(shown)


def look(setup: Setup) -> list[Finding]:
    """Load what each listener would load."""
    if setup.node is None:
        return []
    findings = []
    for endpoint in setup.node.endpoints:
        if endpoint.tls is None:
            continue
        try:
            files = TlsFiles.parse(endpoint.tls, setup.cbdir)
            loaded = Certificates(files, Clock(), min_version="1.3", check_interval_s=1.0)
            certificate = x509.load_pem_x509_certificates(files.certificate.read_bytes())[0]
        except TlsError as error:
            findings.append(
                fail(str(error), "the node would refuse to start: correct the endpoint's tls, or its files")
            )
            continue
        try:
            extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            names = [*extension.get_values_for_type(x509.DNSName)]
            names += map(str, extension.get_values_for_type(x509.IPAddress))
        except x509.ExtensionNotFound:
            names = []
        findings.append(judge_certificate(str(endpoint), names, loaded.not_after_s - time.time()))
    return findings
