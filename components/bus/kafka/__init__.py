"""The Kafka bus: one log that all feeds append to and everybody reads, which says itself who leads.

``KafkaBusWriter`` is a feed's side, ``KafkaBusReader`` a gateway's; by ``choice`` a gateway changes the symbols that operators
want. What is decided is in ``log`` and ``candidacy``, which are pure; ``tail``, ``consumer`` and ``producer`` are what serves
librdkafka, in threads. Needs confluent-kafka.
"""

from components.bus.kafka.connection import KafkaLimits
from components.bus.kafka.reader import KafkaBusReader
from components.bus.kafka.writer import KafkaBusWriter

__all__ = ["KafkaBusReader", "KafkaBusWriter", "KafkaLimits"]
