"""URLs of a Kafka."""

from __future__ import annotations

import pytest

from components.core.kafka_address import InvalidKafkaAddress, KafkaAddress, parse_kafka_url


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("kafka://h", KafkaAddress("h:9092")),
        ("kafka://h1:1,h2/md.eu", KafkaAddress("h1:1,h2:9092", "md.eu")),
        ("kafka://[::1]:5", KafkaAddress("[::1]:5")),
        ("kafka+ssl://h?ca=/etc/ca.pem", KafkaAddress("h:9092", tls=True, ca_file="/etc/ca.pem")),
        (
            "kafka+ssl://ann:p%40ss@h1,h2:9/x",
            KafkaAddress("h1:9092,h2:9", "x", tls=True, username="ann", password="p@ss"),
        ),
        (
            "kafka://ann:pw@h?sasl=SCRAM-SHA-512",
            KafkaAddress("h:9092", username="ann", password="pw", mechanism="SCRAM-SHA-512"),
        ),
    ],
)
def test_what_a_url_says(url: str, address: KafkaAddress) -> None:
    assert parse_kafka_url(url) == address


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("kafka://", "a host is missing"),
        ("kafka://h,", "a host is missing"),
        ("kafka://h ost", "a host is missing or malformed"),
        ("kafka://hö", "a host is missing or malformed"),
        ("kafka://h:x", "a port must be"),
        ("kafka://h:0", "a host is missing or malformed"),
        ("kafka://[h", "a host is malformed"),
        ("kafka://h/a/b", "the prefix must be"),
        ("kafka://h/a%20b", "the prefix must be"),
        ("kafka://h#x", "a fragment"),
        ("kafka://h?tls=1", "the query may have"),
        ("kafka://h?sasl", "the query is malformed"),
        ("kafka://h?sasl=PLAIN", "sasl needs user:password@"),
        ("kafka+ssl://a:secret@h?sasl=GSSAPI", "sasl must be one of"),
        ("kafka://a:secret@h", "in the clear"),
        ("kafka+ssl://:secret@h", "credentials must be"),
        ("kafka+ssl://secret@h", "credentials must be"),
        ("kafka://h?ca=/x", "ca needs kafka+ssl"),
        ("kafkaesque://a:secret@h", "the scheme is unknown"),
    ],
)
def test_what_is_wrong_with_a_url_is_said_without_its_password(url: str, reason: str) -> None:
    with pytest.raises(InvalidKafkaAddress) as raised:
        parse_kafka_url(url)
    assert reason in str(raised.value)
    assert "secret" not in str(raised.value)


def test_no_password_is_shown() -> None:
    address = parse_kafka_url("kafka+ssl://ann:secret@h")
    assert "secret" not in f"{address} {address!r}"
