"""Where a Kafka is: the URL of ``CROSSTICK_BUS``, checked and taken apart.

Pure: text in, values out. Nothing here shows a password.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

DEFAULT_PORT = 9092
DEFAULT_PREFIX = "crosstick"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

KAFKA_FORMS = (
    "kafka://host[:port][,host…][/prefix], or kafka+ssl://[user:password@]host… for TLS, with ?ca=/file.pem for an authority "
    f"of its own and ?sasl={'|'.join(MECHANISMS)}"
)
_PREFIX = re.compile(r"[A-Za-z0-9._-]{1,200}")
"""What Kafka allows in the name of a topic."""


class InvalidKafkaAddress(ValueError):
    """A URL names no Kafka; the text says why in one line, without the URL: it may hold a password."""


@dataclass(frozen=True, slots=True)
class KafkaAddress:
    """Brokers to ask first, the topics there, and as whom."""

    brokers: str
    """``host:port``, comma-separated."""

    prefix: str = DEFAULT_PREFIX
    """Of the names of the topics."""

    tls: bool = False
    ca_file: str | None = None
    """PEM; ``None``: the system's authorities."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    mechanism: str = MECHANISMS[0]
    """Of SASL, where there is a ``username``."""

    @property
    def log_topic(self) -> str:
        """Of batches, statuses and all else that feeds say."""
        return f"{self.prefix}.batches"

    @property
    def standing_topic(self) -> str:
        """Of what came of them, for who starts cold."""
        return f"{self.prefix}.standing"

    def __str__(self) -> str:
        """Return what may stand in a log."""
        return f"{self.brokers}, topics {self.prefix}.…"


def is_kafka_url(url: str) -> bool:
    """Tell whether a URL has a scheme of Kafka."""
    return url.partition("://")[0] in ("kafka", "kafka+ssl")


def parse_kafka_url(url: str) -> KafkaAddress:
    """Return what a URL says, percent-encoded characters decoded.

    Raises:
        InvalidKafkaAddress: it is not in one of ``KAFKA_FORMS``.
    """
    try:
        split = urlsplit(url)
    except ValueError as error:
        # Only brackets that enclose no IPv6 address end here.
        raise InvalidKafkaAddress("a host is malformed") from error
    if split.scheme not in ("kafka", "kafka+ssl"):
        raise InvalidKafkaAddress("the scheme is unknown")
    if split.fragment:
        raise InvalidKafkaAddress("it has a fragment")
    tls = split.scheme == "kafka+ssl"
    options = _options(split.query)
    credentials, _, hosts = split.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    if credentials and not (user and password):
        raise InvalidKafkaAddress("credentials must be user:password")
    mechanism = options.get("sasl", MECHANISMS[0])
    if mechanism not in MECHANISMS:
        raise InvalidKafkaAddress(f"sasl must be one of {', '.join(MECHANISMS)}")
    if "sasl" in options and not user:
        raise InvalidKafkaAddress("sasl needs user:password@")
    if user and not tls and mechanism == "PLAIN":
        raise InvalidKafkaAddress(
            "a password would go over the wire in the clear: use kafka+ssl, or sasl=SCRAM-SHA-512"
        )
    if "ca" in options and not tls:
        raise InvalidKafkaAddress("ca needs kafka+ssl")
    prefix = unquote(split.path.strip("/")) or DEFAULT_PREFIX
    if not _PREFIX.fullmatch(prefix):
        raise InvalidKafkaAddress("the prefix must be letters, digits and . _ -, at most 200")
    return KafkaAddress(
        brokers=",".join(_host_and_port(host) for host in hosts.split(",")),
        prefix=prefix,
        tls=tls,
        ca_file=options.get("ca"),
        username=unquote(user) or None,
        password=unquote(password) or None,
        mechanism=mechanism,
    )


def _options(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError as error:
        raise InvalidKafkaAddress("the query is malformed") from error
    options = dict(pairs)
    if len(options) < len(pairs) or not options.keys() <= {"ca", "sasl"}:
        raise InvalidKafkaAddress("the query may have ca and sasl, each once")
    return options


def _host_and_port(text: str) -> str:
    try:
        split = SplitResult("", text, "", "", "")
        host, port = split.hostname, split.port
    except ValueError as error:
        raise InvalidKafkaAddress("a port must be a number from 1 to 65535") from error
    if not host or not host.isascii() or not host.isprintable() or " " in host or port == 0:
        raise InvalidKafkaAddress("a host is missing or malformed")
    return f"{f'[{host}]' if ':' in host else host}:{DEFAULT_PORT if port is None else port}"
