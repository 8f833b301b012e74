"""The Kafka of ``CROSSTICK_BUS``: brokers that answer, and the two topics."""

from __future__ import annotations

import time
from collections.abc import Mapping

from components.core.kafka_address import KafkaAddress, parse_kafka_url
from components.doctor.findings import Finding, fail, ok, warn
from components.doctor.node_setup import Setup

TIMEOUT_S = 4.0
SLOW_S = 0.5


def judge(address: KafkaAddress, brokers: int, replicas: Mapping[str, int], seconds: float) -> list[Finding]:
    """Return what is to be said of brokers that answer; ``replicas`` are those of partition 0 of each topic there is."""
    text = f"Kafka at {address.brokers}: {brokers} brokers, answered within {seconds * 1000:.0f} ms"
    findings = [warn(text, "let the brokers be near, and not busy") if seconds > SLOW_S else ok(text)]
    for topic in (address.log_topic, address.standing_topic):
        if topic not in replicas:
            hint = "create it with kafka-topics.sh, as the documentation of many nodes shows"
            findings.append(fail(f"there is no topic {topic}, or this user may not see it", hint))
        elif replicas[topic] < min(3, brokers):
            hint = "with fewer than three, brokers may lose what they have confirmed"
            findings.append(warn(f"topic {topic} has {replicas[topic]} replicas", hint))
        else:
            findings.append(ok(f"topic {topic} has {replicas[topic]} replicas"))
    return findings


def look(setup: Setup) -> list[Finding]:
    """Ask the brokers of the bus, if that is Kafka."""
    if setup.settings is None or setup.settings.bus.kind != "kafka":
        return []
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    from components.bus.kafka.connection import PARTITION, client_config

    address = parse_kafka_url(setup.settings.bus.url)
    begun_s = time.monotonic()
    reasons: list[str] = []
    client = AdminClient(client_config(address) | {"error_cb": lambda error: reasons.append(error.str())})
    try:
        found = client.list_topics(timeout=TIMEOUT_S)
    except KafkaException as error:
        client.poll(0)
        reason = reasons[0] if reasons else error.args[0].str()
        return [
            fail(
                f"Kafka at {address.brokers}: {reason}",
                "do they run, and is CROSSTICK_BUS right: user, password, TLS?",
            )
        ]
    seconds = time.monotonic() - begun_s
    replicas = {
        name: len(topic.partitions[PARTITION].replicas)
        for name, topic in found.topics.items()
        if topic.error is None and PARTITION in topic.partitions
    }
    return judge(address, len(found.brokers), replicas, seconds)
