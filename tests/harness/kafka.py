"""Kafka brokers that speak the real protocol: librdkafka's mock cluster, in this process or one of its own, with faults.

It is part of the library that confluent-kafka brings along, and is reached by ``ctypes`` since Python has no names for it.
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
from pathlib import Path

import confluent_kafka

_PRODUCER = 0
_BROKER = 1
_ERROR_BYTES = 512


def _library() -> ctypes.CDLL:
    packages = Path(confluent_kafka.__file__).parent
    for folder in (packages.parent / "confluent_kafka.libs", packages / ".dylibs"):
        for path in folder.glob("librdkafka*"):
            return ctypes.CDLL(str(path))
    raise FileNotFoundError("confluent-kafka is not a wheel with a librdkafka of its own")


class KafkaBroker:
    """A cluster of one broker, which makes topics of four partitions when they are asked for."""

    def __init__(self) -> None:
        library = self._library = _library()
        pointer = ctypes.c_void_p
        library.rd_kafka_conf_new.restype = pointer
        library.rd_kafka_new.restype = pointer
        library.rd_kafka_new.argtypes = [ctypes.c_int, pointer, ctypes.c_char_p, ctypes.c_size_t]
        library.rd_kafka_conf_set.argtypes = [
            pointer, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t,
        ]  # fmt: skip
        library.rd_kafka_destroy.argtypes = [pointer]
        library.rd_kafka_destroy.restype = None
        library.rd_kafka_mock_cluster_new.restype = pointer
        library.rd_kafka_mock_cluster_new.argtypes = [pointer, ctypes.c_int]
        library.rd_kafka_mock_cluster_destroy.argtypes = [pointer]
        library.rd_kafka_mock_cluster_destroy.restype = None
        library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        library.rd_kafka_mock_cluster_bootstraps.argtypes = [pointer]
        for name in ("rd_kafka_mock_broker_set_down", "rd_kafka_mock_broker_set_up"):
            getattr(library, name).argtypes = [pointer, ctypes.c_int32]
        library.rd_kafka_mock_broker_set_rtt.argtypes = [pointer, ctypes.c_int32, ctypes.c_int]
        library.rd_kafka_mock_partition_delete_records.argtypes = [
            pointer, ctypes.c_char_p, ctypes.c_int32, ctypes.c_int64,
        ]  # fmt: skip

        error = ctypes.create_string_buffer(_ERROR_BYTES)
        conf = library.rd_kafka_conf_new()
        library.rd_kafka_conf_set(conf, b"log_level", b"0", error, _ERROR_BYTES)
        self._handle = library.rd_kafka_new(_PRODUCER, conf, error, _ERROR_BYTES)
        if not self._handle:
            raise OSError(f"librdkafka: {error.value.decode()}")
        self._cluster = library.rd_kafka_mock_cluster_new(self._handle, 1)
        self.address: str = library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        """``host:port``."""

    def go_down(self) -> None:
        """Close all connections, and take none."""
        self._done(self._library.rd_kafka_mock_broker_set_down(self._cluster, _BROKER))

    def come_up(self) -> None:
        """Take connections again; what was written is still there."""
        self._done(self._library.rd_kafka_mock_broker_set_up(self._cluster, _BROKER))

    def answer_after(self, seconds: float) -> None:
        """Answer every request so much later."""
        self._done(self._library.rd_kafka_mock_broker_set_rtt(self._cluster, _BROKER, int(seconds * 1000)))

    def forget_before(self, topic: str, offset: int) -> None:
        """Delete a topic's records below an offset, as retention does."""
        self._done(self._library.rd_kafka_mock_partition_delete_records(self._cluster, topic.encode(), 0, offset))

    def stop(self) -> None:
        """End the cluster."""
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._handle)

    @staticmethod
    def _done(error: int) -> None:
        if error:
            raise OSError(f"librdkafka's mock cluster answered {error}")


class KafkaProcess:
    """The same in a process of its own, which can stand still."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.harness.kafka"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid
        self.address = self._answer()

    def go_down(self) -> None:
        """Close all connections, and take none."""
        self._tell("go_down")

    def come_up(self) -> None:
        """Take connections again; what was written is still there."""
        self._tell("come_up")

    def stand_still(self) -> None:
        """Do nothing, with all connections open."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Do something again."""
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait(10)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _tell(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        assert self._answer() == "done"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def main() -> None:
    """Serve as the process of a ``KafkaProcess``, until its standard input ends."""
    broker = KafkaBroker()
    print(broker.address, flush=True)
    for line in sys.stdin:
        {"go_down": broker.go_down, "come_up": broker.come_up}[line.strip()]()
        print("done", flush=True)
    broker.stop()


if __name__ == "__main__":
    main()
