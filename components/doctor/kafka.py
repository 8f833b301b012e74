"""The Kafka of ``CROSSTICK_BUS``: brokers that answer, and the two topics, with how long they keep what."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from components.core.kafka_address import KafkaAddress, parse_kafka_url
from components.doctor.findings import Finding, fail, ok, warn
from components.doctor.node_setup import Setup

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

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


def judge_keeping(address: KafkaAddress, topic: str, settings: Mapping[str, str | None]) -> Finding:
    """Return what is to be said of a topic's settings."""
    policy, retention_ms = settings.get("cleanup.policy") or "", settings.get("retention.ms") or ""
    if "compact" in policy:
        text = f"topic {topic} has cleanup.policy={policy}: brokers refuse records that have no key, as those of feeds"
        return fail(text, "set cleanup.policy=delete")
    if topic == address.standing_topic and retention_ms != "-1":
        text = f"topic {topic} has retention.ms={retention_ms}: what operators chose is lost when no feed leads for so long"
        return warn(text, "set retention.ms=-1, and bound it by retention.bytes")
    if retention_ms == settings.get("retention.bytes") == "-1":
        text = f"topic {topic} has retention.ms=-1 and retention.bytes=-1: it grows until the brokers' disks are full"
        return warn(
            text, "set retention.bytes, to which whole segments are deleted: segment.bytes is to be a part of it"
        )
    return ok(f"topic {topic} has cleanup.policy={policy} and retention.ms={retention_ms}")


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
    topics = [topic for topic in (address.log_topic, address.standing_topic) if topic in replicas]
    return [
        *judge(address, len(found.brokers), replicas, seconds),
        *(_look_at_keeping(client, address, topics) if topics else []),
    ]


def _look_at_keeping(client: AdminClient, address: KafkaAddress, topics: list[str]) -> list[Finding]:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import ConfigResource  # type: ignore[attr-defined]  # it is, but is not marked so

    asked = client.describe_configs(
        [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in topics], request_timeout=TIMEOUT_S
    )
    findings = []
    for resource, answer in asked.items():
        try:
            settings = {name: entry.value for name, entry in answer.result().items()}
        except KafkaException as error:
            text = f"what topic {resource.name} keeps is not known: {error.args[0].str()}"
            findings.append(warn(text, "may this user describe the topics' configurations?"))
        else:
            findings.append(judge_keeping(address, resource.name, settings))
    return findings
